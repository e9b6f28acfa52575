"""From grey values of any type to the 0..1 scale that a model was trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.model.spec import Normalization

_SAMPLE = 4_000_000


@dataclass(frozen=True)
class Stretch:
    """A linear map of grey values, then clipping: ``clip((x - low) / (high - low))``.

    Attributes
    ----------
    low, high : float
        Grey values that become 0 and 1.
    clip : tuple of float
        Lowest and highest result.
    """

    low: float
    high: float
    clip: tuple[float, float]

    def __call__(self, pixels: NDArray[np.generic]) -> NDArray[np.float32]:
        """Map pixels ``(Y, X)`` of any real type to float32; NaN becomes 0 (dark)."""
        scale = 1.0 / (self.high - self.low) if self.high > self.low else 0.0
        out = pixels.astype(np.float32)
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
    sample = pixels[::step, ::step]
    values = sample[region[::step, ::step]] if region is not None else sample.ravel()
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
    if values.size == 0:
        raise InputError(
            "The analysed part of the image holds no finite grey value (all NaN or infinite, or nothing "
            "inside the region). Choose another image or region."
        )
    low, high = np.percentile(values.astype(np.float64), normalization.percentiles)
    if high <= low:
        low, high = float(values.min()), float(values.max())
    return Stretch(float(low), float(high), normalization.clip)
