"""Labels as callers and files hold them: what is read, and which classes it may be."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_micro_ktnet.errors import DataError, InputError
from napari_micro_ktnet.measurement.label_files import is_estimated
from napari_micro_ktnet.sem import SEMImage, read_sem
from napari_micro_ktnet.sem.masks import MOST_CLASSES, Colors, mask_values

LabelSource = SEMImage | ArrayLike | str | os.PathLike[str]

_INSTANCES = (
    "If every object has a label of its own, say that labels are objects (instances=True, --instances)."
)


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels of one image.

    Attributes
    ----------
    what : str
        How messages call them.
    values : ndarray of int, (Y, X)
        0 where it is matrix or not annotated.
    unknown : ndarray of bool, (Y, X), or None
        True where it is not annotated.
    pixel_size : tuple of float or None
        nm, ``(y, x)``, as the file says.
    """

    what: str
    values: NDArray[np.integer]
    unknown: NDArray[np.bool_] | None
    pixel_size: tuple[float, float] | None


def read_labels(
    source: LabelSource,
    what: str,
    *,
    instances: bool = False,
    colors: Colors | None = None,
    not_annotated: int | None = None,
) -> Labels:
    """Read labels and check that they are labels.

    Parameters
    ----------
    source : array of int or bool, (Y, X), SEMImage or path
        Where they are.
    what : str
        How messages call them.
    instances : bool
        Labels number objects, so that there may be any number of them.
    colors : mapping of str to (red, green, blue), optional
        Classes of files in colour.
    not_annotated : int, optional
        Label that says nothing about a pixel.

    Raises
    ------
    InputError, DataError, ReadError
        They are no labels, or cannot be read.
    """
    path = Path(source) if isinstance(source, (str, os.PathLike)) else None
    from_file = path is not None
    image: Any = source if path is None else read_sem(path)
    size = None
    if isinstance(image, SEMImage):
        # An estimate, such as from the print size of a PNG, would make wrong micrometres.
        estimated = image.pixel_size_source == "estimated" or (path is not None and is_estimated(path))
        size = None if estimated else image.pixel_size
        if image.rgb and not_annotated is not None:
            raise InputError(
                f"The {what} is in colour, where the label {not_annotated} cannot mean 'not annotated'. "
                "Leave that out, or save the mask with one number for each class."
            )
    pixels = np.asarray(image.pixels if isinstance(image, SEMImage) else image)
    unknown = None
    if not_annotated is not None:
        unknown = pixels == not_annotated
        pixels = np.where(unknown, pixels.dtype.type(0), pixels)
    if from_file and image.rgb:
        return Labels(what, mask_values(image, colors, what), unknown, size)
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8)
    if from_file and pixels.dtype.kind == "f" and np.array_equal(pixels, np.rint(pixels)):
        # Some programs write masks so.
        pixels = pixels.astype(np.int64)
    _check(pixels, what)
    if from_file and not instances:
        pixels = _mask_values(replace(image, pixels=pixels), what)
    return Labels(what, pixels, unknown, size)


def largest(labels: NDArray[np.integer]) -> set[int]:
    """Find the largest label and, if there are several, the second largest, besides 0."""
    high = int(labels.max())
    low = int(labels.max(initial=0, where=labels != high))
    return {high, low} - {0}


def is_mask(values: Collection[int]) -> bool:
    """Whether labels say only where the class is, such as 0 and 255; `values` are those besides 0."""
    return len(values) <= 1


def class_problem(names: Sequence[str], values: Mapping[str, Collection[int]]) -> str:
    """Say why labels do not fit classes; empty where they do.

    Parameters
    ----------
    names : sequence of str
        Classes besides matrix; none = as many as the labels hold.
    values : mapping of str to collection of int
        For prediction and truth, or one of them, the labels that occur besides 0; at least the
        largest two.
    """
    one = len(names) == 1 or (not names and all(map(is_mask, values.values())))
    highest = {
        side: min(1, len(found)) if one and is_mask(found) else max(found, default=0)
        for side, found in values.items()
    }
    for side, high in highest.items():
        if high > (len(names) or MOST_CLASSES):
            known = f"{len(names)} ({', '.join(names)})" if names else f"at most {MOST_CLASSES}"
            return (
                f"The {side} holds labels up to {high}. Expected 0 (matrix) to {known}. Name all classes "
                f"besides matrix in the order of their labels. {_INSTANCES}"
            )
    if not names and len(set(highest.values())) > 1 and min(highest.values()):
        listed = ", ".join(f"the {side} up to {high}" for side, high in highest.items())
        return (
            f"One side has more classes: {listed}. Name all classes besides matrix, in the order of their "
            "labels, if this is meant; otherwise compare labels of the same classes."
        )
    return ""


def _mask_values(mask: SEMImage, what: str) -> NDArray[np.uint8]:
    try:
        return mask_values(mask, what=what)
    except DataError as error:
        raise DataError(f"{error} {_INSTANCES}") from error


def _check(labels: NDArray[Any], what: str) -> None:
    if labels.dtype.kind not in "ui":
        raise InputError(
            f"The {what} has the type {labels.dtype}. Expected integer labels: apply a threshold if these "
            "are probabilities, or convert with .astype('uint8') if they are whole numbers."
        )
    if labels.ndim != 2:
        raise InputError(
            f"The {what} has the shape {labels.shape}. Expected one label image (Y, X); give the slices of a "
            "stack as a list."
        )
    if labels.size == 0:
        raise InputError(f"The {what} is empty (shape {labels.shape}). Expected at least one pixel.")
    if labels.dtype.kind == "i" and labels.min() < 0:
        raise InputError(f"The {what} holds the negative label {int(labels.min())}. Expected 0 and more.")
