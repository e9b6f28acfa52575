"""Compare one prediction with its truth: everything that the scores are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.measurement.boundary import (
    BoundaryCounts,
    boundary_width,
    compare_boundaries,
)
from napari_micro_ktnet.measurement.label_pairs import ComparedLabels, EvaluationOptions
from napari_micro_ktnet.measurement.object_boundaries import with_boundary_scores
from napari_micro_ktnet.measurement.objects import ObjectTable, compare_objects, join, number_objects
from napari_micro_ktnet.measurement.scores import confusion_matrix

EDGE_SHARE = 0.05
"""Width of the edge band as a share of the shorter side of the analysed region."""


@dataclass(frozen=True, eq=False)
class ImageReport:
    """What was counted and measured in one image; scores follow from it.

    Attributes
    ----------
    name : str
        Name of the image.
    shape : tuple of int
        ``(Y, X)``.
    pixel_size : tuple of float or None
        nm, ``(y, x)``.
    confusion, interior : ndarray of int64, (classes, classes)
        Pixels by true (row) and predicted (column) class, matrix first: all that are analysed, and
        those that are not in the edge band.
    boundary : tuple of BoundaryCounts
        Of every class besides matrix.
    objects : ObjectTable
        Objects of all classes.
    """

    name: str
    shape: tuple[int, int]
    pixel_size: tuple[float, float] | None
    confusion: NDArray[np.int64]
    interior: NDArray[np.int64]
    boundary: tuple[BoundaryCounts, ...]
    objects: ObjectTable

    @property
    def pixel_side(self) -> float | None:
        """Side of the square of the area of a pixel in nm."""
        return None if self.pixel_size is None else float(np.sqrt(self.pixel_size[0] * self.pixel_size[1]))


def compare_labels(labels: ComparedLabels, options: EvaluationOptions) -> ImageReport:
    """Compare one prediction with its truth.

    Raises
    ------
    InputError
        The tolerance is in um and the pixel size is not known.
    """
    height, width = labels.truth.shape
    prediction, truth = (_cleared(side, labels.ignore) for side in (labels.prediction, labels.truth))
    tolerance, spacing = _lengths(labels, options)
    classes = [(side > 0).astype(np.uint8) if options.instances else side for side in (prediction, truth)]
    count = len(options.classes) + 1
    tables, boundaries = [], []
    for number in range(1, count):
        there, found = (side == number for side in classes[::-1])
        true, predicted = truth, prediction
        if not options.instances:
            true, predicted = number_objects(there), number_objects(found)
        table = compare_objects(true, predicted, number, labels.ignore)
        tables.append(with_boundary_scores(table, true, predicted, tolerance, spacing))
        boundaries.append(compare_boundaries(there, found, tolerance, boundary_width(truth.shape), spacing))
    part = _interior(truth.shape, labels.ignore)
    kept = None if labels.ignore is None else labels.ignore[part]
    return ImageReport(
        labels.name,
        (height, width),
        labels.pixel_size,
        confusion_matrix(classes[0], classes[1], count, labels.ignore),
        confusion_matrix(classes[0][part], classes[1][part], count, kept),
        tuple(boundaries),
        join(tables),
    )


def _cleared(labels: NDArray[np.integer], ignore: NDArray[np.bool_] | None) -> NDArray[np.integer]:
    return labels if ignore is None else np.where(ignore, labels.dtype.type(0), labels)


def _lengths(labels: ComparedLabels, options: EvaluationOptions) -> tuple[float, tuple[float, float]]:
    """Tolerance and pixel ``(y, x)`` in units of the square pixel of the same area."""
    if labels.pixel_size is None:
        if options.tolerance_unit == "um":
            raise InputError(
                f"The tolerance is in um, but the pixel size of {labels.name or 'the image'} is not known. "
                "Give the pixel size, or the tolerance in px."
            )
        return options.tolerance, (1.0, 1.0)
    down, across = labels.pixel_size
    side = float(np.sqrt(down * across))
    tolerance = options.tolerance * 1000 / side if options.tolerance_unit == "um" else options.tolerance
    return tolerance, (down / side, across / side)


def _interior(shape: tuple[int, ...], ignore: NDArray[np.bool_] | None) -> tuple[slice, slice]:
    """Find the bounding box of the analysed pixels without the edge band."""
    if ignore is None:
        bounds = [(0, shape[0]), (0, shape[1])]
    else:
        seen = [np.flatnonzero(~ignore.all(axis=axis)) for axis in (1, 0)]
        bounds = [(int(s[0]), int(s[-1]) + 1) if len(s) else (0, 0) for s in seen]
    band = max(1, round(EDGE_SHARE * min(high - low for low, high in bounds)))
    down, across = (slice(low + band, max(low + band, high - band)) for low, high in bounds)
    return down, across
