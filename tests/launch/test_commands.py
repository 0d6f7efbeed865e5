"""Each command as a process of its own, as a user runs it."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from flax_googlenet import checkpoints, load
from flax_googlenet.checkpoints.arrays import _reader
from flax_googlenet.config import resolve
from flax_googlenet.data import open_source
from flax_googlenet.training.reporting.reporter import TIMINGS
from tests.support import QUICK_TO_COMPILE
from tests.support.commands import (
    REPOSITORY,
    TINY,
    process_environment,
    read_metrics,
    result_of,
    traced_steps,
)
from tests.support.processes import interrupt, start, wait_for

pytestmark = pytest.mark.slow


def without_speed(result: dict) -> dict:
    dropped = ("images_per_second", "checkpoint", "goodput")
    return {name: value for name, value in result.items() if name not in dropped}


def arrays(checkpoint: str) -> dict:
    """Return every array of a checkpoint by name."""
    items = {name: ocp.args.StandardRestore() for name in ("weights", "optimizer")}
    with _reader() as reader:
        return dict(reader.restore(checkpoints.find(checkpoint), args=ocp.args.Composite(**items)))


def losses_of(workdir: pathlib.Path) -> list[float]:
    return [record["train/loss"] for record in read_metrics(workdir) if "train/loss" in record]


def without_timings(workdir: pathlib.Path) -> list[dict[str, float]]:
    return [
        {name: value for name, value in record.items() if name not in TIMINGS}
        for record in read_metrics(workdir)
    ]


def launch_unoptimized(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command that no other test repeats, with less time for XLA's optimizations."""
    return subprocess.run(
        [sys.executable, "-m", f"launch.{name}", *arguments],
        cwd=REPOSITORY,
        env={**process_environment(), "XLA_FLAGS": QUICK_TO_COMPILE},
        capture_output=True,
        text=True,
        check=False,
    )


def test_train_reports_and_leaves_its_files(train_run, trained):
    result = result_of(train_run)
    assert set(result) == {"step", "top1", "top5", "loss", "images_per_second", "checkpoint", "goodput"}
    assert result["step"] == 40
    assert result["images_per_second"] > 0
    assert result["checkpoint"] == str(trained / "checkpoints/40")
    assert {path.name for path in trained.iterdir()} == {
        ".lock",
        "checkpoints",
        "config.json",
        "curves.png",
        "events",
        "goodput.json",
        "logs",
        "metrics.jsonl",
        "profile",
    }
    records = read_metrics(trained)
    losses = [record for record in records if "train/loss" in record]
    assert [record["step"] for record in losses] == list(range(1, 41))
    heads = {"train/loss_logits", "train/loss_aux_4a", "train/loss_aux_4d"}
    assert heads | {"train/learning_rate", "train/images_per_second"} <= set(losses[0])
    assert [record["step"] for record in records if "val/top1" in record] == [20, 40]
    assert "evaluated 1000 images" in train_run.stderr


def test_train_records_its_time_its_log_and_a_trace(train_run, trained):
    goodput = result_of(train_run)["goodput"]
    assert (goodput["attempts"], goodput["steps_redone"]) == (1, 0)
    assert sum(goodput["seconds"].values()) == pytest.approx(goodput["wall_seconds"], abs=1)
    nothing = {name for name, seconds in goodput["seconds"].items() if not seconds}
    assert nothing <= {"redone_steps", "data"}
    assert goodput["share"] == pytest.approx(
        goodput["seconds"]["steps"] / goodput["wall_seconds"], abs=0.1 / goodput["wall_seconds"] + 1e-3
    )
    assert goodput.items() <= json.loads((trained / "goodput.json").read_text()).items()
    shares = [record["train/goodput"] for record in read_metrics(trained) if "train/goodput" in record]
    assert len(shares) == 40
    assert 0 < shares[-1] < 1
    events = EventAccumulator(str(trained / "events")).Reload()
    last = [events.Scalars(f"time/{name}")[-1].value for name in goodput["seconds"]]
    assert sum(last) == pytest.approx(1, abs=0.01)

    (log,) = (trained / "logs").iterdir()
    header, *lines = log.read_text().splitlines()
    assert f"--workdir={trained}" in header
    said = [line.split(" ", 3)[3] for line in lines]
    shown = [line.removeprefix("warning: ") for line in train_run.stderr.splitlines()]
    assert said == shown[-len(said) :]
    assert said[0].startswith("training for 40 steps")
    assert traced_steps(trained) == [38, 39]


def test_tensorboard_shows_the_experiment(trained):
    events = EventAccumulator(str(trained / "events")).Reload()
    tags = events.Tags()
    assert {"train/top1", "train/cross_entropy", "train/loss_logits", "val/top1"} <= set(tags["scalars"])
    assert "config/text_summary" in tags["tensors"]
    assert events.PluginTagToContent("hparams")
    (samples,) = events.Images("train/samples")  # eight of 32x32 side by side
    assert (samples.step, samples.width, samples.height) == (0, 8 * 32, 32)
    assert not [path for path in (trained / "events").iterdir() if path.is_dir()], "one run"
    rates = {event.step: event.value for event in events.Scalars("train/learning_rate")}
    assert rates[10] == pytest.approx(0.015 * 9 / 10), "of the tenth step, in a warm-up of ten"


