import json

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from flax_googlenet.training.clock import Lap
from flax_googlenet.training.curves import save_curves
from flax_googlenet.training.reporting import Reporter, read_metrics

FIGURES = {"loss": 1.5, "learning_rate": 0.1, "loss_logits": 1.0, "loss_aux_4a": 1.2}
EVALUATION = {"top1": 0.5, "top5": 0.9, "loss": 1.25, "num_examples": 10}


def report(workdir, first, last, total=10):
    reporter = Reporter(workdir, first_step=first, total_steps=total)
    for step in range(first + 1, last + 1):
        reporter.advance()
        reporter.train(step, {**FIGURES, "loss": float(step)}, Lap(100.0, 0.25), batch_size=50)
    reporter.evaluation(last, EVALUATION)
    reporter.close()


def test_plain_lines_when_not_on_a_terminal(tmp_path, capsys):
    report(tmp_path, 0, 2)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "step 1/10: loss 1.0000, 100.0 images/s, 25% waiting for data, 0:04 left",
        "step 2/10: loss 2.0000, 100.0 images/s, 25% waiting for data, 0:04 left",
        "step 2/10: evaluated 10 images, top1 0.5000, top5 0.9000, loss 1.2500",
    ]


def test_a_resumed_run_has_each_step_once(tmp_path):
    report(tmp_path, 0, 6)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 7, "train/lo')  # killed while writing
    report(tmp_path, 4, 10)
    records = read_metrics(tmp_path)
    assert [each["step"] for each in records if "train/loss" in each] == list(range(1, 11))
    assert all(json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines())


def test_event_files_read_back(tmp_path):
    report(tmp_path, 0, 3)
    events = EventAccumulator(str(tmp_path / "events")).Reload()
    assert [(each.step, each.value) for each in events.Scalars("train/loss")] == [(1, 1), (2, 2), (3, 3)]
    assert events.Scalars("val/top1")[0].value == pytest.approx(0.5)


def test_silent_where_not_enabled(tmp_path, capsys):
    reporter = Reporter(tmp_path, first_step=0, total_steps=1, enabled=False)
    reporter.advance()
    reporter.train(1, FIGURES, Lap(1.0, 0.0), batch_size=1)
    reporter.evaluation(1, EVALUATION)
    reporter.say("nothing")
    reporter.close()
    assert capsys.readouterr().err == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("steps", [0, 3])
def test_curves_are_drawn_even_of_nothing(tmp_path, steps):
    if steps:
        report(tmp_path, 0, steps)
    path = save_curves(tmp_path, "a run")
    assert path.read_bytes().startswith(b"\x89PNG")
