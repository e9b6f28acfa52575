"""What segmentation gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.model.spec import ModelSpec


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Class probabilities of an image, and how they came about.

    Attributes
    ----------
    probability : ndarray of float32
        ``(C, Y, X)``, or ``(C, Z, Y, X)`` for a stack. One class: C = 1 and the probability of
        that class. More: C = classes + 1, the first is matrix, and they sum to 1. Zero outside
        `analysed`.
    analysed : ndarray of bool, (Y, X) or (Z, Y, X)
        True where the network looked: not the data bar, not outside the region, not NaN.
    spec : ModelSpec
        The model's specification.
    model_name, model_sha256 : str
        Which model it was.
    pixel_size : tuple of float or None
        Pixel size ``(y, x)`` of the image in nm.
    parameters : dict
        Tile, overlap, device, precision and so on, as they were used.
    """

    probability: NDArray[np.float32]
    analysed: NDArray[np.bool_]
    spec: ModelSpec
    model_name: str
    model_sha256: str
    pixel_size: tuple[float, float] | None
    parameters: dict[str, Any] = field(default_factory=dict)

    def labels(self, threshold: float = 0.5) -> NDArray[np.uint8]:
        """Turn probabilities into labels.

        Parameters
        ----------
        threshold : float
            From 0 to 1. One class: pixels of at least this probability are labelled. More
            classes: the likeliest class wins where the probability of matrix is at most
            ``1 - threshold``.

        Returns
        -------
        ndarray of uint8, (Y, X) or (Z, Y, X)
            0 = matrix, data bar and everything outside the analysed region; classes from 1.

        Raises
        ------
        InputError
            The threshold is out of range.
        """
        return probability_to_labels(self.probability, threshold, self.analysed)


def probability_to_labels(
    probability: NDArray[np.floating], threshold: float = 0.5, analysed: NDArray[np.bool_] | None = None
) -> NDArray[np.uint8]:
    """Turn class probabilities ``(C, ..., Y, X)`` into labels; see `Segmentation.labels`."""
    if not 0 <= threshold <= 1:
        raise InputError(f"The threshold must be from 0 to 1, found {threshold}.")
    labels: NDArray[np.uint8]
    if len(probability) == 1:
        labels = (probability[0] >= threshold).astype(np.uint8)
    else:
        best = probability[1:].argmax(axis=0).astype(np.uint8) + np.uint8(1)
        labels = np.where(probability[0] <= 1 - threshold, best, 0).astype(np.uint8)
    if analysed is not None:
        labels *= analysed
    return labels
