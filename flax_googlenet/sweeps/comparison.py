"""Statistics of rows that were run with the same seeds."""

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence

from scipy.special import stdtrit

# What the figures of a table mean.
LEGEND = (
    "± is the sample standard deviation over the seeds. For a difference, which is paired by seed, it is "
    "half the width of the 95% confidence interval of Student's t."
)


@dataclasses.dataclass(frozen=True)
class Spread:
    """Mean and spread of some values.

    Attributes:
      mean: their mean.
      deviation: their sample standard deviation; None for a single value.
      count: number of values.
    """

    mean: float
    deviation: float | None
    count: int


@dataclasses.dataclass(frozen=True)
class Difference:
    """Mean of paired differences.

    Attributes:
      mean: their mean.
      half_width: half the width of the confidence interval around the mean; None for a single pair.
      pairs: number of pairs.
    """

    mean: float
    half_width: float | None
    pairs: int


def spread(values: Sequence[float]) -> Spread:
    """Return the mean and the sample standard deviation.

    >>> spread([1.0, 3.0])
    Spread(mean=2.0, deviation=1.4142135623730951, count=2)
    """
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return Spread(statistics.fmean(values), deviation, len(values))


def paired_difference(
    values: Mapping[int, float], reference: Mapping[int, float], confidence: float = 0.95
) -> Difference | None:
    """Return the mean difference between two rows, paired by seed, with Student's confidence interval.

    With n differences d of mean m and sample standard deviation s, the interval is

        m ± t * s / sqrt(n)

    where t is the quantile (1 + confidence) / 2 of Student's distribution with n - 1 degrees of freedom. It
    holds if the differences are normally distributed.

    Args:
      values: a figure by seed.
      reference: the same figure of the reference, by seed. Seeds of only one row are left out.
      confidence: between 0 and 1.

    Returns:
      The difference, or None if no seed is shared.

    >>> difference = paired_difference({0: 1.0, 1: 3.0}, {0: 0.0, 1: 1.0})
    >>> difference.mean, round(difference.half_width, 4), difference.pairs
    (1.5, 6.3531, 2)
    """
    differences = [values[seed] - reference[seed] for seed in sorted(values.keys() & reference.keys())]
    if not differences:
        return None
    found = spread(differences)
    if found.deviation is None:
        return Difference(found.mean, None, 1)
    quantile = float(stdtrit(found.count - 1, (1 + confidence) / 2))
    return Difference(found.mean, quantile * found.deviation / math.sqrt(found.count), found.count)


def with_deviation(found: Spread, scale: float, digits: int) -> str:
    """Return a mean with its deviation.

    >>> with_deviation(Spread(0.91, 0.0141, 2), 100, 2)
    '91.00 ± 1.41'
    """
    deviation = "" if found.deviation is None else f" ± {scale * found.deviation:,.{digits}f}"
    return f"{scale * found.mean:,.{digits}f}{deviation}"


def with_half_width(difference: Difference) -> str:
    """Return a difference in points with half its interval.

    >>> with_half_width(Difference(0.004, 0.002, 3))
    '+0.40 ± 0.20'
    """
    half = "" if difference.half_width is None else f" ± {100 * difference.half_width:.2f}"
    return f"{100 * difference.mean:+.2f}{half}".replace("-", "\N{MINUS SIGN}")
