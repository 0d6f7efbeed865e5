import json
import logging
import sys
import types

import cv2
import numpy as np
import pytest
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.hparams.api_pb2 import ListSessionGroupsRequest, Status
from tensorboard.plugins.hparams.backend_context import Context as HParamsContext
from tensorboard.plugins.hparams.list_session_groups import Handler as ListSessionGroups
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from flax_googlenet.config import flatten, resolve, to_json_dict
from flax_googlenet.errors import UserError
from flax_googlenet.sharding import data_mesh
from flax_googlenet.training.reporting.clock import Lap
from flax_googlenet.training.reporting.reporter import TIMINGS, Reporter, over_steps
from tests.support.commands import read_metrics

FIGURES = {"loss": 1.5, "learning_rate": 0.1, "loss_logits": 1.0, "loss_aux_4a": 1.2}
EVALUATION = {"top1": 0.5, "top5": 0.9, "loss": 1.25, "num_examples": 10}


SHARES = {"steps": 0.75, "compile": 0.25}


def report(workdir, first, last, total=10, history=()):
    reporter = Reporter(workdir, first_step=first, total_steps=total, history=history)
    for step in range(first + 1, last + 1):
        reporter.advance()
        reporter.train(step, {**FIGURES, "loss": float(step)}, Lap(100.0, 0.25, SHARES), batch_size=50)
    reporter.evaluation(last, EVALUATION)
    reporter.close()
    return reporter.records


def test_plain_lines_when_not_on_a_terminal(tmp_path, caplog, capsys):
    report(tmp_path, 0, 2)
    assert capsys.readouterr().out == ""
    assert caplog.messages == [
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
def test_a_resumed_run_has_each_step_once_even_if_the_file_is_corrupt(tmp_path, content):
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
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [(1, 1), (2, 2), (3, 3)]
    assert events.Scalars("val/top1")[0].value == pytest.approx(0.5)
    assert events.Scalars("train/goodput")[0].value == pytest.approx(0.75)
    assert events.Scalars("time/compile")[0].value == pytest.approx(0.25)


def test_tensorboard_shows_config_samples_and_figures(tmp_path):
    config = resolve({"optimizer": {"learning_rate": 0.25, "freeze": ("stem/*",)}, "seed": 3})
    reporter = Reporter(tmp_path, first_step=0, total_steps=1)
    reporter.start(config, data_mesh())
    images = np.arange(2 * 6 * 5 * 3, dtype=np.uint8).reshape(2, 6, 5, 3)
    reporter.samples(images)
    reporter.train(1, FIGURES, Lap(1.0, 0.0), batch_size=1)
    reporter.evaluation(1, EVALUATION)
    reporter.close()
    assert [path.parent for path in tmp_path.rglob("*tfevents*")] == [tmp_path / "events"], "one run"
    events = EventAccumulator(str(tmp_path / "events")).Reload()
    (text,) = events.Tensors("config/text_summary")[0].tensor_proto.string_val
    assert json.loads(text.decode().removeprefix("```json\n").removesuffix("\n```")) == to_json_dict(config)
    contents = events.PluginTagToContent("hparams")
    start = HParamsPluginData.FromString(contents["_hparams_/session_start_info"]).session_start_info
    assert set(start.hparams) == set(flatten(config))
    assert start.hparams["optimizer.learning_rate"].number_value == 0.25
    assert start.hparams["model.variant"].string_value == "paper"
    assert start.hparams["optimizer.freeze"].string_value == "('stem/*',)"
    experiment = HParamsPluginData.FromString(contents["_hparams_/experiment"]).experiment
    metrics = [info.name.tag for info in experiment.metric_infos]
    assert metrics == ["val/top1", "val/top5", "val/loss"]
    assert set(metrics) <= set(events.Tags()["scalars"])
    (shown,) = events.Images("train/samples")
    pixels = cv2.imdecode(np.frombuffer(shown.encoded_image_string, np.uint8), cv2.IMREAD_COLOR_RGB)
    np.testing.assert_array_equal(pixels, np.concatenate(images, axis=1), "side by side")


def test_the_hyperparameters_come_with_the_last_figures(tmp_path):
    """As TensorBoard's plugin shows them, after a resumption."""
    (tmp_path / "run").mkdir()
    for first, top1 in ((0, 0.25), (1, 0.75)):
        reporter = Reporter(tmp_path / "run", first_step=first, total_steps=2)
        reporter.start(resolve({"seed": 3}), data_mesh())
        reporter.evaluation(first + 1, {**EVALUATION, "top1": top1})
        reporter.close()
    runs = EventMultiplexer().AddRunsFromDirectory(str(tmp_path)).Reload()
    provider = MultiplexerDataProvider(runs, str(tmp_path))
    backend = HParamsContext(types.SimpleNamespace(data_provider=provider, plugin_name="hparams"))
    request = ListSessionGroupsRequest(slice_size=10, allowed_statuses=Status.values())
    (shown,) = ListSessionGroups(RequestContext(), backend, "", request).run().session_groups
    assert shown.hparams["seed"].number_value == 3
    values = {value.name.tag: (value.training_step, value.value) for value in shown.metric_values}
    assert values == {"val/top1": (2, 0.75), "val/top5": (2, pytest.approx(0.9)), "val/loss": (2, 1.25)}


@pytest.mark.parametrize("enabled", [True, False])
def test_a_log_file_gets_what_the_terminal_does_not_show(tmp_path, caplog, monkeypatch, enabled):
    """Beside a progress bar, or in a process that is not the first."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    caplog.set_level(logging.DEBUG, "flax_googlenet")
    reporter = Reporter(tmp_path, first_step=0, total_steps=10, enabled=enabled)
    reporter.train(1, FIGURES, Lap(100.0, 0.25), batch_size=50)
    reporter.close()
    (record,) = caplog.records
    assert record.levelno == logging.DEBUG
    assert record.message.startswith("step 1/10: loss 1.5000, 100.0 images/s")


def test_the_timings_are_those_that_a_restart_changes(tmp_path):
    def report_step(lap):
        reporter = Reporter(tmp_path, first_step=0, total_steps=1)
        reporter.train(1, FIGURES, lap, batch_size=1)
        reporter.close()
        return reporter.records[0]

    one, two = report_step(Lap(1.0, 0.1)), report_step(Lap(2.0, 0.2, SHARES))
    assert {name for name in one if one[name] != two[name]} == set(TIMINGS)


def test_figures_over_several_steps():
    """Means, except for the last learning rate and the total of corrupt images."""
    steps = [
        {"loss": 3.0, "learning_rate": 0.1, "bad_images": 1},
        {"loss": 2.0, "learning_rate": 0.3, "bad_images": 2},
    ]
    assert over_steps(steps) == {"loss": 2.5, "learning_rate": 0.3, "bad_images": 3}


def test_silent_where_not_enabled(tmp_path, caplog):
    reporter = Reporter(tmp_path, first_step=0, total_steps=1, enabled=False)
    reporter.start(resolve({}), data_mesh())
    reporter.samples(np.zeros((1, 2, 2, 3), np.uint8))
    reporter.advance()
    reporter.train(1, FIGURES, Lap(1.0, 0.0), batch_size=1)
    reporter.evaluation(1, EVALUATION)
    reporter.log("nothing")
    reporter.close()
    assert caplog.text == ""
    assert not list(tmp_path.iterdir())
    assert len(reporter.records) == 2, "every host keeps them for its description of the checkpoint"
