"""The texts of a contact sheet, measured: none overlaps another or a picture, and all are on the canvas."""

import itertools

import numpy as np
import PIL.Image
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from flax_googlenet.inspection import panels
from flax_googlenet.inspection.dreams import Dream
from flax_googlenet.inspection.neighbors import Neighbor
from flax_googlenet.inspection.sheets import draw_contact_sheet, draw_panel
from flax_googlenet.pictures import save_picture, without_glyph_warnings

NAMES = {
    "short": tuple("0123456789"),
    "long": ("W" * 30, "\N{CJK UNIFIED IDEOGRAPH-5341}" * 24, "golden retriever, a dog of", "b", "a $x_1$ %"),
}
BRANCHES = ("1x1", "3x3", "5x5", "pool")
MODULES = [f"inception_{name}" for name in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")]


def rows_of(names) -> list[list[panels.Panel]]:
    """Return the panels of a network, those of an image, and one with a long caption."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    gradient = rng.normal(size=(32, 32, 3)).astype(np.float32)
    probabilities = rng.dirichlet(np.ones(len(names)))
    heads = dict.fromkeys(("logits", "aux_4a", "aux_4d"), probabilities)
    maps = {name: {branch: rng.random((4, 4, 8)) for branch in BRANCHES} for name in MODULES}
    neighbors = [Neighbor(pixels, number % len(names), "x", 0.9) for number in range(5)]
    name = panels.printable(names[0])
    network = [
        panels.filters_panel(rng.normal(size=(64, 7, 7, 3)).astype(np.float32)),
        panels.dream_panel("class_0", f"What {name} looks like", pixels, Dream(gradient, (1.0, 2.0)), name),
    ]
    image = [
        panels.image_panel(pixels, probabilities, names),
        panels.heads_panel(heads, names),
        panels.branches_panel(maps),
        panels.grad_cam_panel(pixels, rng.random((7, 7)), "inception_3b", names[0]),
        panels.gradient_panel("saliency", f"Saliency: {name}", gradient, f"The gradient of {name}."),
        panels.signed_panel("occlusion", f"Occlusion: {name}", gradient.sum(-1), f"{name} {name}"),
        panels.neighbors_panel(neighbors, names, 1000, 4000),
    ]
    return [network, image, [panels.signed_panel("x", "Title", gradient.sum(-1), f"{name}, a word " * 30)]]


def check_texts(figure: Figure) -> None:
    canvas = FigureCanvasAgg(figure)
    with without_glyph_warnings():
        canvas.draw()
        shown = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
        boxes = [(text.get_text(), text.get_window_extent()) for text in shown]
        pictures = [(axes.get_label(), axes.get_tightbbox()) for axes in figure.axes]
    outside = [text for text, box in boxes if box.x0 < 0 or box.y0 < 0 or not fits(box, figure)]
    assert outside == []
    around = [(text.get_text(), text.get_window_extent()) for text in figure.texts]
    pairs = [*itertools.combinations(boxes, 2), *itertools.product(around, pictures)]
    assert [(first, second) for (first, one), (second, other) in pairs if overlap(one, other)] == []


def fits(box, figure) -> bool:
    return box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1


def overlap(one, other) -> bool:
    """Return whether two boxes have more than the rim of a glyph in common."""
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return width > 1 and height > 1


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES.keys())
def test_texts_do_not_overlap_and_are_on_the_canvas(names, tmp_path):
    rows = rows_of(names)
    sheet = draw_contact_sheet(rows)
    check_texts(sheet)
    for panel in itertools.chain(*rows):
        check_texts(draw_panel(panel))
    save_picture(sheet, tmp_path / "sheet.png")
    with PIL.Image.open(tmp_path / "sheet.png") as picture:
        assert picture.size == tuple(map(int, sheet.bbox.size))


def test_a_sheet_is_as_high_as_its_captions_need():
    first, second = (
        panels.signed_panel("x", "Title", np.eye(3, dtype=np.float32), caption)
        for caption in ("A word.", "A word. " * 60)
    )
    heights = [
        draw_contact_sheet(rows).get_figheight() for rows in ([[first]], [[second]], [[first, second]])
    ]
    assert heights[0] < heights[1] == heights[2]
    lines = [text.get_text().count("\n") for text in draw_panel(second).texts]
    assert lines[0] == 0
    assert lines[1] > 3
