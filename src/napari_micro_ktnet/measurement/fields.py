"""Fields of view -> what is said of each, and of all together."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.measurement import dispersion
from napari_micro_ktnet.measurement.agglomerates import ObjectOptions, check_labels, find_agglomerates
from napari_micro_ktnet.measurement.figures import SAME_SCALE, Part, figures
from napari_micro_ktnet.measurement.region import Region, find_region
from napari_micro_ktnet.measurement.shapes import AgglomerateTable, measure_objects
from napari_micro_ktnet.measurement.summary import FieldSummary, RipleyRecord

D_STAR_UM = 5.0
"""Size d* where none is given."""

NO_PIXEL_SIZE = "The pixel size is not known: sizes are in px, and there are no figures per mm2."


@dataclass(frozen=True)
class MeasureOptions:
    """How to measure; see `napari_micro_ktnet.measure`.

    Attributes
    ----------
    objects : ObjectOptions
        From labels to objects.
    d_star_um : float
        Objects above this size make up the agglomerate degree.
    ripley : bool
        Give Ripley's L, which takes about a second more for every field.
    seed : int
        Of the random draws.
    """

    objects: ObjectOptions = field(default_factory=ObjectOptions)
    d_star_um: float = D_STAR_UM
    ripley: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.d_star_um) and self.d_star_um > 0):
            raise InputError(f"The size d* must be a number above 0, found {self.d_star_um}.")


@dataclass(frozen=True, eq=False)
class LabelField:
    """Labels of one field of view, and what is known about it.

    Attributes
    ----------
    labels : ndarray of int or bool, (Y, X)
        0 is matrix.
    name, file : str
        To tell fields apart; file is empty where the labels came from memory.
    pixel_size : tuple of float or None
        nm, ``(y, x)``.
    analysed : ndarray of bool, (Y, X), or None
        False where labels mean nothing; None for all True.
    grey : ndarray, (Y, X), or None
        Image.
    warnings : tuple of str
        What its reader must know.
    """

    labels: NDArray[Any]
    name: str
    file: str = ""
    pixel_size: tuple[float, float] | None = None
    analysed: NDArray[np.bool_] | None = None
    grey: NDArray[Any] | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class FieldMeasurement:
    """One measured field; holds no image.

    Attributes
    ----------
    table : AgglomerateTable
        Its objects.
    region : Region
        What was analysed.
    summary : FieldSummary
        Its figures.
    """

    table: AgglomerateTable
    region: Region
    summary: FieldSummary

    @property
    def pixel_size(self) -> tuple[float, float] | None:
        """nm, ``(y, x)``."""
        return self.summary.pixel_size_nm


def measure_field(field: LabelField, options: MeasureOptions | None = None) -> FieldMeasurement:
    """Measure one field of view.

    Raises
    ------
    InputError
        Labels are no labels, shapes differ, or an option does not suit the field.
    """
    options = options or MeasureOptions()
    try:
        labels = check_labels(field.labels)
        objects = find_agglomerates(labels, options.objects, field.analysed, field.pixel_size)
        table = measure_objects(
            objects, labels, field.analysed, field.pixel_size, field.grey, options.objects.border
        )
        region = find_region(labels.shape, field.analysed)
    except InputError as error:
        if not field.file:
            raise
        raise InputError(f"{field.file}: {error}") from error
    return summarise_field(field, table, region, options)


def summarise_field(
    field: LabelField, table: AgglomerateTable, region: Region, options: MeasureOptions
) -> FieldMeasurement:
    """Give the figures of a field whose objects are measured already.

    Parameters
    ----------
    field : LabelField
        Where they come from; its labels are not looked at.
    table : AgglomerateTable
        From `measure_objects`.
    region : Region
        From `find_region`.
    options : MeasureOptions
        As they were measured with.
    """
    part = Part(field.name, table, region, field.pixel_size)
    warnings = list(field.warnings)
    if field.pixel_size is None:
        warnings.append(NO_PIXEL_SIZE)
    elif abs(field.pixel_size[0] / field.pixel_size[1] - 1) > SAME_SCALE:
        warnings.append(
            f"Pixels are {field.pixel_size[0]:g} nm high and {field.pixel_size[1]:g} nm wide; sizes and "
            "shapes allow for it."
        )
    if not region.is_rectangle:
        warnings.append("The analysed region is no rectangle, so that there is no Clark-Evans ratio.")
    summary = FieldSummary(
        **figures([part], options.d_star_um),
        warnings=tuple(warnings),
        name=field.name,
        file=field.file,
        pixel_size_nm=field.pixel_size,
        rows=(region.top, region.bottom),
        columns=(region.left, region.right),
        ripley=_ripley(part, options.seed) if options.ripley else None,
    )
    return FieldMeasurement(table, region, summary)


def _ripley(part: Part, seed: int) -> RipleyRecord | None:
    if not part.region.is_rectangle:
        return None
    found = dispersion.ripley(*part.frame(), seed=seed)
    if found is None:
        return None
    curves = {name: tuple(getattr(found, name).tolist()) for name in ("r", "l", "low", "high")}
    return RipleyRecord(
        unit="um" if part.pixel_size else "px", **curves, p=found.p, simulations=found.simulations
    )
