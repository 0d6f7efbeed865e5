import pytest

from flax_googlenet.config import resolve
from flax_googlenet.data import open_source
from flax_googlenet.data.sources.classes import check_classes, check_same_classes, same_class, same_classes
from flax_googlenet.data.sources.imagenet import imagenet_classes
from flax_googlenet.errors import UserError

WORDNET_IDS, WORDS = list(imagenet_classes()), list(imagenet_classes().values())


@pytest.mark.parametrize(
    ("name", "other", "same"),
    [
        pytest.param("cat", "cat", True, id="equal"),
        pytest.param("Cardigan", "cardigan", False, id="a dog and a garment"),
        pytest.param("n01440764", "tench", True, id="word"),
        pytest.param("n01440764", "n01440764 tench, Tinca tinca", True, id="id with synset"),
        pytest.param("tench, Tinca tinca", "n01440764-tench", True, id="synset"),
        pytest.param("great_white_shark", "great white shark", True, id="underscores"),
        pytest.param("n01440764", "goldfish", False, id="another word"),
        pytest.param("n01440764", "n01443537", False, id="another id"),
        pytest.param("n014407641", "n01440764", False, id="no id"),
    ],
)
def test_names_of_one_class(name, other, same):
    assert same_class(name, other) is same
    assert same_class(other, name) is same


def test_all_of_imagenet_by_its_two_names():
    assert len(set(WORDS)) == 1000, "no word stands for two classes"
    assert same_classes(WORDNET_IDS, WORDS)
    assert not same_classes(WORDNET_IDS, WORDS[::-1])
    assert not same_classes(WORDNET_IDS, WORDS[:-1])


@pytest.mark.parametrize(
    ("names", "others", "words"),
    [
        (["ant", "bee", "cat"], ["ant", "cat", "dog"], 'class 1 is "bee" in the one and "cat" in the other'),
        (["ant", "bee"], ["ant"], 'class 1 is "bee" in the one and missing in the other'),
        (["ant"], ["ant", "bee"], 'class 1 is missing in the one and "bee" in the other'),
        (["bee", "ant"], ["ant", "bee"], 'class 0 is "bee" in the one and "ant" in the other'),
    ],
)
def test_the_first_class_that_differs_is_named(names, others, words):
    with pytest.raises(UserError) as caught:
        check_same_classes(names, others, "A", "B", "do this")
    assert str(caught.value) == f"The classes of A and of B differ: {words}; do this."


def test_another_number_of_classes_is_refused():
    digits = open_source(resolve({"data": {"source": "mnist_sample"}}).data, "val")
    check_classes(digits, 10)
    with pytest.raises(UserError, match=r"10 classes and the network 1000.*num_classes=10"):
        check_classes(digits, 1000)
