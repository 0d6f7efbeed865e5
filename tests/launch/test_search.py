"""`launch.sweep --search`: its mistakes, its result and its table."""

import json
import sys

import pytest

from flax_googlenet.sweeps import SearchOutcome

SHIPPED = "configs/searches/optimizer.py"
RATE = "optimizer.learning_rate"


def trial(name, status, **figures):
    return {"row": name, "status": status, "values": {RATE: 0.02}, **figures}


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], "Name one file, by --sweep=configs/sweeps/NAME.py or by --search=configs/searches/NAME.py."),
        ([f"--search={SHIPPED}", "--sweep=configs/sweeps/head.py"], "Name one file, by --sweep="),
        (
            ["--search=configs/searches/optimzer.py"],
            "There is no search file configs/searches/optimzer.py; did y",
        ),
        (["--search=configs/sweeps/head.py"], f"has no function get_search(); see {SHIPPED}."),
        ([f"--search={SHIPPED}:base=imagnet"], 'did you mean "configs/imagenet.py"'),
        (
            [f"--search={SHIPPED}", f"--config.{RATE}=0.1"],
            f"config.{RATE} is set for all trials, but the search",
        ),
        ([f"--search={SHIPPED}", "--config.lr=0.1"], f'did you mean "{RATE}"'),
        (
            [f"--search={SHIPPED}", "--seeds=3"],
            "--seeds is for --sweep, not for --search: a trial has the seed",
        ),
        (
            [f"--search={SHIPPED}", "--dry_run"],
            "--dry_run is for --sweep, not for --search: the values of a trial",
        ),
        (
            [f"--search={SHIPPED}", "--executor=slurm"],
            "--executor is for --sweep, not for --search: a trial waits",
        ),
        (
            ["--sweep=configs/sweeps/head.py", "--trials=3"],
            "--trials is for --search; the runs of a sweep are its",
        ),
        ([f"--search={SHIPPED}", "--trials=0"], "--trials is '0'; it must be"),
    ],
)
def test_a_mistake_is_one_sentence(command, capsys, tmp_path, flags, words):
    assert command("sweep", f"--workdir={tmp_path / 'search'}", *flags) in (1, 2)
    streams = capsys.readouterr()
    assert streams.out == ""
    assert words in streams.err.splitlines()[-1]
    assert not (tmp_path / "search").exists()


def test_without_optuna_a_sentence_says_how_to_install_it(command, capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert command("sweep", f"--workdir={tmp_path}", f"--search={SHIPPED}") == 1
    assert 'pip install -e ".[search]"' in capsys.readouterr().err.splitlines()[-1]


def test_the_result_names_the_best_trial(command, capsys, monkeypatch, tmp_path):
    asked = {}

    def run_search(search, base, **options):
        asked.update(options, base=search.base, seed=base["seed"])
        records = (
            trial("trial_000", "failed"),
            trial("trial_001", "done", top1=0.8),
            trial("trial_002", "done", top1=0.9),
            trial("trial_003", "done", top1=0.9),
            trial("trial_004", "pruned", top1=0.95),
        )
        return SearchOutcome(records, "results.json", "the table", "best.py")

    monkeypatch.setattr("flax_googlenet.sweeps.run_search", run_search)
    flags = (f"--workdir={tmp_path}", "--trials=5", "--config.duration=2 epochs")
    assert command("sweep", f"--search={SHIPPED}:base=mnist_sample", *flags) == 0, (
        "one trial failed, others did not"
    )
    streams = capsys.readouterr()
    assert "the table" in streams.err
    assert json.loads(streams.out) == {
        "trials": 5,
        "complete": 3,
        "pruned": 1,
        "failed": 1,
        "best": "trial_002",
        "top1": 0.9,
        "values": {RATE: 0.02},
        "config": "best.py",
        "results": "results.json",
        "report": None,
    }
    assert asked == {
        "base": "mnist_sample",
        "seed": 0,
        "trials": 5,
        "changes": {"duration": "2 epochs"},
        "workdir": str(tmp_path),
    }


def test_no_complete_trial_is_in_the_status(command, capsys, monkeypatch, tmp_path):
    outcome = SearchOutcome((trial("trial_000", "failed"),), "results.json", "", "")
    monkeypatch.setattr("flax_googlenet.sweeps.run_search", lambda *_, **__: outcome)
    assert command("sweep", f"--search={SHIPPED}", f"--workdir={tmp_path}") == 1
    result = json.loads(capsys.readouterr().out)
    assert (result["best"], result["config"], result["failed"]) == (None, None, 1)
