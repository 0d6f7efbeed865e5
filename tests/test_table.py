import pickle
import pydoc

import pytest

from flax_googlenet.models import VGG16, GoogLeNet
from flax_googlenet.table import TABLE_1


@pytest.mark.parametrize("network", [GoogLeNet, VGG16])
def test_help_and_repr_leave_out_the_rows(network):
    # The rows would add 2,000 to 3,000 characters to each signature and repr.
    assert "PaperRow(" not in pydoc.plain(pydoc.render_doc(network))
    assert len(repr(network())) < 700


def test_a_table_equals_its_rows():
    assert hash(TABLE_1) == hash(tuple(TABLE_1)), "modules are hashed as static arguments"
    assert tuple(TABLE_1) == TABLE_1
    assert pickle.loads(pickle.dumps(TABLE_1)) == TABLE_1
    assert repr(TABLE_1) == "<table of 18 rows>"
