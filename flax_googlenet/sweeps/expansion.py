"""The runs of a sweep: every row with every seed, resolved and checked."""

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath
from ml_collections import ConfigDict, FrozenConfigDict

from flax_googlenet.config import DEFAULTS, OPERATIONAL_KEYS, flatten, to_json_dict
from flax_googlenet.config.names import unknown_key
from flax_googlenet.config.schema import KEYS, nested
from flax_googlenet.errors import UserError
from flax_googlenet.inheritance import resolve_config
from flax_googlenet.paths import resolve_path
from flax_googlenet.sweeps.rows import Row, Sweep

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")


@dataclasses.dataclass(frozen=True)
class Run:
    """A row with a seed.

    Attributes:
      row: the row.
      seed: value of `config.seed`.
      overrides: all values that differ from the base config, by the full names of their keys.
      config: the resolved config.
      workdir: directory of the run.
    """

    row: Row
    seed: int
    overrides: Mapping[str, Any]
    config: FrozenConfigDict
    workdir: epath.Path

    @property
    def name(self) -> str:
        """The directory of the run in that of the sweep."""
        return f"{self.row.name}/seed_{self.seed}"

    @property
    def digest(self) -> str:
        """The SHA-256 of the resolved config, without keys that change no result."""
        flat = flatten(to_json_dict(self.config))
        kept = {key: value for key, value in flat.items() if key not in OPERATIONAL_KEYS}
        return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def expand(
    sweep: Sweep,
    base: Mapping[str, Any],
    *,
    changes: Mapping[str, Any] | None = None,
    seeds: int = 1,
    workdir: str | os.PathLike = "",
) -> tuple[Run, ...]:
    """Return the runs of a sweep, seed by seed for each row.

    The value of a key comes from the first of these that sets it: the row; `changes`; the sweep; `base`.

    Args:
      sweep: the sweep.
      base: the keys that its base config sets, nested as in `DEFAULTS`.
      changes: values for all rows, by the full names of their keys.
      seeds: number of runs of a row. The first one has the seed of the config, and each other one the next.
      workdir: directory of the sweep.

    Raises:
      UserError: if a row has a mistake. The message names it.

    >>> sweep = Sweep("mnist_sample", (Row("both"), Row("none", {"model.aux_heads": 0})))
    >>> [run.name for run in expand(sweep, {"batch_size": 8}, seeds=2)]
    ['both/seed_0', 'both/seed_1', 'none/seed_0', 'none/seed_1']
    """
    changes = changes or {}
    if not sweep.chosen:
        raise UserError("The sweep has no rows; give it at least one.")
    _check_names(sweep.chosen)
    if not (flatten(base).keys() <= KEYS.keys() and set(base) <= set(DEFAULTS)):
        resolve_config(base)  # a mistake of the base itself, which no row is to blame for
    shared = {**sweep.overrides, **changes}
    for key in shared:
        if key not in KEYS:
            raise unknown_key(key)
    root = resolve_path(workdir)
    runs = []
    for row in sweep.chosen:
        _check_keys(row, changes)
        overrides = {**shared, **row.overrides}
        try:
            first = _resolve(base, overrides, root / row.name)
            for seed in range(first.seed, first.seed + seeds):
                place = root / row.name / f"seed_{seed}"
                own = {**overrides, "seed": seed}
                runs.append(Run(row, seed, own, _resolve(base, own, place), place))
        except UserError as error:
            raise UserError(f'In the row "{row.name}": {error}') from None
    _check_distinct(runs)
    return tuple(runs)


def _resolve(base: Mapping[str, Any], overrides: Mapping[str, Any], workdir: epath.Path) -> FrozenConfigDict:
    settings = base.to_dict() if isinstance(base, ConfigDict) else base
    return resolve_config(nested({**flatten(settings), **overrides}), workdir)


def _check_names(rows: Sequence[Row]) -> None:
    for number, row in enumerate(rows):
        if not _NAME.fullmatch(row.name):
            raise UserError(
                f'"{row.name}" cannot be the name of a row and its directory; use lower-case letters, '
                'digits, "_", "-" and ".", and begin with a letter or a digit.'
            )
        if row.name in [other.name for other in rows[:number]]:
            raise UserError(f'Two rows have the name "{row.name}"; rename one.')


def _check_keys(row: Row, changes: Mapping[str, Any]) -> None:
    for key in row.overrides:
        if key not in KEYS:
            raise UserError(f'In the row "{row.name}": {unknown_key(key)}')
        if key == "seed":
            raise UserError(f'The row "{row.name}" sets the seed, which tells its runs apart; leave it out.')
        if key in changes:
            raise UserError(
                f'config.{key} is set for all rows, but the row "{row.name}" is about it; leave it out, or '
                "leave the row out."
            )


def _check_distinct(runs: Sequence[Run]) -> None:
    earlier: dict[str, Run] = {}
    for run in runs:
        same = earlier.setdefault(run.digest, run)
        if same is not run:
            raise UserError(
                f'The rows "{same.row.name}" and "{run.row.name}" resolve to the same config; change '
                "or remove one."
            )
