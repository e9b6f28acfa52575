"""Pictures of labels over an image, for people to look at."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_erosion

from napari_micro_ktnet.files import write_bytes
from napari_micro_ktnet.measurement.error_map import COLORS
from napari_micro_ktnet.model.spec import LabelClass

_FILL = 0.25
_ERROR_FILL = 0.55


def class_overlay(
    pixels: NDArray[np.generic], labels: NDArray[np.integer], classes: tuple[LabelClass, ...]
) -> NDArray[np.uint8]:
    """Draw every class as a translucent area with an opaque outline.

    Parameters
    ----------
    pixels, labels : ndarray, (Y, X)
        Grey values, and label values from 0.
    classes : tuple of LabelClass
        Colours; label value 1 is the first.

    Returns
    -------
    ndarray of uint8, (Y, X, 3)
    """
    out = _grey_rgb(pixels)
    width = max(1, round(min(labels.shape) / 700))
    for value, entry in enumerate(classes, 1):
        color = _rgb(entry.color)
        inside = labels == value
        out[inside] = (1 - _FILL) * out[inside] + _FILL * color
        out[inside & ~binary_erosion(inside, iterations=width)] = color
    return out.astype(np.uint8)


def error_overlay(pixels: NDArray[np.generic], errors: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Colour what is right and wrong; see `napari_micro_ktnet.measurement.error_map`.

    Parameters
    ----------
    pixels, errors : ndarray, (Y, X)
        Grey values, and what `error_map` gives.

    Returns
    -------
    ndarray of uint8, (Y, X, 3)
    """
    out = _grey_rgb(pixels)
    for value, color in COLORS.items():
        where = errors == value
        out[where] = (1 - _ERROR_FILL) * out[where] + _ERROR_FILL * _rgb(color)
    return out.astype(np.uint8)


def write_png(path: Path, picture: NDArray[np.uint8]) -> Path:
    """Write ``(Y, X, 3)`` as PNG, under a temporary name first."""
    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG")
    return write_bytes(path, buffer.getvalue())


def _rgb(color: str) -> NDArray[np.float64]:
    return np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)], float)


def _grey_rgb(pixels: NDArray[np.generic]) -> NDArray[np.float64]:
    values = np.nan_to_num(pixels.astype(float))
    low, high = np.percentile(values, (0.2, 99.8))
    grey = np.clip((values - low) / max(high - low, 1e-12), 0, 1) * 255
    return np.repeat(grey[..., None], 3, axis=2)
