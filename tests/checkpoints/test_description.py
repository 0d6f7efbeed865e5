import json

import pytest

from flax_googlenet import checkpoints
from flax_googlenet.checkpoints import FORMAT
from flax_googlenet.config import resolve
from flax_googlenet.errors import UserError
from tests.support.checkpoints import save


@pytest.fixture
def checkpoint(tmp_path):
    save(tmp_path)
    return checkpoints.find(str(tmp_path))


def rewrite(checkpoint, **changes):
    file = checkpoint / "description" / "metadata"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_a_description_is_read_back(checkpoint):
    description = checkpoints.describe(checkpoint)
    assert (description.step, description.class_names) == (1, ("a", "b"))
    assert description.config == {"seed": 1, "model": {"num_classes": 2}}
    assert description.history == [{"step": 1, "train/loss": 2.0}]
    assert description.data == {"train": {"num_examples": 7, "digest": "x"}}
    assert set(description.versions) >= {"jax", "flax"}


@pytest.mark.parametrize(("reduces", "has_heads"), [(True, True), (False, False)])
def test_the_first_format_is_read(checkpoint, reduces, has_heads):
    """Format 1 has one key for the three reductions, and a bool for the auxiliary heads."""
    model = {"name": "googlenet", "num_classes": 2, "normalization": "none", "stem_reduce": True}
    model |= {"dimension_reduction": reduces, "aux_heads": has_heads}
    file = checkpoint / "description/metadata"
    fields = json.loads(file.read_text())
    del fields["origin"], fields["data"]
    file.write_text(json.dumps({**fields, "format": 1, "config": {"model": model}}))
    described = resolve(checkpoints.describe(checkpoint).config).model
    assert (described.reduce3x3, described.reduce5x5, described.project_pool) == (reduces,) * 3
    assert described.aux_heads == (2 if has_heads else 0)
    assert (described.variant, described.num_classes, described.normalization) == ("paper", 2, "none")


def test_the_second_format_is_read(checkpoint):
    """Format 2 has no record of the data set."""
    file = checkpoint / "description/metadata"
    fields = json.loads(file.read_text())
    del fields["data"]
    file.write_text(json.dumps({**fields, "format": 2}))
    assert checkpoints.describe(checkpoint).data == {}


NO_CHECKPOINT = "is not a checkpoint of flax_googlenet: its description cannot be read"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"format": FORMAT + 1}, f"has format {FORMAT + 1}, newer than {FORMAT}", id="newer"),
        pytest.param({"format": "3"}, "its format is '3', not a number", id="format as a string"),
        pytest.param({"format": None}, "its format is None, not a number", id="format null"),
        pytest.param({"format": True}, "its format is True, not a number", id="format true"),
        pytest.param({"format": 0}, "its format is 0", id="format 0"),
        pytest.param({"format": 1}, NO_CHECKPOINT, id="another format than it says"),
        pytest.param({"class_names": ["a"]}, "names 1 classes and its network has 2", id="too few names"),
        pytest.param({"class_names": [1, 2]}, NO_CHECKPOINT, id="names are numbers"),
        pytest.param({"class_names": None}, NO_CHECKPOINT, id="no names"),
        pytest.param({"step": "1"}, NO_CHECKPOINT, id="step as a string"),
        pytest.param({"step": 32}, "1 holds step 32, not 1: it was renamed; rename it to", id="another step"),
        pytest.param({"config": []}, NO_CHECKPOINT, id="config as a list"),
        pytest.param({"history": {}}, NO_CHECKPOINT, id="history as a table"),
        pytest.param({"history": [{"loss": 1}]}, NO_CHECKPOINT, id="record without a step"),
        pytest.param({"colour": "red"}, NO_CHECKPOINT, id="unknown field"),
    ],
)
def test_a_contradictory_description_is_refused(checkpoint, changes, words):
    rewrite(checkpoint, **changes)
    with pytest.raises(UserError) as caught:
        checkpoints.describe(checkpoint)
    assert words in str(caught.value)
    assert str(checkpoint) in str(caught.value)


@pytest.mark.parametrize("content", ["{}", "[]", "3", "{", ""])
def test_a_file_of_another_kind_is_refused(checkpoint, content):
    (checkpoint / "description/metadata").write_text(content)
    with pytest.raises(UserError, match=NO_CHECKPOINT):
        checkpoints.describe(checkpoint)


def test_a_checkpoint_renamed_to_another_step_is_refused(checkpoint):
    renamed = checkpoint.rename(checkpoint.parent / "77")
    with pytest.raises(UserError, match="holds step 1, not 77: it was renamed"):
        checkpoints.describe(renamed)
    elsewhere = renamed.rename(checkpoint.parent / "best")
    assert checkpoints.describe(elsewhere).step == 1, (
        "a name that is not a number says nothing about the step"
    )
