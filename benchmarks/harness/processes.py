"""The process of a form, seen from the one that measures."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from typing import IO, Any

from benchmarks.conditions import REPOSITORY, commit_of
from benchmarks.harness.forms import Form
from flax_googlenet.errors import UserError


class FormProcess:
    """A process that answers requests; `benchmarks.harness.worker` lists them.

    Attributes:
      facts: the facts of the form.
    """

    def __init__(self, form: Form, process: subprocess.Popen[str], errors: IO[str]) -> None:
        self._form, self._process, self._errors = form, process, errors
        self.facts: dict[str, Any] = self._read()

    def ask(self, request: Mapping[str, Any]) -> Any:
        """Send a request and return the answer.

        Raises:
          UserError: if the process has ended.
        """
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # `_read` says why the process has ended
            print(json.dumps(request), file=self._process.stdin, flush=True)
        return self._read()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line:
            return json.loads(line)
        status = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        print(*lines, sep="\n", file=sys.stderr)
        reason = lines[-1] if lines else f"exit status {status}"
        raise UserError(f"The form {self._form.name} failed: {reason}; its stderr is above.")


@contextlib.contextmanager
def started(form: Form, allocator: str) -> Iterator[FormProcess]:
    """Start the process of a form and wait until it has warmed up; end it with the context.

    Raises:
      UserError: if the form fails.
    """
    specification = {
        "build": form.build,
        "options": dict(form.options),
        "checkout": form.checkout,
        "allocator": allocator,
    }
    print(f"{form.name}: building", file=sys.stderr, flush=True)
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.harness.worker", json.dumps(specification)],
            cwd=REPOSITORY,
            # The processes share the memory of a GPU, so none may take most of it at its start.
            env={**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false", **form.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        try:
            ready = FormProcess(form, process, errors)
            if form.checkout:
                ready.facts["commit"] = commit_of(pathlib.Path(form.checkout))
            seconds = ready.facts["first_call_seconds"]
            print(f"{form.name}: ready, {seconds} s until the end of the first call", file=sys.stderr)
            yield ready
        finally:
            process.kill()
            process.communicate()
