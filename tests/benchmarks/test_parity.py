"""The proofs of docs/parity.md, held to their tolerances."""

import pytest

from benchmarks.parity.local_response_norm import of_local_response_norm
from benchmarks.parity.onnx import against_onnx
from benchmarks.parity.round_trips import round_trip_onnx, round_trip_stablehlo, round_trip_torchvision
from benchmarks.parity.torchvision import against_torchvision, of_a_photograph

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("comparisons", "count", "arrays"),
    [
        # Three heads and 74 modules, in three ways, once with the loss; 187 gradients; 118 statistics.
        pytest.param(lambda _: against_torchvision(), 8, 3 * (3 + 74) + 1 + 187 + 118, id="torchvision"),
        pytest.param(against_onnx, 1, 141, id="onnx"),
        pytest.param(lambda _: of_local_response_norm(), 6, 6, id="lrn"),
        pytest.param(round_trip_torchvision, 2, 1 + 305, id="to torchvision and back"),
        pytest.param(round_trip_onnx, 7, 14, id="to onnx"),
        pytest.param(round_trip_stablehlo, 2, 4, id="to stablehlo"),
        pytest.param(of_a_photograph, 2, 4, id="photographs"),
    ],
)
def test_holds(comparisons, count, arrays, tmp_path):
    found = list(comparisons(tmp_path))
    for each in found:
        assert each.errors[each.worst] <= each.tolerance, (each.what, each.worst)
    assert len(found) == count
    assert sum(len(each.errors) for each in found) == arrays
