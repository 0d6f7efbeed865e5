import pickle
import pydoc

import pytest

from flax_googlenet.models import VGG16, GoogLeNet
from flax_googlenet.models.googlenet import TABLE_1
from flax_googlenet.models.table import Table


@pytest.mark.parametrize("network", [GoogLeNet, VGG16])
def test_help_and_repr_leave_the_rows_out(network):
    # They were 2,000 to 3,000 characters of each of two signatures, and of every repr.
    assert "PaperRow(" not in pydoc.plain(pydoc.render_doc(network))
    assert len(repr(network())) < 700


def test_is_the_rows():
    table = Table(TABLE_1)
    assert table == TABLE_1
    assert hash(table) == hash(TABLE_1), "modules are hashed, as static arguments are"
    assert pickle.loads(pickle.dumps(table)) == TABLE_1
    assert repr(table) == "<table of 18 rows>"
