"""Scores against the threshold of a probability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.measurement.scores import PixelScores, binary_scores

_BLOCK = 1 << 16


@dataclass(frozen=True)
class ThresholdCurve:
    """Pixel scores at each threshold.

    Attributes
    ----------
    thresholds : tuple of float
        Rising.
    scores : tuple of PixelScores
        Of the pixels whose probability is at least the threshold.
    """

    thresholds: tuple[float, ...]
    scores: tuple[PixelScores, ...]


def threshold_curve(
    probability: NDArray[np.floating],
    truth: NDArray[np.integer] | NDArray[np.bool_],
    thresholds: Sequence[float] | None = None,
    ignore: NDArray[np.bool_] | None = None,
) -> ThresholdCurve:
    """Score a probability at many thresholds in one pass.

    Parameters
    ----------
    probability : ndarray of float, (Y, X)
        From 0 to 1.
    truth : ndarray of int or bool, (Y, X)
        The class is wherever this is not 0.
    thresholds : sequence of float, optional
        0.00, 0.01, ..., 1.00 if not given.
    ignore : ndarray of bool, (Y, X), optional
        True where a pixel must not count. NaN in `probability` does not count either.

    Returns
    -------
    ThresholdCurve
        Exactly what thresholding and counting gives one by one.

    Raises
    ------
    InputError
        Shapes differ, or the probability is not of a floating-point type.
    """
    steps = np.arange(101) / 100 if thresholds is None else np.sort(np.asarray(thresholds, float))
    if probability.shape != truth.shape or (ignore is not None and ignore.shape != truth.shape):
        raise InputError(
            f"Probability {probability.shape}, truth {truth.shape} and the ignore mask must have one shape."
        )
    if probability.dtype.kind != "f":
        raise InputError(
            f"The probability has the type {probability.dtype}. Expected real numbers from 0 to 1, such as "
            "<stem>_probability.tif holds."
        )
    # In the image's own precision, as thresholding the image does.
    edges = steps.astype(probability.dtype)
    p, t = probability.ravel(), truth.ravel() != 0
    drop = None if ignore is None else ignore.ravel()
    counts = np.zeros((2, len(edges) + 1), np.int64)
    for start in range(0, p.size, _BLOCK):
        part = slice(start, start + _BLOCK)
        keep = ~np.isnan(p[part]) if drop is None else ~(np.isnan(p[part]) | drop[part])
        passed, actual = np.searchsorted(edges, p[part][keep], side="right"), t[part][keep]
        for side in (0, 1):
            counts[side] += np.bincount(passed[actual == side], minlength=len(edges) + 1)
    # A pixel that passes k thresholds is labelled at the first k.
    positive = counts[:, ::-1].cumsum(axis=1)[:, -2::-1]
    totals = counts.sum(axis=1)
    scores = [
        binary_scores(int(tp), int(fp), int(totals[1] - tp), int(totals[0] - fp)) for fp, tp in positive.T
    ]
    return ThresholdCurve(tuple(steps.tolist()), tuple(scores))
