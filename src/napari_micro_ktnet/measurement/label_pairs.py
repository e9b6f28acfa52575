"""From what a caller hands over to two label images on one grid, or a clear refusal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.measurement.label_grids import Grid, grid_problem, resampled
from napari_micro_ktnet.measurement.label_values import (
    Labels,
    LabelSource,
    class_problem,
    is_mask,
    largest,
    read_labels,
)
from napari_micro_ktnet.measurement.objects import number_objects
from napari_micro_ktnet.sem.masks import Colors

LengthUnit = Literal["px", "um"]

ONE_CLASS = ("agglomerate",)


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

    def __post_init__(self) -> None:
        size = self.pixel_size
        if size is not None and not (len(size) == 2 and all(np.isfinite(s) and s > 0 for s in size)):
            raise InputError(f"The pixel size must be two numbers above 0 in nm (y, x), found {size}.")


@dataclass(frozen=True)
class EvaluationOptions:
    """How to compare; see `napari_micro_ktnet.evaluate`. Without `classes`, `with_classes` finds them."""

    classes: tuple[str, ...] = ()
    not_annotated: int | None = None
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
        if self.not_annotated is not None and self.not_annotated < 1:
            raise InputError(
                f"The label for 'not annotated' must be 1 or more, found {self.not_annotated}: 0 is matrix."
            )
        if len(set(self.classes)) < len(self.classes):
            raise InputError(f"Two classes have the same name: {', '.join(self.classes)}.")
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


def with_classes(
    pairs: Sequence[LabelPair], options: EvaluationOptions, known: Sequence[str] = ()
) -> EvaluationOptions:
    """Options with classes: those that are named, those of the colours, `known` ones, or what labels hold.

    Raises
    ------
    InputError, DataError, ReadError
        One side holds more classes than the other, or labels are no labels.
    """
    names = options.classes or tuple(options.mask_colors or known)
    if not names:
        names = ONE_CLASS if options.instances else _found_classes(pairs, options)
    return replace(options, classes=names)


def load_pair(pair: LabelPair, options: EvaluationOptions) -> ComparedLabels:
    """Read, check and bring to one grid.

    Parameters
    ----------
    pair : LabelPair
        What to compare.
    options : EvaluationOptions
        How; all classes are named.

    Raises
    ------
    InputError, DataError, ReadError
        A file cannot be read, labels are no labels, or the two do not fit together.
    """
    prediction, truth = _read_sides(pair, options)
    # Who names the pixel size knows better than the files.
    own, grid = (
        Grid(side.values.shape, None if pair.pixel_size else side.pixel_size) for side in (prediction, truth)
    )
    problem, resampling = grid_problem(own, grid)
    if problem and not (resampling and options.resample):
        advice = " Resample (--resample, resample=True) to bring the prediction to the pixels of the truth."
        raise InputError(f"{pair.name + ': ' if pair.name else ''}{problem}{advice if resampling else ''}")
    return ComparedLabels(
        pair.name,
        resampled(_values(prediction, options), grid.shape),
        _values(truth, options),
        _ignored(pair, truth, own),
        pair.pixel_size or grid.pixel_size or own.on(grid.shape).pixel_size,
    )


def _read_sides(pair: LabelPair, options: EvaluationOptions) -> tuple[Labels, Labels]:
    """Read prediction and truth; only the truth has pixels that are not annotated."""
    read = partial(read_labels, instances=options.instances, colors=options.mask_colors)
    return (
        read(pair.prediction, f"prediction {pair.name}".strip()),
        read(pair.truth, f"truth {pair.name}".strip(), not_annotated=options.not_annotated),
    )


def _found_classes(pairs: Sequence[LabelPair], options: EvaluationOptions) -> tuple[str, ...]:
    """Names of the classes that the labels hold; reads every file."""
    values: dict[str, set[int]] = {"prediction": set(), "truth": set()}
    for pair in pairs:
        for side, labels in zip(values, _read_sides(pair, options), strict=True):
            found = largest(labels.values)
            if problem := class_problem((), {labels.what: found}):
                raise InputError(problem)
            values[side] |= found
    if problem := class_problem((), values):
        raise InputError(problem)
    if all(map(is_mask, values.values())):
        return ONE_CLASS
    return tuple(f"class {i}" for i in range(1, max(set.union(*values.values())) + 1))


def _values(labels: Labels, options: EvaluationOptions) -> NDArray[np.integer]:
    """Bring labels to class numbers, or to numbers of objects."""
    values, found = labels.values, largest(labels.values)
    if options.instances:
        if max(found, default=0) > max(values.size, 2**16):
            raise InputError(
                f"The {labels.what} holds instance labels up to {max(found)}, more than it has pixels. "
                "Number its objects from 1 without gaps."
            )
        return number_objects(values > 0) if is_mask(found) else values
    if problem := class_problem(options.classes, {labels.what: found}):
        raise InputError(problem)
    return (values > 0).astype(np.uint8) if len(options.classes) == 1 else values


def _ignored(pair: LabelPair, truth: Labels, prediction: Grid) -> NDArray[np.bool_] | None:
    """Find the pixels of the truth that do not count."""
    shape = truth.values.shape
    ignore = None if pair.ignore is None else np.asarray(pair.ignore, bool)
    if ignore is not None and ignore.shape not in (shape, prediction.shape):
        raise InputError(
            f"The ignore mask{f' of {pair.name}' if pair.name else ''} has the shape {ignore.shape}. "
            f"Expected {shape}, that of the labels."
        )
    masks = [truth.unknown] if ignore is None else [truth.unknown, resampled(ignore, shape)]
    known = [mask for mask in masks if mask is not None]
    if not known:
        return None
    return np.asarray(np.logical_or.reduce(known))
