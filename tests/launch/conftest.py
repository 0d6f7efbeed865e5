"""Running the commands in this process."""

import runpy
import sys
from collections.abc import Callable

import pytest
from absl import app

import launch.common.command  # noqa: F401  it defines the flag that all commands share
from tests.support.commands import REPOSITORY, as_in_a_new_process

Command = Callable[..., int]


@pytest.fixture
def command(monkeypatch) -> Command:
    """A function that runs `python -m launch.NAME` in this process and returns its exit status."""
    monkeypatch.chdir(REPOSITORY)

    def run(name: str, *arguments: object) -> int:
        argv = [str(REPOSITORY / f"launch/{name}.py"), *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", argv)
        # absl's own `run` also sets up logging and signals of the process.
        monkeypatch.setattr(
            app, "run", lambda main, flags_parser: sys.exit(main([argv[0], *flags_parser(argv)[1:]]))
        )
        monkeypatch.delitem(sys.modules, f"launch.{name}", raising=False)
        with as_in_a_new_process():
            try:
                runpy.run_module(f"launch.{name}", run_name="__main__", alter_sys=True)
            except SystemExit as end:
                return int(end.code or 0)
        return 0

    return run
