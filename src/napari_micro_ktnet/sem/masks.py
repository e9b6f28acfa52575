"""Mask files: which belongs to which image, and the class numbers in them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_micro_ktnet.errors import DataError
from napari_micro_ktnet.sem.image import SEMImage
from napari_micro_ktnet.sem.reader import SUFFIXES

MOST_CLASSES = 20
"""A mask of more classes than this is no mask of classes."""

Colors = Mapping[str, tuple[int, int, int]]

_MASK_SUFFIX = re.compile(r"(_masks?|_labels?)$", re.IGNORECASE)


def files_by_stem(folder: Path, kind: str, leave_out: re.Pattern[str] | None = None) -> dict[str, Path]:
    """Find the image files of a folder by stem, ``_mask`` and ``_labels`` at its end ignored.

    Parameters
    ----------
    folder : Path
        Folder; its subfolders are not looked into.
    kind : str
        What messages call its files.
    leave_out : pattern, optional
        Stems in which this is found are not taken.

    Raises
    ------
    DataError
        The folder cannot be looked into, or two of its files have the same stem.
    """
    try:
        inside = sorted(folder.iterdir())
    except OSError as error:
        problem = f"cannot be looked into ({error.strerror or error})"
        raise DataError(f"The {kind} folder {folder} {problem}. Give a folder with {kind} files.") from error
    found: dict[str, Path] = {}
    for path in inside:
        if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
            continue
        if leave_out and leave_out.search(path.stem):
            continue
        stem = _MASK_SUFFIX.sub("", path.stem)
        if stem in found:
            raise DataError(
                f"{found[stem].name} and {path.name} in {folder} have the same stem {stem!r}, so it is not "
                f"clear which {kind} is meant. Keep one of them."
            )
        found[stem] = path
    return found


def mask_values(mask: SEMImage, colors: Colors | None = None, what: str = "mask") -> NDArray[np.uint8]:
    """Class numbers (or the two values) of a mask.

    Parameters
    ----------
    mask : SEMImage
        As read from its file.
    colors : mapping of str to (red, green, blue), optional
        Classes of a mask in colour, from number 1; any other colour is 0.
    what : str
        How messages call it.

    Returns
    -------
    ndarray of uint8, (Y, X)
        Values as they are, where they are class numbers; 0 and 1 where they are 0 and one other.

    Raises
    ------
    DataError
        The mask is in colour and `colors` is missing, not of two axes, or holds other values.
    """
    name = f"{what} ({mask.path or mask.name})"
    if mask.rgb:
        if not colors:
            shown = np.unique(mask.pixels[..., :3].reshape(-1, 3), axis=0)[:4].tolist()
            raise DataError(
                f"The {name} is in colour (e.g. {shown}), but no colours were named. Say which "
                "class has which: --mask-colors NAME=R,G,B ... (any other colour is matrix)."
            )
        values: NDArray[np.uint8] = np.zeros(mask.pixels.shape[:2], np.uint8)
        for number, color in enumerate(colors.values(), 1):
            values[(mask.pixels[..., :3] == color).all(axis=-1)] = number
        return values
    if mask.pixels.ndim != 2:
        raise DataError(f"The {name} has the shape {mask.pixels.shape}; expected one image (Y, X).")
    present = np.unique(mask.pixels)
    numbers = set(present.tolist()) <= set(range(MOST_CLASSES + 1))
    if len(present) > 2 and not numbers:
        raise DataError(
            f"The {name} holds {len(present)} values from {present[0]} to {present[-1]}. Expected "
            f"0 and one other value, or class numbers from 0 to at most {MOST_CLASSES}. A mask saved as "
            "JPEG or smoothed has values in between: export it again as PNG or TIFF without interpolation."
        )
    if not numbers:
        # Such as 0 and 255.
        return np.asarray(mask.pixels != 0, np.uint8)
    return np.asarray(mask.pixels, np.uint8)
