"""From what a caller hands over to grey images that can be analysed, or a clear refusal."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.sem import SEMImage, find_data_bar, grey_if_grey, read_sem

ImageLike = SEMImage | ArrayLike | str | os.PathLike[str]


def as_grey_image(image: ImageLike) -> SEMImage:
    """Bring any accepted input to a grey `SEMImage` of two or three axes.

    Parameters
    ----------
    image : SEMImage, array or path
        An image ``(Y, X)``, a stack ``(Z, Y, X)``, a grey image stored in 3 or 4 equal colour
        channels ``(Y, X, 3)`` or ``(Y, X, 4)``, or a file. Integers, floats or booleans. Of the
        levels in which napari keeps a large image (`layer.data`), the finest is taken. A data bar is
        looked for in arrays and files; a `SEMImage` is taken as it is.

    Returns
    -------
    SEMImage
        Pixels ``(Y, X)`` or ``(Z, Y, X)``.

    Raises
    ------
    InputError
        Colour channels differ, or there are too many or too few axes, no pixels, or a type that
        holds no grey values.
    ReadError
        The file cannot be read.
    """
    if isinstance(image, (str, os.PathLike)):
        image = read_sem(image)
    bare = not isinstance(image, SEMImage)
    if not isinstance(image, SEMImage):
        pixels = as_array(_finest(image), "the image")
        image = SEMImage(pixels, rgb=pixels.ndim == 3 and pixels.shape[-1] in (3, 4))
    _check(image)
    if image.rgb:
        pixels, coloured = grey_if_grey(image.pixels)
        if coloured:
            raise InputError(
                "The image has three different colour channels. Expected a grey SEM image (or one stored as "
                "RGB with equal channels): choose one channel, or export the image without colour overlay."
            )
        image = replace(image, pixels=pixels, rgb=False)
    if image.pixels.dtype == bool:
        image = replace(image, pixels=image.pixels.astype(np.uint8))
    return replace(image, data_bar=find_data_bar(image.pixels)) if bare else image


def _finest(image: Any) -> Any:
    """Choose the finest of napari's levels, a sequence that as an array is its coarsest."""
    levels = isinstance(image, Sequence) and not isinstance(image, (list, tuple)) and len(image) > 0
    return image[0] if levels and hasattr(image[0], "shape") else image


def as_array(given: ArrayLike, what: str) -> NDArray[Any]:
    """Make an array of what was given.

    Raises
    ------
    InputError
        Its rows are not equally long.
    """
    try:
        return np.asarray(given)
    except ValueError as error:
        raise InputError(
            f"What was given as {what} is no array ({error}). Expected rows of equal length."
        ) from error


def _check(image: SEMImage) -> None:
    pixels = image.pixels
    where = f"The image {image.name!r}" if image.name else "The image"
    if pixels.size == 0:
        raise InputError(f"{where} is empty (shape {pixels.shape}). Expected at least one pixel.")
    if pixels.dtype.kind not in "buif":
        raise InputError(
            f"{where} has the type {pixels.dtype}. Expected grey values as integers or real numbers."
        )
    if pixels.ndim not in (2, 3):
        raise InputError(
            f"{where} has {pixels.ndim} axes {pixels.shape}. Expected (Y, X) or a stack (Z, Y, X): "
            "choose one channel or time point first."
        )
