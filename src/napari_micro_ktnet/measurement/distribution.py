"""Size distributions: percentiles, classes, how sure they are, and what they must be warned of."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NDFloat = NDArray[np.float64]

CONFIDENCE = 0.95
FEWEST_FIELDS = 3
"""Fewer fields than this say nothing about the scatter between fields."""

_RESAMPLES = 1000
_TOLERANCE = 0.1
_FEWEST_PIXELS = 20
_SHARE_OF_SMALL = 0.1


def cumulative(sizes: NDFloat, weights: NDFloat, *, is_sorted: bool = False) -> tuple[NDFloat, NDFloat]:
    """Cumulative distribution of weighted sizes.

    Parameters
    ----------
    sizes, weights : ndarray of float, (N,)
        Sizes, and what each counts: 1 for the distribution by number, the area for that by area. What has
        the weight 0 is left out.
    is_sorted : bool
        True if the sizes ascend already.

    Returns
    -------
    sizes, shares : ndarray of float, (M,)
        Ascending sizes, and for each the share of the total weight that lies below the *middle* of this
        object: ``(w_1 + ... + w_(i-1) + w_i / 2) / sum(w)``.
    """
    kept = weights > 0
    x, w = sizes[kept], weights[kept]
    if not is_sorted:
        order = np.argsort(x, kind="stable")
        x, w = x[order], w[order]
    total = np.cumsum(w)
    return x, (total - w / 2) / total[-1] if len(x) else total


def percentiles(
    sizes: NDFloat,
    weights: NDFloat,
    shares: Sequence[float] = (0.1, 0.5, 0.9),
    *,
    is_sorted: bool = False,
) -> NDFloat:
    """Sizes below which given shares of the total weight lie, such as D10, D50 and D90.

    Linear interpolation between the points of `cumulative`; the smallest and the largest size where a
    share lies outside of them. With equal weights these are the quantiles of Hazen (Hyndman & Fan 1996,
    Am. Stat. 50(4), 361-365, definition 5; ``numpy.quantile(..., method="hazen")``), whose median is the
    usual one.

    Parameters
    ----------
    sizes, weights, is_sorted
        As for `cumulative`.
    shares : sequence of float
        In 0..1.

    Returns
    -------
    ndarray of float
        One for each share; NaN without objects.
    """
    x, position = cumulative(sizes, weights, is_sorted=is_sorted)
    if not len(x):
        return np.full(len(shares), np.nan)
    return np.interp(shares, position, x)


def size_edges(sizes: NDFloat, steps: Sequence[float] = (1, 2, 5)) -> NDFloat:
    """Class limits at round numbers, the same for every lot.

    Parameters
    ----------
    sizes : ndarray of float, (N,)
        Positive; the classes go from the one of the smallest to the one of the largest.
    steps : sequence of float
        Limits within a decade: 1, 2, 5, 10, 20, ... by default.

    Returns
    -------
    ndarray of float
        Ascending limits of classes ``[a, b)``; none without sizes.
    """
    if not len(sizes):
        return np.zeros(0)
    decades = range(math.floor(math.log10(sizes.min())) - 1, math.floor(math.log10(sizes.max())) + 2)
    # Powers of ten are rounded as text is, so that 0.3 is 0.3.
    edges = np.array([float(f"{step}e{decade}") for decade in decades for step in steps])
    first = np.searchsorted(edges, sizes.min(), side="right") - 1
    last = np.searchsorted(edges, sizes.max(), side="right")
    return edges[first : last + 1]


def log_edges(sizes: NDFloat, per_decade: int = 10) -> NDFloat:
    """Limits for a histogram on a log axis: ``10^(k / per_decade)``, the same grid for every lot."""
    if not len(sizes):
        return np.zeros(0)
    first = math.floor(per_decade * math.log10(sizes.min()))
    last = math.floor(per_decade * math.log10(sizes.max())) + 1
    edges: NDFloat = 10.0 ** (np.arange(first, last + 1) / per_decade)
    # Rounding in the logarithm must not push a size at a limit out.
    edges[0], edges[-1] = min(edges[0], sizes.min()), max(edges[-1], np.nextafter(sizes.max(), np.inf))
    return edges


@dataclass(frozen=True, eq=False)
class Histogram:
    """Objects by size class.

    Attributes
    ----------
    edges : ndarray of float, (K + 1,)
        Class k holds sizes in ``[edges[k], edges[k + 1])``.
    count : ndarray of float, (K,)
        Sum of the objects' weights; whole numbers where every weight is 1.
    area_share : ndarray of float, (K,)
        Share of the area of all objects.
    """

    edges: NDFloat
    count: NDFloat
    area_share: NDFloat


def histogram(sizes: NDFloat, areas: NDFloat, weights: NDFloat, edges: NDFloat) -> Histogram:
    """Sort objects into size classes.

    Parameters
    ----------
    sizes, areas, weights : ndarray of float, (N,)
        Sizes, areas, and how much each object counts.
    edges : ndarray of float, (K + 1,)
        From `size_edges` or `log_edges`.
    """
    classes = max(len(edges) - 1, 0)
    where = np.searchsorted(edges, sizes, side="right") - 1
    inside = (where >= 0) & (where < classes)
    count = np.asarray(np.bincount(where[inside], weights[inside], classes), float)
    area = np.asarray(np.bincount(where[inside], (weights * areas)[inside], classes), float)
    total = float((weights * areas).sum())
    return Histogram(edges, count[:classes], area[:classes] / total if total else area[:classes])


def bootstrap_fields(
    statistics: Callable[[NDArray[np.int64]], NDFloat], fields: int, seed: int = 0
) -> NDFloat | None:
    """Confidence limits from the scatter between fields.

    Whole fields are drawn with replacement, since objects of one field are not independent (percentile
    bootstrap of clusters: Davison & Hinkley 1997, *Bootstrap Methods and their Application*, 3.8).

    Parameters
    ----------
    statistics : function
        From how often each field was drawn, int64 ``(fields,)``, to K figures; NaN where one is undefined.
    fields : int
        How many there are.
    seed : int
        Of the random draws: the same seed gives the same limits.

    Returns
    -------
    ndarray of float, (2, K), or None
        Lower and upper limit at 95 %; None with fewer than 3 fields, which tell nothing about their scatter.
    """
    if fields < FEWEST_FIELDS:
        return None
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(fields, np.full(fields, 1 / fields), size=_RESAMPLES)
    found = np.array([statistics(draw) for draw in draws])
    tail = (1 - CONFIDENCE) / 2
    out = np.full((2, found.shape[1]), np.nan)
    for k in np.flatnonzero(~np.isnan(found).all(axis=0)):
        out[:, k] = np.nanquantile(found[:, k], (tail, 1 - tail))
    return out


def needed_objects(sizes: NDFloat, tolerance: float = _TOLERANCE) -> tuple[int, int]:
    """How many objects a median size asks for.

    For log-normal sizes with the standard deviation s of their logarithms, the number median ``exp(m)``
    has the relative error ``u s / sqrt(n)``, and the area median ``exp(m + 2 s^2)`` (Hatch & Choate 1929)
    the error ``u s sqrt((1 + 8 s^2) / n)``: the variances of mean and variance of the logarithms, put
    together. It is the reasoning of Masuda & Iinoya 1971, J. Chem. Eng. Japan 4(1), 60-66, on which ISO
    13322-1 rests.

    Parameters
    ----------
    sizes : ndarray of float, (N,)
        At least two.
    tolerance : float
        Relative error that may be exceeded in 5 % of the cases.

    Returns
    -------
    number, area : int
        For the median by number, and by area.
    """
    variance = float(np.var(np.log(sizes), ddof=1))
    base = (1.96 / tolerance) ** 2 * variance
    return math.ceil(base), math.ceil(base * (1 + 8 * variance))


def sampling_warnings(sizes: NDFloat, pixels: NDFloat) -> list[str]:
    """Say where there are too few objects, or too few pixels in them.

    Parameters
    ----------
    sizes, pixels : ndarray of float, (N,)
        Diameters, and areas in pixels, of the objects that count.

    Returns
    -------
    list of str
        Sentences for users.
    """
    if len(sizes) < 2:
        found = "no object" if not len(sizes) else "only 1 object"
        return [f"There is {found}, so that no size distribution can be given. Measure more fields."]
    warnings = []
    by_number, by_area = needed_objects(sizes)
    if len(sizes) < by_area:
        text = f"{by_area} for the median by area"
        text = f"{by_number} for the median by number and {text}" if len(sizes) < by_number else text
        warnings.append(
            f"There are {len(sizes)} objects; about {text} are needed to be within {_TOLERANCE:.0%} "
            "of the truth (95 % confidence, log-normal sizes). Measure more fields."
        )
    share = float(np.mean(pixels < _FEWEST_PIXELS))
    if share > _SHARE_OF_SMALL:
        warnings.append(
            f"{share:.0%} of the objects have fewer than {_FEWEST_PIXELS} pixels: the pixel grid alone "
            "makes their sizes scatter by 2 % and more, and their shapes mean nothing. Use a higher "
            "magnification, or set a least size."
        )
    return warnings
