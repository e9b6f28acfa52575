"""From what a caller hands over to two label images on one grid, or a clear refusal."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.sem import SEMImage, read_sem
from napari_micro_ktnet.sem.masks import MOST_CLASSES, Colors, mask_values

LabelSource = SEMImage | ArrayLike | str | os.PathLike[str]
LengthUnit = Literal["px", "um"]

ONE_CLASS = ("agglomerate",)

# Pixel sizes and ratios of sides count as equal up to this.
_SAME = 0.01


@dataclass(frozen=True, eq=False)
class LabelPair:
    """A prediction with its truth.

    Attributes
    ----------
    prediction, truth : array of int or bool, (Y, X), SEMImage or path
        Labels: 0 is matrix, classes are 1, 2, ...; where there is one class any other value is it.
    name : str
        Name of the image in the result.
    ignore : ndarray of bool, (Y, X), optional
        True where pixels must not count, on the grid of prediction or truth.
    pixel_size : tuple of float, optional
        nm, ``(y, x)``, of the truth; what its file says if not given.
    """

    prediction: LabelSource
    truth: LabelSource
    name: str = ""
    ignore: NDArray[np.bool_] | None = None
    pixel_size: tuple[float, float] | None = None


@dataclass(frozen=True)
class EvaluationOptions:
    """How to compare; see `napari_micro_ktnet.evaluate`."""

    classes: tuple[str, ...] = ONE_CLASS
    instances: bool = False
    tolerance: float = 2.0
    tolerance_unit: LengthUnit = "px"
    size_edges: tuple[float, ...] | None = None
    resample: bool = False
    mask_colors: Colors | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.tolerance) and self.tolerance >= 0):
            raise InputError(f"The tolerance must be 0 or more, found {self.tolerance}.")
        if self.tolerance_unit not in ("px", "um"):
            raise InputError(
                f"The unit of the tolerance must be 'px' or 'um', found {self.tolerance_unit!r}."
            )
        if self.instances and len(self.classes) > 1:
            raise InputError(
                f"Instance labels hold objects of one class, but {len(self.classes)} classes were named "
                f"({', '.join(self.classes)}). Name one class, or give class labels."
            )
        edges = self.size_edges or ()
        if any(not np.isfinite(e) or e <= 0 for e in edges) or list(edges) != sorted(set(edges)):
            raise InputError(f"The size edges must be above 0 and rise, found {list(edges)}.")


@dataclass(frozen=True, eq=False)
class ComparedLabels:
    """Prediction and truth on one grid.

    Attributes
    ----------
    name : str
        Name of the image.
    prediction, truth : ndarray of int, (Y, X)
        Classes or instances.
    ignore : ndarray of bool, (Y, X), or None
        True where pixels must not count.
    pixel_size : tuple of float or None
        nm, ``(y, x)``.
    """

    name: str
    prediction: NDArray[np.integer]
    truth: NDArray[np.integer]
    ignore: NDArray[np.bool_] | None
    pixel_size: tuple[float, float] | None


def load_pair(pair: LabelPair, options: EvaluationOptions) -> ComparedLabels:
    """Read, check and bring to one grid.

    Raises
    ------
    InputError, DataError, ReadError
        A file cannot be read, labels are no labels, or the two do not fit together.
    """
    (prediction, own), (truth, size) = (
        _labels(source, f"{side} {pair.name}".strip(), options)
        for side, source in (("prediction", pair.prediction), ("truth", pair.truth))
    )
    if prediction.shape != truth.shape and not options.resample:
        raise InputError(_different_shapes(pair.name, prediction.shape, truth.shape))
    if pair.pixel_size is not None:
        # Who names the pixel size knows better than the files.
        own = size = None
    _check_scale(pair.name, (prediction, own), (truth, size))
    ignore = None if pair.ignore is None else np.asarray(pair.ignore, bool)
    if ignore is not None and ignore.shape not in (prediction.shape, truth.shape):
        raise InputError(
            f"The ignore mask{f' of {pair.name}' if pair.name else ''} has the shape {ignore.shape}. "
            f"Expected {truth.shape}, that of the labels."
        )
    if prediction.shape != truth.shape:
        prediction = resampled(prediction, truth.shape)
        own = None
    if ignore is not None and ignore.shape != truth.shape:
        ignore = resampled(ignore, truth.shape)
    if ignore is not None and ignore.all():
        raise InputError(
            f"All pixels of {pair.name or 'the image'} are to be ignored. Leave some to compare."
        )
    return ComparedLabels(pair.name, prediction, truth, ignore, pair.pixel_size or size or own)


def resampled(image: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Bring an image ``(Y, X)`` to another number of pixels, each taking the nearest value."""
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int) for new, old in zip(shape, image.shape, strict=True)
    )
    return image[np.ix_(rows, columns)]


