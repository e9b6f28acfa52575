"""What is right and wrong about every pixel, and the colours that show it everywhere."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

RIGHT, MISSED, FALSE, OTHER = 1, 2, 3, 4
"""Labels of an error map: right, missed, false, and the wrong one of several classes."""

COLORS = {RIGHT: "#ffdd00", MISSED: "#00c800", FALSE: "#e61e1e", OTHER: "#2f9bff"}
"""Those of the paper's overlays: true positives yellow, false negatives green, false positives red."""


def error_map(
    prediction: NDArray[Any],
    truth: NDArray[Any],
    ignore: NDArray[np.bool_] | None = None,
    *,
    instances: bool = False,
) -> NDArray[np.uint8]:
    """Label every pixel by what is right and wrong about it.

    Parameters
    ----------
    prediction, truth : ndarray of int or bool, (Y, X)
        Labels, 0 = matrix.
    ignore : ndarray of bool, (Y, X), optional
        True where pixels do not count.
    instances : bool
        Labels number objects of one class.

    Returns
    -------
    ndarray of uint8, (Y, X)
        0 where both are matrix and where pixels are ignored, else `RIGHT`, `MISSED`, `FALSE` or `OTHER`.
    """
    predicted, true = prediction > 0, truth > 0
    both = predicted & true
    found = np.zeros(truth.shape, np.uint8)
    found[both] = RIGHT
    found[true & ~predicted] = MISSED
    found[predicted & ~true] = FALSE
    if not instances:
        found[both & (prediction != truth)] = OTHER
    if ignore is not None:
        found[ignore] = 0
    return found
