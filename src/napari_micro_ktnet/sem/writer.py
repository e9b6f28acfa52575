"""Write images and labels as TIFF that keeps its pixel size."""

from __future__ import annotations

from fractions import Fraction
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.files import replacing

if TYPE_CHECKING:
    from os import PathLike

    from numpy.typing import NDArray

_IMAGEJ_TYPES = ("uint8", "uint16", "float32")
_OME_TYPES = ("bool", "int8", "int16", "int32", "uint32", "float64")
_LABEL_TYPES = (np.uint8, np.uint16, np.uint32)
# Classic TIFF counts bytes with 32 bits; a margin is left for the directories.
_LARGEST_CLASSIC = 2**32 - 2**25
# Unsigned in the standard, but some readers take it as signed.
_LARGEST_RATIONAL = 2**31 - 1
_NM_PER_CM = 10**7


def write_labels(
    path: str | PathLike[str], labels: NDArray[Any], pixel_size: tuple[float, float] | None = None
) -> Path:
    """Write labels as an uncompressed TIFF that ImageJ, napari and `read_sem` read with their scale.

    Parameters
    ----------
    path : path-like
        File to write; an existing one is replaced only once the new one is complete.
    labels : integer or bool ndarray of shape (Y, X) or (Z, Y, X)
        Not negative. uint8 and uint16 stay as they are, other types become the smallest of uint8,
        uint16 and uint32 that holds every label. A stack of one slice is read back as ``(Y, X)``.
    pixel_size : tuple of float, optional
        nm, ``(y, x)``.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        If the labels are no integers, negative, above 32 bits, or of another shape.
    OutputError
        If the file cannot be written.
    """
    labels = np.asarray(labels)
    if labels.dtype.kind not in "bui" or labels.ndim not in (2, 3) or labels.size == 0:
        raise InputError(
            f"{path}: labels of type {labels.dtype} and shape {labels.shape} were given, expected "
            "integers of shape (Y, X) or (Z, Y, X). Convert them first."
        )
    if labels.dtype not in (np.uint8, np.uint16):
        low, high = int(labels.min()), int(labels.max())
        fitting = [kind for kind in _LABEL_TYPES if high <= np.iinfo(kind).max]
        if low < 0 or not fitting:
            raise InputError(
                f"{path}: labels from {low} to {high} were given, expected 0 to {2**32 - 1}. "
                "Relabel them first."
            )
        labels = labels.astype(fitting[0])
    return _write(Path(path), labels, pixel_size, rgb=False)


def write_image(
    path: str | PathLike[str],
    pixels: NDArray[Any],
    pixel_size: tuple[float, float] | None = None,
    *,
    rgb: bool = False,
) -> Path:
    """Write an image as an uncompressed TIFF that keeps its scale and dtype.

    Parameters
    ----------
    path : path-like
        File to write; an existing one is replaced only once the new one is complete.
    pixels : ndarray of shape (Y, X), (Z, Y, X), or (Y, X, 3 | 4) with `rgb`
        bool, integers of 8 to 32 bits, float32 or float64; float16 is written as float32. A stack of
        one slice is read back as ``(Y, X)``.
    pixel_size : tuple of float, optional
        nm, ``(y, x)``.
    rgb : bool, optional
        True for a coloured image.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        If dtype or shape cannot be written.
    OutputError
        If the file cannot be written.
    """
    pixels = np.asarray(pixels)
    if pixels.dtype == np.float16:
        pixels = pixels.astype(np.float32)
    known = pixels.dtype.name in (*_IMAGEJ_TYPES, *_OME_TYPES)
    shaped = pixels.ndim == 3 and pixels.shape[-1] in (3, 4) if rgb else pixels.ndim in (2, 3)
    if not known or not shaped or pixels.size == 0:
        raise InputError(
            f"{path}: an image of type {pixels.dtype} and shape {pixels.shape} was given, expected "
            "numbers of at most 32 bits or float64, of shape (Y, X), (Z, Y, X) or coloured (Y, X, 3 | 4). "
            "Convert it first."
        )
    return _write(Path(path), pixels, pixel_size, rgb=rgb)


def _write(path: Path, pixels: NDArray[Any], pixel_size: tuple[float, float] | None, *, rgb: bool) -> Path:
    if pixel_size is not None and not all(isfinite(size) and size > 0 for size in pixel_size):
        raise InputError(
            f"{path}: a pixel size of {pixel_size} nm was given, expected two positive numbers (y, x) "
            "or None."
        )
    large = pixels.nbytes > _LARGEST_CLASSIC
    imagej = pixels.dtype.name in _IMAGEJ_TYPES and not large and not (rgb and pixels.dtype != np.uint8)
    options: dict[str, Any] = {"photometric": "rgb" if rgb else "minisblack", "compression": None}
    axes = "YXS" if rgb else "ZYX"[-pixels.ndim :]
    if imagej:
        options |= _imagej_options(pixel_size)
        # ImageJ knows no bare stack: the reader of its format wants to be told what the planes are.
        options["metadata"] |= {} if pixels.ndim == 2 or rgb else {"axes": axes}
    else:
        # ImageJ has neither 32-bit integers nor more than 4 GiB.
        options |= {"ome": True, "bigtiff": large, **_ome_options(pixel_size, axes)}
    with replacing(path) as file:
        tifffile.imwrite(file, np.ascontiguousarray(pixels), **options)
    return path


def _imagej_options(pixel_size: tuple[float, float] | None) -> dict[str, Any]:
    if pixel_size is None:
        return {"imagej": True, "metadata": {}}
    y, x = (_pixels_per(1, size) for size in pixel_size)
    return {"imagej": True, "resolution": (x, y), "metadata": {"unit": "nm"}}


def _ome_options(pixel_size: tuple[float, float] | None, axes: str) -> dict[str, Any]:
    if pixel_size is None:
        return {"metadata": {"axes": axes}}
    y, x = (float(size) for size in pixel_size)
    scale = {
        "PhysicalSizeY": y,
        "PhysicalSizeYUnit": "nm",
        "PhysicalSizeX": x,
        "PhysicalSizeXUnit": "nm",
    }
    options: dict[str, Any] = {"metadata": {"axes": axes, **scale}}
    if min(pixel_size) * _LARGEST_RATIONAL > _NM_PER_CM:
        # ImageJ without Bio-Formats reads no OME-XML, but these.
        per_cm = _pixels_per(_NM_PER_CM, x), _pixels_per(_NM_PER_CM, y)
        options |= {"resolution": per_cm, "resolutionunit": "CENTIMETER"}
    return options


def _pixels_per(nanometres: int, size: float) -> tuple[int, int]:
    """Pixels of `size` nm in a length, as the ratio of two numbers of 31 bits that comes closest."""
    pixels = nanometres / Fraction(float(size))
    if pixels <= 1:
        ratio = pixels.limit_denominator(_LARGEST_RATIONAL)
        return ratio.numerator, ratio.denominator
    inverse = (1 / pixels).limit_denominator(_LARGEST_RATIONAL)
    return inverse.denominator, inverse.numerator