def find_classes(pairs: Sequence[LabelPair], options: EvaluationOptions) -> tuple[str, ...]:
    """Names of the classes that the labels hold, where the caller names none; reads every file.

    Raises
    ------
    InputError
        One side holds more classes than the other.
    """
    if options.mask_colors:
        return tuple(options.mask_colors)
    highest = {"prediction": 1, "truth": 1}
    values: dict[str, set[int]] = {"prediction": set(), "truth": set()}
    for pair in pairs:
        for side in highest:
            what = f"{side} {pair.name}".strip()
            labels = read_labels(getattr(pair, side), what, options)[0]
            if labels.max() > MOST_CLASSES and len(_two_values(labels)) > 1:
                raise InputError(
                    f"The {what} holds labels up to {int(labels.max())}. Expected classes from 0 "
                    f"to at most {MOST_CLASSES}. If every object has a label of its own, say that these are "
                    "instances."
                )
            values[side] |= _two_values(labels)
    if all(len(v) <= 1 for v in values.values()):
        return ONE_CLASS
    highest = {side: max(v, default=0) for side, v in values.items()}
    if highest["prediction"] != highest["truth"]:
        raise InputError(
            f"The prediction holds labels up to {highest['prediction']}, the truth up to {highest['truth']}: "
            "one of them has more classes. Name all classes besides matrix, in the order of their labels, if "
            "this is meant; otherwise compare labels of the same classes."
        )
    return tuple(f"class {i}" for i in range(1, highest["truth"] + 1))


def _two_values(labels: NDArray[np.integer]) -> set[int]:
    """Find the largest label and, if there are several, the second largest, besides 0."""
    high = int(labels.max())
    low = int(labels.max(initial=0, where=labels != high))
    return {high, low} - {0}


def _labels(
    source: LabelSource, what: str, options: EvaluationOptions
) -> tuple[NDArray[np.integer], tuple[float, float] | None]:
    labels, size = read_labels(source, what, options)
    if options.instances:
        if int(labels.max()) > max(labels.size, 2**16):
            raise InputError(
                f"The {what} holds instance labels up to {int(labels.max())}, more than it has pixels. "
                "Number its objects from 1 without gaps."
            )
        return labels, size
    if len(options.classes) == 1 and labels.max() > 1 and len(_two_values(labels)) == 1:
        # Such as 0 and 255.
        labels = (labels > 0).astype(np.uint8)
    if labels.max() > len(options.classes):
        raise InputError(
            f"The {what} holds labels up to {int(labels.max())}. Expected 0 (matrix) to "
            f"{len(options.classes)} ({', '.join(options.classes)}). Name all classes besides matrix in the "
            "order of their labels; if every object has a label of its own, say that these are instances."
        )
    return labels, size


def read_labels(
    source: LabelSource, what: str, options: EvaluationOptions
) -> tuple[NDArray[np.integer], tuple[float, float] | None]:
    """Read labels ``(Y, X)`` and their pixel size, and check that they are labels.

    Raises
    ------
    InputError, DataError, ReadError
        They are not.
    """
    image = source
    if isinstance(source, (str, os.PathLike)):
        image = read_sem(Path(source))
    size = None
    if isinstance(image, SEMImage):
        # An estimate, such as from the print size of a PNG, would make wrong micrometres.
        size = None if image.pixel_size_source == "estimated" else image.pixel_size
        of_file = isinstance(source, (str, os.PathLike)) and not (options.instances and not image.rgb)
        image = mask_values(image, options.mask_colors) if of_file else image.pixels
    labels = np.asarray(image)
    if labels.dtype == bool:
        labels = labels.astype(np.uint8)
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
    return labels, size


def _different_shapes(name: str, prediction: tuple[int, ...], truth: tuple[int, ...]) -> str:
    text = f"{name + ': the' if name else 'The'} prediction has the shape {prediction}, the truth {truth}. "
    if _same_field(prediction, truth):
        return text + (
            f"They seem to show the same field at another scale ({truth[0] / prediction[0]:.4g} : 1): say "
            "--resample (resample=True) to bring the prediction to the pixels of the truth "
            "by nearest neighbour."
        )
    return text + (
        "Their proportions differ, so that they do not show the same field. Compare labels of the same "
        "image; a data bar must be in both or in neither."
    )


def _same_field(prediction: tuple[int, ...], truth: tuple[int, ...]) -> bool:
    """Whether two shapes may be the same field at two scales, one pixel more or less being rounding."""
    if prediction == truth:
        return True
    scale = truth[1] / prediction[1]
    agrees = abs(truth[0] - prediction[0] * scale) <= max(1, scale) + _SAME * truth[0]
    return agrees and (truth[0] > prediction[0]) == (truth[1] > prediction[1])


def _check_scale(
    name: str,
    prediction: tuple[NDArray[np.integer], tuple[float, float] | None],
    truth: tuple[NDArray[np.integer], tuple[float, float] | None],
) -> None:
    """Refuse fields that differ in physical size."""
    (first, own), (second, other) = prediction, truth
    if own is None or other is None:
        if not _same_field(first.shape, second.shape):
            raise InputError(_different_shapes(name, first.shape, second.shape))
        return
    for i in (0, 1):
        extents = first.shape[i] * own[i], second.shape[i] * other[i]
        tolerance = _SAME + 1 / min(first.shape[i], second.shape[i])
        if abs(extents[0] / extents[1] - 1) > tolerance:
            raise InputError(
                f"{f'{name}: the' if name else 'The'} prediction has {first.shape} pixels of {own[0]:g} x "
                f"{own[1]:g} nm, the truth {second.shape} pixels of {other[0]:g} x {other[1]:g} nm: they "
                "show fields of different size. Compare labels of the same image, or correct the pixel size."
            )
