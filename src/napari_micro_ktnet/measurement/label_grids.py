"""Whether two label images show the same field, and how to bring one to the pixels of the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Pixel sizes and ratios of sides count as equal up to this.
_SAME = 0.01


@dataclass(frozen=True)
class Grid:
    """Pixels of an image.

    Attributes
    ----------
    shape : tuple of int
        ``(Y, X)``.
    pixel_size : tuple of float or None
        nm, ``(y, x)``.
    """

    shape: tuple[int, ...]
    pixel_size: tuple[float, float] | None

    @property
    def extent(self) -> tuple[float, float] | None:
        """Height and width in nm, where they are known."""
        if self.pixel_size is None:
            return None
        return self.shape[0] * self.pixel_size[0], self.shape[1] * self.pixel_size[1]

    def on(self, shape: tuple[int, ...]) -> Grid:
        """Give the grid of the same field with another number of pixels."""
        if self.extent is None:
            return Grid(shape, None)
        return Grid(shape, (self.extent[0] / shape[0], self.extent[1] / shape[1]))


def grid_problem(prediction: Grid, truth: Grid) -> tuple[str, bool]:
    """Say why two images cannot be compared pixel by pixel, and whether resampling one would help.

    Returns
    -------
    problem : str
        A sentence; empty where they can be compared.
    resampling : bool
        They show the same field at two scales.
    """
    if prediction.extent is not None and truth.extent is not None:
        tolerance = _SAME + 1 / min(*prediction.shape, *truth.shape)
        same = all(abs(p / t - 1) <= tolerance for p, t in zip(prediction.extent, truth.extent, strict=True))
        told = (
            "they show fields of different size. Compare labels of the same image, or correct the pixel size."
        )
    else:
        same = _same_field(prediction.shape, truth.shape)
        told = (
            "their proportions differ, so that they do not show the same field. Compare labels of the same "
            "image; a data bar must be in both or in neither."
        )
    if same and prediction.shape == truth.shape:
        return "", False
    if same:
        scale = f"{truth.shape[0] / prediction.shape[0]:.4g} : 1"
        told = f"they seem to show the same field at another scale ({scale})."
    return f"The prediction has {_described(prediction)}, the truth {_described(truth)}: {told}", same


def resampled(image: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Bring an image ``(Y, X)`` to another number of pixels, each taking the nearest value."""
    if image.shape == shape:
        return image
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int) for new, old in zip(shape, image.shape, strict=True)
    )
    return image[np.ix_(rows, columns)]


def _same_field(prediction: tuple[int, ...], truth: tuple[int, ...]) -> bool:
    """Whether two shapes may be the same field at two scales, one pixel more or less being rounding."""
    if prediction == truth:
        return True
    scale = truth[1] / prediction[1]
    agrees = abs(truth[0] - prediction[0] * scale) <= max(1, scale) + _SAME * truth[0]
    return agrees and (truth[0] > prediction[0]) == (truth[1] > prediction[1])


def _described(grid: Grid) -> str:
    pixels = f"{grid.shape[0]} x {grid.shape[1]} pixels"
    return (
        pixels
        if grid.pixel_size is None
        else f"{pixels} of {grid.pixel_size[0]:g} x {grid.pixel_size[1]:g} nm"
    )
