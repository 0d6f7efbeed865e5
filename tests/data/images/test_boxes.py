import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flax_googlenet.data.images.boxes import random_resized_box


@given(
    height=st.integers(1, 2000),
    width=st.integers(1, 2000),
    uniforms=st.lists(st.floats(0, 1, exclude_max=True), min_size=40, max_size=40),
)
def test_random_boxes_are_within_the_papers_limits(height, width, uniforms):
    top, left, rows, columns = random_resized_box(height, width, uniforms)
    assert 0 <= top <= top + rows <= height
    assert 0 <= left <= left + columns <= width
    assert rows > 0
    assert columns > 0
    # Sides are rounded to whole pixels, by at most half a pixel.
    if min(rows, columns) > 1:
        assert (columns - 0.5) / (rows + 0.5) <= 4 / 3
        assert (columns + 0.5) / (rows - 0.5) >= 3 / 4
        fallback = (rows, columns) == (min(height, max(1, round(width * 4 / 3))), columns) or columns == min(
            width, max(1, round(height * 4 / 3))
        )
        assert fallback or (rows + 0.5) * (columns + 0.5) >= 0.08 * height * width


def test_random_boxes_spread_over_area_and_aspect(rng):
    boxes = [random_resized_box(500, 500, rng.random(40).tolist()) for _ in range(2000)]
    area = np.array([rows * columns for _, _, rows, columns in boxes]) / 500**2
    aspect = np.array([columns / rows for _, _, rows, columns in boxes])
    assert area.min() < 0.1
    assert area.max() > 0.9
    assert abs(np.mean(np.log(aspect))) < 0.02  # wide boxes are as frequent as tall ones
