"""Pixel scores from one confusion matrix.

Definitions follow Powers 2011, *Evaluation: from precision, recall and F-measure to ROC*,
J. Machine Learning Technologies 2(1); the correlation of several classes is that of Gorodkin 2004,
Comput. Biol. Chem. 28(5-6). A class that is in neither image has no scores (NaN, "not applicable"),
and is left out of means. A class that is in only one of them has IoU, precision, recall and F1 of 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_micro_ktnet.errors import InputError

# Blocks of this many pixels stay in the processor's cache, as images do not.
_BLOCK = 1 << 16


@dataclass(frozen=True)
class PixelScores:
    """Scores of one class against the rest.

    Attributes
    ----------
    iou, precision, recall, f1, accuracy, specificity : float
        In 0..1, or NaN if the class is in neither image. F1 is Dice. Specificity is NaN, too,
        where the truth is this class everywhere.
    mcc : float
        Matthews correlation, -1..1; NaN where prediction and truth are both constant and equal.
    """

    iou: float
    precision: float
    recall: float
    f1: float
    accuracy: float
    specificity: float
    mcc: float


def confusion_matrix(
    prediction: NDArray[np.integer],
    truth: NDArray[np.integer],
    classes: int,
    ignore: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64]:
    """Count pixels by true and predicted class.

    Parameters
    ----------
    prediction, truth : ndarray of int, same shape, any number of axes
        Class of every pixel, 0 (matrix) to ``classes - 1``.
    classes : int
        Number of classes, matrix included.
    ignore : ndarray of bool, optional
        True where a pixel must not count (data bar, not annotated).

    Returns
    -------
    ndarray of int64, (classes, classes)
        Rows are the truth, columns the prediction. Matrices of several images add up to the
        pooled one.

    Raises
    ------
    InputError
        Shapes differ, or a class is outside ``0 .. classes - 1``.
    """
    if prediction.shape != truth.shape or (ignore is not None and ignore.shape != truth.shape):
        raise InputError(
            f"Prediction {prediction.shape} and truth {truth.shape} must have the same shape"
            + (f" as the ignore mask {ignore.shape}." if ignore is not None else ".")
        )
    p, t = prediction.ravel(), truth.ravel()
    keep = None if ignore is None else ~ignore.ravel()
    if keep is not None and not keep.all():
        p, t = p[keep], t[keep]
    for name, values in (("prediction", p), ("truth", t)):
        if values.size and (values.min() < 0 or values.max() >= classes):
            raise InputError(
                f"The {name} holds labels {int(values.min())} to {int(values.max())}; "
                f"expected 0 (matrix) to {classes - 1}."
            )
    counts = np.zeros(classes * classes, np.int64)
    for start in range(0, p.size, _BLOCK):
        index = t[start : start + _BLOCK].astype(np.intp) * classes
        index += p[start : start + _BLOCK].astype(np.intp)
        counts += np.bincount(index, minlength=classes * classes)
    return counts.reshape(classes, classes)


def scores_from_confusion(matrix: NDArray[np.integer]) -> tuple[PixelScores, ...]:
    """Scores of every class but matrix from a confusion matrix.

    Parameters
    ----------
    matrix : ndarray of int, (classes, classes)
        Rows truth, columns prediction, as from `confusion_matrix`.

    Returns
    -------
    tuple of PixelScores
        One for each class from 1 on. With the pixels of this class against all others,
        ``IoU = TP / (TP + FP + FN)``, ``precision = TP / (TP + FP)``, ``recall = TP / (TP + FN)``,
        ``F1 = 2 TP / (2 TP + FP + FN)``, ``accuracy = (TP + TN) / N``,
        ``specificity = TN / (TN + FP)``,
        ``MCC = (TP TN - FP FN) / sqrt((TP + FP) (TP + FN) (TN + FP) (TN + FN))``.
    """
    total = int(matrix.sum())
    hits = (int(v) for v in np.diag(matrix))
    predicted, actual = (int(v) for v in matrix.sum(0)), (int(v) for v in matrix.sum(1))
    counts = zip(hits, predicted, actual, strict=True)
    return tuple(binary_scores(tp, p - tp, t - tp, total - p - t + tp) for tp, p, t in counts)[1:]


def binary_scores(tp: int, fp: int, fn: int, tn: int) -> PixelScores:
    """Scores of one class from its four counts; see `scores_from_confusion`."""
    predicted, actual = tp + fp, tp + fn
    if not predicted and not actual:
        return PixelScores(*[float("nan")] * 7)
    return PixelScores(
        iou=ratio(tp, tp + fp + fn),
        precision=ratio(tp, predicted, 0.0),
        recall=ratio(tp, actual, 0.0),
        f1=ratio(2 * tp, predicted + actual),
        accuracy=ratio(tp + tn, tp + fp + fn + tn),
        specificity=ratio(tn, tn + fp),
        mcc=_correlation(tp * tn - fp * fn, predicted * (tn + fn), actual * (tn + fp)),
    )


def overall_accuracy(matrix: NDArray[np.integer]) -> float:
    """Share of pixels, matrix included, with the right class; NaN without pixels."""
    return ratio(int(np.trace(matrix)), int(matrix.sum()))


def overall_mcc(matrix: NDArray[np.integer]) -> float:
    """Correlation of all classes at once (R_K of Gorodkin 2004); NaN where both are constant and equal."""
    cells = [[int(v) for v in row] for row in matrix]
    total, right = sum(map(sum, cells)), sum(cells[i][i] for i in range(len(cells)))
    actual = [sum(row) for row in cells]
    predicted = [sum(column) for column in zip(*cells, strict=True)]
    return _correlation(
        right * total - sum(t * p for t, p in zip(actual, predicted, strict=True)),
        total**2 - sum(p * p for p in predicted),
        total**2 - sum(t * t for t in actual),
    )


def _correlation(covariance: int, predicted: int, actual: int) -> float:
    """``covariance / sqrt(predicted * actual)``: 0 where one variance is zero, NaN where both are."""
    if predicted and actual:
        # Integers of Python, because the product of four counts does not fit into 64 bits.
        return float(covariance / (predicted**0.5 * actual**0.5))
    return 0.0 if predicted or actual else float("nan")


def ratio(numerator: float, denominator: float, undefined: float = float("nan")) -> float:
    """Divide, or give `undefined` where the denominator is zero."""
    return numerator / denominator if denominator else undefined
