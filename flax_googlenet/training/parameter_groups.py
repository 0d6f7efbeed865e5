"""Groups of parameters by patterns of their names: which stay frozen, and what rate the others have.

A parameter's name is its path, "stem/conv1/conv/kernel". In a pattern `*` stands for
anything, "/" too, `?` for one character and `[ab]` for one of these.
"""

import difflib
import fnmatch
from collections.abc import Callable, Iterable
from typing import Any

import jax
from flax import linen as nn
from ml_collections import FrozenConfigDict

from flax_googlenet.errors import UserError


def is_frozen(name: str, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns matches a name.

    >>> is_frozen("inception_3a/conv1x1/conv/bias", ("stem/*", "inception_3*"))
    True
    """
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def factor(name: str, rates: Iterable[tuple[str, float]]) -> float:
    """What the rate of a parameter is multiplied by: that of the first pattern to match, or 1.

    >>> factor("head/bias", (("*/kernel", 5.0), ("head/*", 10.0))), factor("stem/bias", ())
    (10.0, 1.0)
    """
    return next((value for pattern, value in rates if fnmatch.fnmatchcase(name, pattern)), 1.0)


def frozen_mask(params: Any, patterns: Iterable[str]) -> Any:
    """True for the frozen leaves of a tree of parameters."""
    return _map_names(lambda name, _: is_frozen(name, patterns), params)


def scale_by_factor(updates: Any, rates: Iterable[tuple[str, float]]) -> Any:
    """Each leaf of a tree with the parameters' names, times the factor of its name."""
    return _map_names(lambda name, update: update * factor(name, rates), updates)


def stop_gradient_where_frozen(params: Any, patterns: Iterable[str]) -> Any:
    """Parameters through which no gradient is computed where they are frozen."""
    return _map_names(
        lambda name, value: jax.lax.stop_gradient(value) if is_frozen(name, patterns) else value, params
    )


def keep_frozen(old: Any, new: Any, patterns: Iterable[str]) -> Any:
    """The new tree, with the old leaves where they are frozen: adding 0 makes 0 of -0."""
    return jax.tree.map(lambda frozen, a, b: a if frozen else b, frozen_mask(new, patterns), old, new)


def freeze_normalization(patterns: Iterable[str]) -> Callable[..., Any]:
    """An interceptor for `flax.linen.intercept_methods`: frozen layers use their running statistics.

    Those are then not updated either. A normalisation is frozen when its scale and its
    bias are.
    """

    def intercept(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
        module = context.module
        is_normalization = isinstance(module, nn.BatchNorm) and context.method_name == "__call__"
        if is_normalization and _is_normalization_frozen("/".join(module.path), patterns):
            kwargs = {**kwargs, "use_running_average": True}
        return call(*args, **kwargs)

    return intercept


def frozen_statistics(batch_stats: Any, patterns: Iterable[str]) -> Any:
    """Return a tree that is true for the statistics of frozen normalisations."""
    return _map_names(
        lambda name, _: _is_normalization_frozen(name.rpartition("/")[0], patterns), batch_stats
    )


def _is_normalization_frozen(path: str, patterns: Iterable[str]) -> bool:
    return all(is_frozen(f"{path}/{leaf}", patterns) for leaf in ("scale", "bias"))


def check_patterns(optimizer: FrozenConfigDict, params: Any) -> None:
    """Refuse patterns that do nothing, or that leave nothing to train.

    Args:
      optimizer: the section `optimizer` of a resolved config.
      params: the parameters, or their shapes.

    Raises:
      UserError: a pattern matches no parameter, or every parameter is frozen.
    """
    names = [_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    patterns = [("freeze", each) for each in optimizer.freeze] + [
        ("rates", each) for each, _ in optimizer.rates
    ]
    for key, pattern in patterns:
        if not fnmatch.filter(names, pattern):
            nearest = difflib.get_close_matches(pattern, names, n=3, cutoff=0.0)
            raise UserError(
                f'config.optimizer.{key} has "{pattern}", which matches no parameter; there are '
                + ", ".join(f'"{name}"' for name in nearest)
                + f" and {len(names) - len(nearest)} others."
            )
    if all(is_frozen(name, optimizer.freeze) for name in names):
        raise UserError("config.optimizer.freeze leaves nothing to train; freeze less.")


def _map_names(function: Callable[[str, Any], Any], tree: Any) -> Any:
    return jax.tree_util.tree_map_with_path(lambda path, leaf: function(_name(path), leaf), tree)


def _name(path: Any) -> str:
    return "/".join(part.key for part in path)
