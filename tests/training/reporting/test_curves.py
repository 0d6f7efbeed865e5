import pytest

from flax_googlenet.training.reporting.curves import accuracy_limits, draw_curves, save_curves


def run(top1=(0.5, 0.6), **of_training) -> list[dict[str, float]]:
    """Records of a run that reports and evaluates every ten steps."""
    records: list[dict[str, float]] = []
    for index, value in enumerate(top1):
        step = 10 * (index + 1)
        losses = {"train/loss_logits": 1.0, "train/loss_aux_4d": 1.1, "train/learning_rate": 0.1 * step}
        records.append({"step": step, **losses, **of_training})
        records.append({"step": step, "val/top1": value, "val/top5": (1 + value) / 2, "val/loss": 0.5})
    return records


def height(value: float, limits: tuple[float, float]) -> float:
    return (value - limits[0]) / (limits[1] - limits[0])


@pytest.mark.parametrize(
    ("top1", "low", "high"),
    [
        pytest.param((0.1, 0.5, 0.91, 0.95, 0.98), 0.91, 0.98, id="from chance"),
        pytest.param((0.872, 0.95, 0.977, 0.978, 0.983), 0.977, 0.983, id="the embedded run"),
        pytest.param((0.01, 0.2, 0.3, 0.35), 0.3, 0.35, id="low ones"),
    ],
)
def test_the_later_half_fills_the_axis(top1, low, high):
    limits = accuracy_limits(run(top1))
    assert height(high, limits) - height(low, limits) > (0.05 if top1[-1] < 0.5 else 0.2)
    for value in top1[len(top1) // 2 :]:
        assert 0 < height(value, limits) < height((1 + value) / 2, limits) < 1
    assert draw_curves(run(top1), "").axes[1].get_ylim() == pytest.approx(limits)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_the_noise_of_a_flat_curve_looks_small(value):
    records = [{"step": step, "val/top1": value, "val/top5": value} for step in (1, 2)]
    low, high = accuracy_limits(records)
    assert low <= value < high
    assert high - low >= 0.01
    assert (low, high) >= (0.0, 0.0)
    assert high <= 1.01


def test_the_axis_without_figures_runs_from_0_to_1():
    assert accuracy_limits([]) == accuracy_limits([{"step": 3, "train/loss": 1.0}]) == (0.0, 1.0)


def test_smoothed_losses_say_so_beside_the_one_that_is_not():
    losses, accuracy, rate = draw_curves(run(**{"train/cross_entropy": 0.7, "train/top1": 0.8}), "").axes
    assert [text.get_text() for text in losses.get_legend().get_texts()] == [
        "train, main head (smoothed targets)",
        "train, aux_4d (smoothed targets)",
        "train, main head",
        "val, main head",
    ]
    assert [text.get_text() for text in accuracy.get_legend().get_texts()] == [
        "train, top-1",
        "val, top-1",
        "val, top-5",
    ]
    assert list(rate.lines[0].get_ydata()) == pytest.approx([1.0, 2.0])


def test_other_losses_are_plain():
    losses = draw_curves(run(), "").axes[0]
    assert [line.get_label() for line in losses.lines] == [
        "train, main head",
        "train, aux_4d",
        "val, main head",
    ]


@pytest.mark.parametrize("records", [[], run()], ids=["nothing", "a run"])
def test_curves_are_drawn_even_without_records(tmp_path, records):
    path = save_curves(tmp_path, records, "a run")
    assert path.read_bytes().startswith(b"\x89PNG")
