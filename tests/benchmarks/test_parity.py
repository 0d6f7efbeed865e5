"""The comparisons of docs/parity.md, held to their tolerances."""

import pytest

from benchmarks.parity.attributions import compare_attributions
from benchmarks.parity.local_response_norm import compare_local_response_norm
from benchmarks.parity.onnx import compare_with_onnx
from benchmarks.parity.round_trips import round_trip_onnx, round_trip_stablehlo, round_trip_torchvision
from benchmarks.parity.torchvision import compare_predictions, compare_with_torchvision

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("comparisons", "count", "arrays"),
    [
        # Three heads and 74 modules in three modes, the loss once, 187 gradients and 118 statistics.
        pytest.param(lambda _: compare_with_torchvision(), 8, 3 * (3 + 74) + 1 + 187 + 118, id="torchvision"),
        # 141 nodes, without the 57 convolutions, whose ReLUs are compared.
        pytest.param(compare_with_onnx, 1, 141 - 57, id="onnx"),
        pytest.param(lambda _: compare_local_response_norm(), 6, 6, id="lrn"),
        pytest.param(round_trip_torchvision, 2, 1 + 305, id="to torchvision and back"),
        pytest.param(round_trip_onnx, 7, 14, id="to onnx"),
        pytest.param(round_trip_stablehlo, 2, 4, id="to stablehlo"),
        pytest.param(compare_predictions, 2, 4, id="photographs"),
        # Three layers of Grad-CAM and one map of each other method.
        pytest.param(lambda _: compare_attributions(), 5, 3 + 4, id="attributions"),
    ],
)
def test_errors_are_within_the_tolerance(comparisons, count, arrays, tmp_path):
    results = list(comparisons(tmp_path))
    for comparison in results:
        assert comparison.errors[comparison.worst] <= comparison.tolerance, comparison.row()
    assert len(results) == count
    assert sum(len(comparison.errors) for comparison in results) == arrays
