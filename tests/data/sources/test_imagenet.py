import re

from flax_googlenet.data.sources.imagenet import imagenet_classes


def test_a_thousand_classes_in_the_order_of_their_ids():
    ids = list(imagenet_classes())
    assert len(ids) == 1000
    assert ids == sorted(ids)
    assert all(re.fullmatch(r"n\d{8}", wordnet_id) for wordnet_id in ids)
    assert len(set(imagenet_classes().values())) == 1000