def test_the_same_command_says_that_the_run_is_complete(run_here, train_run, trained):
    again = run_here("train", f"--workdir={trained}", *TINY)
    assert "is complete" in again.stderr
    assert "compiling" not in again.stderr, "it does not train again"
    assert result_of(again) == result_of(train_run)


def test_a_run_that_was_stopped_ends_as_if_it_had_not_been(launch, train_run, trained, tmp_path):
    """Killed after a checkpoint, interrupted between two steps, and interrupted in an evaluation."""
    command = ("-m", "launch.train", f"--workdir={tmp_path}", *TINY)
    process = start(*command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not (tmp_path / "checkpoints/8/digests.json").exists():
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL

    for words in ("/40: loss", "step 20/40: loss"):
        process = start(*command)
        wait_for(process, f"resuming at step {checkpoints.find_latest(str(tmp_path)).name} of")
        wait_for(process, words)
        message = interrupt(process)
        latest = checkpoints.find_latest(str(tmp_path))
        assert message == f"interrupted: the same command resumes from step {latest.name}"

    resumed = launch("train", f"--workdir={tmp_path}", *TINY)
    assert f"resuming at step {latest.name} of" in resumed.stderr
    assert without_speed(result_of(resumed)) == without_speed(result_of(train_run))
    jax.tree.map(np.testing.assert_array_equal, arrays(str(tmp_path)), arrays(str(trained)))
    assert losses_of(tmp_path) == losses_of(trained), "every step once, and bit for bit"
    assert without_timings(tmp_path) == without_timings(trained)
    assert result_of(resumed)["goodput"]["attempts"] == 4, "whatever ended the others"
    assert (tmp_path / "logs/process_0.log").read_text().count("=== ") == 4


@pytest.fixture(scope="module")
def eight(launch, tmp_path_factory):
    """A run on eight devices, shorter than `trained`, whose warm-up is the same."""
    workdir = tmp_path_factory.mktemp("eight")
    short = (
        "--config.duration=12 steps",
        "--config.evaluation.every=0 steps",
        "--config.checkpoint.every=0 steps",
    )
    return workdir, launch("train", f"--workdir={workdir}", *TINY, *short, devices=8)


def test_eight_devices_agree_with_one(trained, eight):
    workdir, process = eight
    assert "on 8 x cpu" in process.stderr
    losses, expected = losses_of(workdir), losses_of(trained)
    # The sums over the batch are taken in another order; training magnifies the difference.
    np.testing.assert_allclose(losses[0], expected[0], rtol=1e-5)
    np.testing.assert_allclose(losses[:8], expected[:8], rtol=1e-2)


@pytest.mark.parametrize(("saved_on", "devices"), [(1, 1), (8, 1), (1, 8)])
def test_evaluate_repeats_the_figures_of_training(launch, train_run, trained, eight, saved_on, devices):
    workdir, process = (trained, train_run) if saved_on == 1 else eight
    expected = result_of(process)
    figures = result_of(launch("evaluate", f"--checkpoint={workdir}", devices=devices))
    assert figures["num_examples"] == 1000
    assert (figures["models"], figures["crops"]) == (1, 1)
    assert (figures["top1"], figures["top5"]) == (expected["top1"], expected["top5"])
    if saved_on == devices:
        assert figures["loss"] == expected["loss"]
    np.testing.assert_allclose(figures["loss"], expected["loss"], rtol=1e-5)


def test_evaluate_takes_other_data(launch, trained, tmp_path):
    write_digits(tmp_path / "val", per_class=2)
    process = launch(
        "evaluate",
        f"--checkpoint={trained}",
        "--config.data.source=image_folder",
        f"--config.data.path={tmp_path}",
    )
    assert result_of(process)["num_examples"] == 20


def write_digits(directory: pathlib.Path, per_class: int) -> None:
    source = open_source(resolve({"data": {"source": "mnist_sample"}}).data, "val")
    for index in range(len(source)):
        example = source[index]
        folder = directory / source.class_names[example.label]
        folder.mkdir(parents=True, exist_ok=True)
        if len(list(folder.iterdir())) < per_class:
            (folder / f"{index}.png").write_bytes(example.encoded)


def test_predict_is_what_load_predicts(launch, trained, tmp_path):
    write_digits(tmp_path, per_class=1)
    paths = sorted(str(path) for path in tmp_path.rglob("*.png"))
    result = result_of(launch("predict", f"--checkpoint={trained}", "--top=3", *paths))
    classifier = load(trained)
    probabilities = classifier.predict(paths)
    np.testing.assert_allclose(probabilities.sum(-1), 1, rtol=1e-5)
    assert [image["path"] for image in result["images"]] == paths
    for row, image in zip(probabilities, result["images"], strict=True):
        assert len(image["classes"]) == 3
        best = image["classes"][0]
        assert best["name"] == str(best["label"])
        # This process compiles with fewer optimizations, hence with other roundings.
        assert best["probability"] == pytest.approx(row[best["label"]], rel=1e-3)


def test_evaluate_averages_over_crops_and_checkpoints(launch, trained, tmp_path):
    write_digits(tmp_path / "data/val", per_class=10)
    paths = [trained / "checkpoints/40", trained / "checkpoints/32"]
    assert all(path.is_dir() for path in paths)
    process = launch(
        "evaluate",
        f"--checkpoint={','.join(map(str, paths))}",
        "--crops=10",
        "--aux_heads",
        f"--out={tmp_path / 'report'}",
        "--config.data.source=image_folder",
        f"--config.data.path={tmp_path / 'data'}",
        "--config.data.resize=36",
    )
    result = result_of(process)
    assert (result["models"], result["crops"], result["num_examples"]) == (2, 10, 100)
    assert {"ece", "top1_aux_4a", "loss_aux_4d"} <= set(result)
    assert "confusion" not in result
    written = json.loads((tmp_path / "report/results.json").read_text())
    assert {name: written[name] for name in result} == result
    assert sum(map(sum, written["confusion"])) == sum(row["examples"] for row in written["classes"]) == 100
    correct = sum(row["accuracy"] * row["examples"] for row in written["classes"])
    assert correct == pytest.approx(result["top1"] * 100)
    assert (tmp_path / "report/confusion.png").stat().st_size > 10_000


def test_summary_prints_the_papers_table(run_here, tmp_path):
    process = run_here("summary", "--config=configs/imagenet.py")
    figures = {"params": 6998552, "params_with_aux": 13378280, "multiply_adds": 1582671872}
    assert result_of(process) == {**figures, "activation_bytes": 18582624}
    assert "inception_5b" in process.stderr
    out = tmp_path / "table.md"
    process = run_here("summary", "--config.model.stem_reduce=false", f"--out={out}")
    assert result_of(process)["params"] == 6_994_392
    assert "| inception_5b" in out.read_text()


def test_summary_compares(run_here):
    process = run_here("summary", "--config=configs/imagenet.py:variant=paper", "--compare=vgg16")
    compared = result_of(process)["compare"]
    assert (compared["variant"], compared["params"], compared["params_ratio"]) == ("vgg16", 138357544, 0.0506)
    assert "| 1/19.8 |" in process.stderr


def test_an_image_folder_trains_from_random_crops(tmp_path):
    for split in ("train", "val"):
        write_digits(tmp_path / "data" / split, per_class=4)
    result = result_of(
        launch_unoptimized(
            "train",
            "--config=configs/imagenet.py",
            f"--workdir={tmp_path / 'run'}",
            f"--config.data.path={tmp_path / 'data'}",
            "--config.model.num_classes=10",
            "--config.model.dtype=bfloat16",
            "--config.data.image_size=32",
            "--config.data.resize=40",
            "--config.batch_size=8",
            "--config.duration=2 steps",
            "--config.averaging.kind=ema",
            "--config.optimizer.accumulate=2",
        )
    )
    assert result["step"] == 2
    assert np.isfinite(result["loss"])


def test_a_loss_that_is_no_number_stops_the_run(tmp_path):
    explosive = ("--config.optimizer.learning_rate=1e30", "--config.optimizer.clip_norm=0")
    first = ("--config.checkpoint.every=1 step", "--config.evaluation.every=0 steps")
    process = launch_unoptimized("train", f"--workdir={tmp_path}", *TINY, *explosive, *first)
    assert process.returncode == 1
    assert "Traceback" not in process.stderr
    *_, last = process.stderr.splitlines()
    # The warm-up starts at rate 0, so the first step does no harm and the second does.
    assert re.search(
        rf"became (nan|inf) at step 3; the last good checkpoint is {tmp_path}/checkpoints/[12];", last
    )


def test_nothing_imports_tensorflow(trained, tmp_path):
    """A decoy of TensorFlow that records its import is first on the path."""
    package = tmp_path / "tensorflow"
    package.mkdir()
    (package / "__init__.py").write_text(
        "import pathlib\npathlib.Path(__file__).with_name('imported').touch()\nraise ImportError('a decoy')\n"
    )
    environment = {**process_environment(), "PYTHONPATH": os.pathsep.join([str(tmp_path), str(REPOSITORY)])}
    # All of `TINY`, although one step would do: this program is in the cache.
    arguments = ["launch.train", f"--workdir={tmp_path / 'run'}", *TINY, "--config.evaluation.every=0 steps"]
    run_all = (
        "import sys, runpy\n"
        f"sys.argv = {arguments!r}\n"
        "try: runpy.run_module('launch.train', run_name='__main__')\n"
        "except SystemExit as stop: assert not stop.code, stop.code\n"
        f"import flax_googlenet; flax_googlenet.load({str(trained)!r})\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    command = [sys.executable, "-c", run_all]
    process = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    assert not (package / "imported").exists()
