"""Scores of an entry from its confusion matrices, how sure they are, and paired tests between entries.

The scores are those of `napari_micro_ktnet.measurement`; here they are averaged and resampled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from napari_micro_ktnet.measurement.class_scores import Mean, mean_over_images
from napari_micro_ktnet.measurement.distribution import bootstrap_fields
from napari_micro_ktnet.measurement.scores import PixelScores, scores_from_confusion

SCORES = ("iou", "f1", "precision", "recall")
# Every choice of signs of so many differences is tried; of more, a random sample.
_MOST_EXACT, _RANDOM_SIGNS = 16, 100_000
_NAN = float("nan")


@dataclass(frozen=True)
class Interval:
    """A score with its bootstrap interval of 95 % over images; NaN limits for fewer than 3 images."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class EntryScores:
    """Scores of an entry.

    Attributes
    ----------
    pooled : dict of str to Interval
        `SCORES`: over all pixels of all scored images, mean over classes, mean over seeds.
    mean : Mean
        Mean over images of the IoU of each.
    by_class : tuple of float
        Pooled IoU of every class besides matrix.
    by_seed : tuple of float
        Pooled IoU of each seed, mean over classes.
    per_image : ndarray of float, (images,)
        IoU, mean over seeds and over the classes that are in the truth of the image, so that it rests on
        the same images for every entry; NaN where there is none. What is found there falsely counts in the
        pooled scores.
    """

    pooled: dict[str, Interval]
    mean: Mean
    by_class: tuple[float, ...]
    by_seed: tuple[float, ...]
    per_image: NDArray[np.float64]


@dataclass(frozen=True)
class PairedTest:
    """Another entry against the reference, image by image.

    Attributes
    ----------
    difference : Interval
        Mean over images of the difference in IoU; above 0 the entry is better than the reference.
    p_value : float
        Two-sided; see `sign_flip`. NaN for fewer than 2 images.
    images : int
        Images that have a score on both sides.
    """

    difference: Interval
    p_value: float
    images: int


def score_entry(confusions: NDArray[np.int64], seed: int = 0) -> EntryScores:
    """Average the scores of an entry.

    Parameters
    ----------
    confusions : ndarray of int64, (seeds, images, classes, classes)
        Rows truth, columns prediction, matrix first. Every image is there once for each seed.
    seed : int
        Of the bootstrap.

    Returns
    -------
    EntryScores
        Intervals are percentiles of scores of images drawn with replacement.
    """

    def pooled(times: NDArray[np.int64]) -> NDArray[np.float64]:
        sums = np.einsum("i,sicd->scd", times, confusions)
        return _mean([_macro(scores_from_confusion(m)) for m in sums])

    count = confusions.shape[1]
    values = pooled(np.ones(count, np.int64))
    limits = bootstrap_fields(pooled, count, seed)
    low, high = (np.full(len(SCORES), _NAN),) * 2 if limits is None else limits
    per_image = _mean([[_iou_of_present(m) for m in part] for part in confusions])
    by_class = _mean([[s.iou for s in scores_from_confusion(part.sum(0))] for part in confusions])
    by_seed = [_macro(scores_from_confusion(part.sum(0)))[0] for part in confusions]
    return EntryScores(
        {n: Interval(*map(float, v)) for n, *v in zip(SCORES, values, low, high, strict=True)},
        mean_over_images(per_image.tolist(), seed),
        tuple(by_class.tolist()),
        tuple(by_seed),
        per_image,
    )


def compare(entry: NDArray[np.float64], reference: NDArray[np.float64], seed: int = 0) -> PairedTest:
    """Compare two entries image by image.

    Parameters
    ----------
    entry, reference : ndarray of float, (images,)
        `EntryScores.per_image` of the same images in the same order.
    seed : int
        Of the resampling.
    """
    differences = entry - reference
    differences = differences[~np.isnan(differences)]
    mean = mean_over_images(differences.tolist(), seed)
    interval = Interval(mean.value, mean.low, mean.high)
    return PairedTest(interval, sign_flip(differences, seed), len(differences))


def sign_flip(differences: NDArray[np.float64], seed: int = 0) -> float:
    """Two-sided p value of the paired permutation test on the mean.

    If neither of two entries is better, each difference could as well have the other sign: the p value is
    the share of all choices of signs for which the mean is at least as far from 0 (Fisher 1935, *The Design
    of Experiments*).

    Parameters
    ----------
    differences : ndarray of float, (N,)
        One for each image.
    seed : int
        Of the random signs that stand for all where there are more than 16 images.

    Returns
    -------
    float
        At least ``2 / 2^N``; NaN for fewer than 2 differences.
    """
    count = len(differences)
    if count < 2:
        return _NAN
    if count <= _MOST_EXACT:
        signs = np.array(list(product((1, -1), repeat=count)), np.int8)
    else:
        drawn = np.random.default_rng(seed).integers(0, 2, (_RANDOM_SIGNS - 1, count), np.int8)
        # What was found is one of the choices, so that the p value cannot be 0.
        signs = np.concatenate([np.ones((1, count), np.int8), 2 * drawn - 1])
    means = np.abs(signs @ differences) / count
    # Sums in another order differ in the last digits.
    return float(np.mean(means >= abs(differences.mean()) - 1e-12))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjust p values for their number (Holm 1979, Scand. J. Statist. 6(2), 65-70); NaN stays out.

    Returns
    -------
    dict of str to float
        Below 0.05 where the difference holds although several were tested.
    """
    known = sorted((p, name) for name, p in p_values.items() if not np.isnan(p))
    adjusted, least = dict.fromkeys(p_values, _NAN), 0.0
    for rank, (p, name) in enumerate(known):
        least = max(least, min(1.0, (len(known) - rank) * p))
        adjusted[name] = least
    return adjusted


def _macro(scores: Sequence[PixelScores]) -> list[float]:
    """`SCORES`, each as the mean over the classes for which it is defined."""
    found = []
    for name in SCORES:
        known = [v for v in (getattr(s, name) for s in scores) if not math.isnan(v)]
        found.append(sum(known) / len(known) if known else _NAN)
    return found


def _iou_of_present(confusion: NDArray[np.int64]) -> float:
    """Mean IoU over the classes that an image holds."""
    present = confusion[1:].sum(1) > 0
    found = [s.iou for s, is_there in zip(scores_from_confusion(confusion), present, strict=True) if is_there]
    return sum(found) / len(found) if found else _NAN


def _mean(rows: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Mean over the rows, of what is defined in each column."""
    values = np.array(rows, float)
    known = ~np.isnan(values)
    total = np.where(known, values, 0).sum(0)
    return np.where(known.any(0), total / np.maximum(known.sum(0), 1), _NAN)
