"""From grey values of any type to the 0..1 scale that a model was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.model.spec import Normalization

_SAMPLE = 4_000_000


@dataclass(frozen=True)
class Stretch:
    """A linear map of grey values, then clipping: ``clip((x - offset - low) / (high - low))``.

    Attributes
    ----------
    low, high : float
        Grey values above the offset that become 0 and 1.
    clip : tuple of float
        Lowest and highest result.
    offset : int or float
        Taken away first, with the precision of the pixels.
    """

    low: float
    high: float
    clip: tuple[float, float]
    offset: int | float = 0

    def __call__(self, pixels: NDArray[np.generic]) -> NDArray[np.float32]:
        """Map pixels ``(Y, X)`` of any real type to float32; NaN becomes 0 (dark)."""
        scale = 1.0 / (self.high - self.low) if self.high > self.low else 0.0
        out = _above(pixels, self.offset).astype(np.float32)
        out -= np.float32(self.low)
        out *= np.float32(scale)
        np.clip(out, *self.clip, out=out)
        return np.nan_to_num(out, copy=False, nan=0.0)


def find_stretch(
    pixels: NDArray[np.generic], normalization: Normalization, region: NDArray[np.bool_] | None = None
) -> Stretch:
    """Find the grey values that a model's normalisation maps to 0 and 1.

    Parameters
    ----------
    pixels : ndarray of real numbers, (Y, X)
        The analysed part of an image, without the data bar.
    normalization : Normalization
        The model's own record.
    region : ndarray of bool, (Y, X), optional
        Only pixels inside count.

    Returns
    -------
    Stretch
        Computed from finite pixels; of very large images from a regular grid of them.

    Raises
    ------
    InputError
        No finite pixel is there.
    """
    step = max(1, int(np.ceil(np.sqrt(pixels.size / _SAMPLE))))
    values = _values(pixels, region, step)
    if values.size == 0 and step > 1:
        # The grid missed a thin region.
        values = _values(pixels, region, 1)
    if values.size == 0:
        raise InputError(
            "The analysed part of the image holds no finite grey value (all NaN or infinite, or nothing "
            "inside the region). Choose another image or region."
        )
    # Of what float32 holds exactly nothing needs to be taken away first.
    offset = values.min().item() if _is_wide(values.dtype) else 0
    above = _above(values, offset)
    low, high = _percentiles(above, normalization.percentiles)
    if high <= low:
        low, high = above.min(), above.max()
    return Stretch(float(low), float(high), normalization.clip, offset)


def _values(pixels: NDArray[np.generic], region: NDArray[np.bool_] | None, step: int) -> NDArray[np.generic]:
    sample = pixels[::step, ::step]
    values = sample[region[::step, ::step]] if region is not None else sample.ravel()
    return values[np.isfinite(values)] if values.dtype.kind == "f" else values


def _percentiles(values: NDArray[np.generic], percentiles: tuple[float, float]) -> NDArray[np.float64]:
    """Do what `numpy.percentile` does, linear between two values, of any type in float64."""
    if values.dtype.kind != "u" or values.dtype.itemsize > 2:
        found: NDArray[np.float64] = np.percentile(values.astype(np.float64), percentiles)
        return found
    # So few values can occur that counting them takes a tenth of the time of sorting.
    up_to = np.cumsum(np.bincount(values))
    place = np.array(percentiles) / 100 * (len(values) - 1)
    below = np.floor(place)
    low, high = (np.searchsorted(up_to, n, side="right") for n in (below, np.ceil(place)))
    return low + (high - low) * (place - below)


def _is_wide(dtype: np.dtype[Any]) -> bool:
    return dtype.itemsize > (4 if dtype.kind == "f" else 2)


def _above(pixels: NDArray[Any], offset: int | float) -> NDArray[Any]:
    if not offset:
        return pixels
    if pixels.dtype.kind in "iu" and pixels.dtype.itemsize == 8:
        # Above 2**53 float64 is not exact; below the offset nothing but 0 is wanted.
        lowest = pixels.dtype.type(offset)
        return np.asarray(np.maximum(pixels, lowest) - lowest)
    return pixels.astype(np.float64) - offset
