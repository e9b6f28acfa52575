"""Pixel scores from one confusion matrix.

Definitions follow Powers 2011, *Evaluation: from precision, recall and F-measure to ROC*,
J. Machine Learning Technologies 2(1). A score whose denominator is zero is NaN ("not
applicable"), never 0 or 1, and is left out of means.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_micro_ktnet.errors import InputError


@dataclass(frozen=True)
class PixelScores:
    """Scores of one class against the rest.

    Attributes
    ----------
    iou, precision, recall, f1 : float
        In 0..1, or NaN where undefined: IoU and F1 if the class is in neither image, precision
        if it is not predicted, recall if it is not in the truth.
    """

    iou: float
    precision: float
    recall: float
    f1: float


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
    keep = slice(None) if ignore is None else ~ignore
    p, t = prediction[keep].ravel(), truth[keep].ravel()
    for name, values in (("prediction", p), ("truth", t)):
        if values.size and (values.min() < 0 or values.max() >= classes):
            raise InputError(
                f"The {name} holds labels {int(values.min())} to {int(values.max())}; "
                f"expected 0 (matrix) to {classes - 1}."
            )
    index = t.astype(np.intp) * classes + p.astype(np.intp)
    return np.bincount(index, minlength=classes * classes).reshape(classes, classes)


def scores_from_confusion(matrix: NDArray[np.integer]) -> tuple[PixelScores, ...]:
    """Scores of every class but matrix from a confusion matrix.

    Parameters
    ----------
    matrix : ndarray of int, (classes, classes)
        Rows truth, columns prediction, as from `confusion_matrix`.

    Returns
    -------
    tuple of PixelScores
        One for each class from 1 on: ``IoU = TP / (TP + FP + FN)``,
        ``precision = TP / (TP + FP)``, ``recall = TP / (TP + FN)``,
        ``F1 = 2 TP / (2 TP + FP + FN)``.
    """
    true = np.diag(matrix).astype(float)
    predicted, actual = matrix.sum(0).astype(float), matrix.sum(1).astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        iou = true / (predicted + actual - true)
        precision, recall, f1 = true / predicted, true / actual, 2 * true / (predicted + actual)
    return tuple(
        PixelScores(float(iou[c]), float(precision[c]), float(recall[c]), float(f1[c]))
        for c in range(1, len(matrix))
    )
