import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from flax_googlenet.errors import UserError
from flax_googlenet.training.clock import Lap
from flax_googlenet.training.curves import save_curves
from flax_googlenet.training.reporting import Reporter
from tests.conftest import read_metrics

FIGURES = {"loss": 1.5, "learning_rate": 0.1, "loss_logits": 1.0, "loss_aux_4a": 1.2}
EVALUATION = {"top1": 0.5, "top5": 0.9, "loss": 1.25, "num_examples": 10}


def report(workdir, first, last, total=10, history=()):
    reporter = Reporter(workdir, first_step=first, total_steps=total, history=history)
    for step in range(first + 1, last + 1):
        reporter.advance()
        reporter.train(step, {**FIGURES, "loss": float(step)}, Lap(100.0, 0.25), batch_size=50)
    reporter.evaluation(last, EVALUATION)
    reporter.close()
    return reporter.records


def test_plain_lines_when_not_on_a_terminal(tmp_path, capsys):
    report(tmp_path, 0, 2)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "step 1/10: loss 1.0000, 100.0 images/s, 25% waiting for data, 0:04 left",
        "step 2/10: loss 2.0000, 100.0 images/s, 25% waiting for data, 0:04 left",
        "step 2/10: evaluated 10 images, top1 0.5000, top5 0.9000, loss 1.2500",
    ]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b'{"step": 1}\n{"step": 7, "train/lo', id="killed while writing"),
        pytest.param(b'{"step": 1}\n{"st\n{"step": 3}\n', id="corrupt line"),
        pytest.param(b"\xff\xfe", id="not UTF-8"),
        pytest.param(None, id="deleted"),
    ],
)
def test_a_resumed_run_has_each_step_once_whatever_became_of_the_file(tmp_path, content):
    history = report(tmp_path, 0, 4)
    file = tmp_path / "metrics.jsonl"
    file.unlink() if content is None else file.write_bytes(content)
    records = report(tmp_path, 4, 10, history=history)
    assert [record["step"] for record in records if "train/loss" in record] == list(range(1, 11))
    assert read_metrics(tmp_path) == records


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.raises(UserError, match=f"Cannot write {tmp_path}/metrics.jsonl: Is a directory"):
        report(tmp_path, 0, 1)


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
    assert len(reporter.records) == 2, "every host keeps them for its description of the checkpoint"


@pytest.mark.parametrize("steps", [0, 3])
def test_curves_are_drawn_even_of_nothing(tmp_path, steps):
    records = report(tmp_path, 0, steps) if steps else []
    path = save_curves(tmp_path, records, "a run")
    assert path.read_bytes().startswith(b"\x89PNG")
