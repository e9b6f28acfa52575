"""Bring decoded arrays of any channel layout to grey ``(Y, X)`` or true colour ``(Y, X, C)``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_micro_ktnet.errors import ReadError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

# The best that a lossless codec makes of a blank image; more means that the header lies.
LARGEST_EXPANSION = 50_000
_ALWAYS_FINE_BYTES = 2**26
LARGEST_PIXELS = 2**33
# JPEG stores brightness and colour apart: rounding alone gives a grey image up to 6 steps of colour.
_LOSSY_SPREAD = 12
_BT601 = (0.299, 0.587, 0.114)


def check_size(
    path: Path, width: int, height: int, n_bytes: int, expansion: float = LARGEST_EXPANSION
) -> None:
    """Refuse dimensions that the file cannot hold, before anything is allocated.

    Parameters
    ----------
    path : Path
        The image file.
    width, height : int
        Dimensions that its header declares, in pixels.
    n_bytes : int
        Bytes that the decoded image would take.
    expansion : float
        Bytes that a blank image of this format can give for each byte of its file.

    Raises
    ------
    ReadError
        If a dimension is zero, or the image far too large for the file.
    """
    if width < 1 or height < 1:
        raise ReadError(
            f"{path}: the header declares an image of {width} x {height} pixels, expected at least 1 x 1. "
            "Export the file again."
        )
    size = path.stat().st_size
    if width * height > LARGEST_PIXELS or n_bytes > max(_ALWAYS_FINE_BYTES, expansion * size):
        raise ReadError(
            f"{path}: the header declares {width} x {height} pixels, which a file of {size} bytes cannot "
            "hold. The header is corrupt: export the file again."
        )


def grey_if_grey(pixels: NDArray[Any]) -> tuple[NDArray[Any], bool]:
    """Drop colour channels that say nothing.

    Parameters
    ----------
    pixels : ndarray of shape (..., Y, X, C)
        With C = 2 (grey, alpha), 3 (RGB) or 4 (RGBA).

    Returns
    -------
    pixels : ndarray of shape (..., Y, X) or (..., Y, X, C)
        Grey where red, green and blue are equal everywhere, or so nearly that only the rounding of
        a lossy compression tells them apart: then the luma of ITU-R BT.601.
    rgb : bool
        True where they differ more at any pixel.
    """
    red = pixels[..., 0]
    if pixels.shape[-1] < 3 or (np.array_equal(red, pixels[..., 1]) and np.array_equal(red, pixels[..., 2])):
        return np.ascontiguousarray(red), False
    colour = pixels[..., :3]
    if pixels.dtype == np.uint8 and np.ptp(colour, axis=-1).max() <= _LOSSY_SPREAD:
        return np.rint(colour @ np.array(_BT601, np.float32)).astype(np.uint8), False
    return np.ascontiguousarray(pixels), True


def apply_palette(indices: NDArray[Any], palette: NDArray[np.uint16]) -> tuple[NDArray[Any], bool]:
    """Replace palette indices by what they stand for.

    Parameters
    ----------
    indices : ndarray of unsigned integers, shape (..., Y, X)
    palette : uint16 ndarray of shape (3, N)
        Red, green and blue of each index, 65535 = full, as in TIFF.

    Returns
    -------
    pixels : ndarray of shape (..., Y, X) or (..., Y, X, 3)
        uint8, or uint16 where the palette has finer steps than 8 bits.
    rgb : bool
        True where a used colour is not grey.
    """
    used = np.bincount(indices.ravel(), minlength=palette.shape[1])[: palette.shape[1]] > 0
    if palette[:, used].max(initial=0) <= 255 and palette.max() <= 255:
        # Some programs forget to scale 8-bit colours up to 16 bits.
        table: NDArray[Any] = palette.astype(np.uint8)
    elif indices.dtype == np.uint8:
        table = (palette >> 8).astype(np.uint8)
    else:
        table = palette
    colours = table[:, used]
    if (colours == colours[0]).all():
        grey = table[0]
        if grey.dtype == indices.dtype and np.array_equal(grey[used], np.flatnonzero(used)):
            return indices, False
        return np.asarray(grey[indices]), False
    return np.ascontiguousarray(table.T[indices]), True


def inverted(pixels: NDArray[Any], bits: int) -> NDArray[Any]:
    """Turn values that count from white into values that count from black."""
    if pixels.dtype.kind == "u":
        return np.asarray(pixels.dtype.type(2**bits - 1) - pixels)
    # Signed and real values have no white to count from; bool arrays come from tifffile, which
    # declares them to count from white without turning them round.
    return pixels
