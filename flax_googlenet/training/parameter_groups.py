"""Groups of parameters, by patterns of their names: frozen parameters and factors of learning rates.

The name of a parameter is its path, such as "stem/conv1/conv/kernel". In a pattern, `*` matches
any text including "/", `?` a single character, and `[ab]` one of the characters.
"""

import difflib
import fnmatch
from collections.abc import Callable, Iterable
from typing import Any

import jax
from jaxtyping import PyTree
from ml_collections import FrozenConfigDict

from flax_googlenet.errors import UserError
from flax_googlenet.models.convolution import BatchNorm


def is_frozen(name: str, patterns: Iterable[str]) -> bool:
    """Return whether one of the patterns matches a name.

    >>> is_frozen("inception_3a/conv1x1/conv/bias", ("stem/*", "inception_3*"))
    True
    """
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def factor(name: str, rates: Iterable[tuple[str, float]]) -> float:
    """Return the factor of the first pattern that matches a parameter, or 1.

    Args:
      name: name of the parameter.
      rates: patterns and their factors.

    >>> factor("head/bias", (("*/kernel", 5.0), ("head/*", 10.0))), factor("stem/bias", ())
    (10.0, 1.0)
    """
    return next((value for pattern, value in rates if fnmatch.fnmatchcase(name, pattern)), 1.0)


def frozen_mask(params: PyTree, patterns: Iterable[str]) -> PyTree:
    """Return a tree that is true for frozen parameters."""
    return _map_names(lambda name, _: is_frozen(name, patterns), params)


def scale_by_factor(updates: PyTree, rates: Iterable[tuple[str, float]]) -> PyTree:
    """Multiply the update of each parameter by the factor of its name."""
    return _map_names(lambda name, update: update * factor(name, rates), updates)


def stop_gradient_where_frozen(params: PyTree, patterns: Iterable[str]) -> PyTree:
    """Return the parameters, with no gradient through those that are frozen."""
    return _map_names(
        lambda name, value: jax.lax.stop_gradient(value) if is_frozen(name, patterns) else value, params
    )


def keep_frozen(old: PyTree, new: PyTree, patterns: Iterable[str]) -> PyTree:
    """Return the new parameters, with the old values for those that are frozen.

    An update of 0 does not suffice, since it turns -0 into 0.
    """
    return jax.tree.map(lambda frozen, a, b: a if frozen else b, frozen_mask(new, patterns), old, new)


def freeze_normalization(patterns: Iterable[str]) -> Callable[..., Any]:
    """Return an interceptor for `flax.linen.intercept_methods` that freezes running statistics.

    A frozen normalization, whose scale and bias are both frozen, uses its running statistics
    and does not update them.
    """

    def intercept(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
        module = context.module
        is_normalization = isinstance(module, BatchNorm) and context.method_name == "__call__"
        if is_normalization and _is_normalization_frozen("/".join(module.path), patterns):
            kwargs = {**kwargs, "use_running_average": True}
        return call(*args, **kwargs)

    return intercept


def frozen_statistics(batch_stats: PyTree, patterns: Iterable[str]) -> PyTree:
    """Return a tree that is true for the statistics of frozen normalizations."""
    return _map_names(
        lambda name, _: _is_normalization_frozen(name.rpartition("/")[0], patterns), batch_stats
    )


def _is_normalization_frozen(path: str, patterns: Iterable[str]) -> bool:
    return all(is_frozen(f"{path}/{leaf}", patterns) for leaf in ("scale", "bias"))


def check_patterns(optimizer: FrozenConfigDict, params: PyTree) -> None:
    """Check that every pattern has an effect, and that something is left to train.

    Args:
      optimizer: the section `optimizer` of a resolved config.
      params: the parameters, or their shapes.

    Raises:
      UserError: if a pattern matches no parameter, or if every parameter is frozen.
    """
    names = [_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    patterns = [("freeze", pattern) for pattern in optimizer.freeze]
    patterns += [("rates", pattern) for pattern, _ in optimizer.rates]
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


def _map_names(function: Callable[[str, Any], Any], tree: PyTree) -> PyTree:
    return jax.tree_util.tree_map_with_path(lambda path, leaf: function(_name(path), leaf), tree)


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")
