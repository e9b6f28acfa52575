"""What the Agglomerates widget computes, apart from layers and Qt: requests, steps, what comes back."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.gui.label_layers import labels_crc32
from napari_micro_ktnet.sem import SEMImage, read_sem

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_micro_ktnet.measurement.agglomerates import ObjectOptions
    from napari_micro_ktnet.measurement.fields import FieldMeasurement, LabelField, MeasureOptions
    from napari_micro_ktnet.measurement.limits import Limits
    from napari_micro_ktnet.measurement.pooled import Measurement
    from napari_micro_ktnet.sem.image import PixelSizeSource

Border = Literal["keep", "exclude", "weight"]

WHOLE = 1
"""Label of uncut objects in a preview; the parts of cut ones have the next ones in turn."""

PART_LABELS = 6


@dataclass(frozen=True)
class Options:
    """How to measure; plain values, so that nothing is loaded before it is needed.

    Attributes
    ----------
    split : float or None
        Depth in pixels from which touching objects are separated.
    min_size : float
        Least equivalent circular diameter, 0 for none.
    min_size_unit : {"px", "um"}
        Its unit.
    fill_holes : bool
        Holes count as part of the object around them.
    border : {"keep", "exclude", "weight"}
        What objects at the edge mean for sizes and counts.
    d_star_um : float
        d* of the agglomerate degree.
    ripley : bool
        Give L(r), too.
    """

    split: float | None = None
    min_size: float = 0.0
    min_size_unit: Literal["px", "um"] = "px"
    fill_holes: bool = False
    border: Border = "keep"
    d_star_um: float = 5.0
    ripley: bool = False

    def with_limits(self, limits: Limits | None) -> Options:
        """Give these options with the d* of a limits file, where it has one."""
        if limits is None or limits.d_star_um is None:
            return self
        return replace(self, d_star_um=limits.d_star_um)

    def core(self) -> MeasureOptions:
        """Give the options of the core."""
        from napari_micro_ktnet.measurement.agglomerates import ObjectOptions
        from napari_micro_ktnet.measurement.fields import MeasureOptions

        least: dict[str, Any] = {f"min_size_{self.min_size_unit}": self.min_size} if self.min_size else {}
        objects = ObjectOptions(split=self.split, fill_holes=self.fill_holes, border=self.border, **least)
        return MeasureOptions(objects, self.d_star_um, self.ripley)


@dataclass(frozen=True, eq=False)
class FieldRequest:
    """Labels of one field of view, as they were when Measure was pressed.

    Attributes
    ----------
    labels : array-like of int, (Y, X)
        0 is matrix.
    name : str
        Of the field.
    pixel_size : tuple of float or None
        nm, ``(y, x)``.
    analysed : ndarray of bool, (Y, X), or None
        False where labels mean nothing.
    image : SEMImage or None
        For mean grey values and pictures; its data bar is left out.
    warnings : tuple of str
        What a reader of the figures must know.
    file : Path or None
        Label file that they were read from; a record beside it says what was analysed.
    made_crc32 : int or None
        Checksum of the labels as a model made them.
    """

    labels: Any
    name: str
    pixel_size: tuple[float, float] | None = None
    analysed: NDArray[np.bool_] | None = None
    image: SEMImage | None = None
    warnings: tuple[str, ...] = ()
    file: Path | None = None
    made_crc32: int | None = None


@dataclass(frozen=True, eq=False)
class MeasureRequest:
    """What a user asks for by pressing Measure.

    Attributes
    ----------
    fields : tuple of FieldRequest
        At least one.
    options : Options
        How.
    limits : Limits or None
        Of the lab, to judge by.
    """

    fields: tuple[FieldRequest, ...]
    options: Options
    limits: Limits | None = None


@dataclass(frozen=True)
class Step:
    """So far `done` of `total` parts of the work are done; 0 of 0 before anything is."""

    done: int
    total: int
    text: str = ""


@dataclass(frozen=True, eq=False)
class Measured:
    """A finished measurement.

    Attributes
    ----------
    measurement : Measurement
        All figures, as `napari_micro_ktnet.measure` gives them.
    fields : tuple of LabelField
        What was measured.
    objects : tuple of ndarray of int32, (Y, X)
        Numbered objects of every field.
    options : Options
        How.
    """

    measurement: Measurement
    fields: tuple[LabelField, ...]
    objects: tuple[NDArray[np.int32], ...]
    options: Options


@dataclass(frozen=True, eq=False)
class Preview:
    """What splitting would do to one field.

    Attributes
    ----------
    labels : ndarray of uint8, (Y, X)
        0 for matrix and what is dropped, `WHOLE` for objects that stay whole, and labels after it for the
        parts of cut ones: neighbours have different ones.
    before, after : int
        Objects without and with these options.
    cut : int
        Objects that fall apart.
    """

    labels: NDArray[np.uint8]
    before: int
    after: int
    cut: int


def measure_steps(request: MeasureRequest) -> Generator[Step, None, Measured]:
    """Measure what a request asks for; yields before it loads anything, and many times for every field.

    Raises
    ------
    MicroKTNetError
        As `napari_micro_ktnet.measure` does.
    """
    yield Step(0, 0)
    from napari_micro_ktnet.measurement.pooled import pool

    options = request.options.core()
    found: list[tuple[LabelField, NDArray[np.int32], FieldMeasurement]] = []
    total = len(request.fields)
    for number, each in enumerate(request.fields):
        try:
            found.append((yield from _measure_field(each, options, Step(number, total, each.name))))
        except InputError as error:
            raise InputError(f"{each.name}: {error}") from error
    yield Step(total, total, "all together")
    fields, objects, measured = zip(*found, strict=True)
    return Measured(pool(measured, options, request.limits), fields, objects, request.options)


def _measure_field(
    request: FieldRequest, options: MeasureOptions, step: Step
) -> Generator[Step, None, tuple[LabelField, NDArray[np.int32], FieldMeasurement]]:
    """Do what `measure_field` does, in steps, and keep the numbered objects."""
    from napari_micro_ktnet.measurement.fields import summarise_field
    from napari_micro_ktnet.measurement.region import find_region
    from napari_micro_ktnet.measurement.shapes import measure_objects

    yield step
    field = label_field(request)
    objects = yield from _find(field, options.objects, step)
    yield replace(step, text=f"{step.text}: shapes of {objects.max()} objects")
    table = measure_objects(
        objects, field.labels, field.analysed, field.pixel_size, field.grey, options.objects.border
    )
    yield replace(step, text=f"{step.text}: figures")
    region = find_region(field.labels.shape, field.analysed)
    return field, objects, summarise_field(field, table, region, options)


def _find(field: LabelField, options: ObjectOptions, step: Step) -> Generator[Step, None, NDArray[np.int32]]:
    from napari_micro_ktnet.measurement.agglomerates import iter_agglomerates

    steps = iter_agglomerates(field.labels, options, field.analysed, field.pixel_size)
    while True:
        try:
            done, total = next(steps)
        except StopIteration as stop:
            objects: NDArray[np.int32] = stop.value
            return objects
        yield replace(step, text=f"{step.text}: separating, {done} of {total}")


def label_field(request: FieldRequest) -> LabelField:
    """Give a field as the core wants it, with the checks that label files go through.

    Raises
    ------
    InputError
        Labels are no labels, or the image has another shape.
    """
    from napari_micro_ktnet.measurement.label_files import load_field

    values = np.asarray(request.labels)
    source: PixelSizeSource = "user" if request.pixel_size else "none"
    labels = SEMImage(values, request.pixel_size, source, path=request.file, name=request.name)
    file = read_sem(request.file) if request.file is not None and request.file.is_file() else None
    # Where it is no longer that of the file a user has stated it, and it is no estimate any more.
    stated = None if file is None or _same(file.pixel_size, request.pixel_size) else request.pixel_size
    field = load_field(labels, stated, request.image, request.analysed, request.name)
    return replace(field, warnings=(*field.warnings, *request.warnings, *_edits(request, values, file)))


def _same(one: tuple[float, float] | None, other: tuple[float, float] | None) -> bool:
    return one == other if one is None or other is None else np.allclose(one, other, rtol=1e-5, atol=0)


def _edits(request: FieldRequest, labels: NDArray[Any], file: SEMImage | None) -> tuple[str, ...]:
    """Say where labels are no longer those of the model or the file that they came from."""
    if request.made_crc32 is not None and labels_crc32(labels) != request.made_crc32:
        return ("The labels were edited by hand after the model had made them.",)
    if file is not None and not np.array_equal(np.asarray(file.pixels), labels):
        return (f"The labels were edited by hand after they were read from {request.name}.",)
    return ()


def preview_steps(request: FieldRequest, options: Options) -> Generator[Step, None, Preview]:
    """Show what splitting and the other options would do to the objects of a field.

    Raises
    ------
    InputError
        Labels are no labels, or an option does not suit them.
    """
    yield Step(0, 0)
    from napari_micro_ktnet.measurement.agglomerates import find_agglomerates

    field = label_field(request)
    whole = replace(options.core().objects, split=None, min_size_um=None, min_size_px=None)
    before = find_agglomerates(field.labels, whole, field.analysed)
    yield Step(0, 0)
    after = yield from _find(field, options.core().objects, Step(0, 0, field.name))
    count = int(after.max())
    parent = np.zeros(count + 1, np.int64)
    parent[after.ravel()] = before.ravel()
    parts = np.bincount(parent[1:], minlength=int(before.max()) + 1)
    labels = np.zeros(count + 1, np.uint8)
    labels[1:] = np.where(parts[parent[1:]] > 1, WHOLE + 1 + _rank(parent[1:]) % PART_LABELS, WHOLE)
    return Preview(labels[after], int(before.max()), count, int((parts > 1).sum()))


def _rank(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the members of each group from 0, in their order."""
    order = np.argsort(groups, kind="stable")
    first = np.searchsorted(groups[order], groups[order])
    rank = np.empty(len(groups), np.int64)
    rank[order] = np.arange(len(groups)) - first
    return rank
