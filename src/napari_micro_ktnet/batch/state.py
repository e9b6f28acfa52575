"""What is kept of every file of a batch, so that it can be stopped and goes on where it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from napari_micro_ktnet.batch.record import SegmentationRecord
from napari_micro_ktnet.files import write_bytes
from napari_micro_ktnet.measurement.fields import FieldMeasurement
from napari_micro_ktnet.measurement.region import Region
from napari_micro_ktnet.measurement.shapes import AgglomerateTable
from napari_micro_ktnet.measurement.summary import FieldSummary

_WHOLE = frozenset({"object", "label", "top", "left", "bottom", "right", "area_px"})


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FieldState(_Frozen):
    """One measured field.

    Attributes
    ----------
    segmentation : SegmentationRecord
        How its labels came about.
    description : dict
        Of its image, from `sem.describe.describe`.
    summary : FieldSummary
        Its figures.
    region_pixels : int
        Analysed pixels.
    objects : dict
        Columns of its `AgglomerateTable`; None for NaN.
    """

    segmentation: SegmentationRecord
    description: dict[str, Any]
    summary: FieldSummary
    region_pixels: int
    objects: dict[str, list[Any]]


class FileState(_Frozen):
    """One finished file, written as ``measured/<stem>.json``.

    Attributes
    ----------
    input, input_sha256 : str
        The image file, and its hash.
    segmentation_key, measurement_key : str
        Fingerprints of everything else that its results depend on.
    fields : tuple of FieldState
        One for each page or slice.
    """

    schema_version: Literal[1] = 1
    input: str
    input_sha256: str
    segmentation_key: str
    measurement_key: str
    fields: tuple[FieldState, ...]


def field_state(
    segmentation: SegmentationRecord,
    description: dict[str, Any],
    measured: FieldMeasurement,
) -> FieldState:
    """Put a measured field into the form that is written."""
    columns = {name: column.tolist() for name, column in measured.table.columns.items()}
    return FieldState(
        segmentation=segmentation,
        description=description,
        summary=measured.summary,
        region_pixels=measured.region.pixels,
        objects={name: [None if v != v else v for v in values] for name, values in columns.items()},
    )


def measurement_of(state: FieldState) -> FieldMeasurement:
    """Give a field as it was measured."""
    summary = state.summary
    region = Region(*summary.rows, *summary.columns, state.region_pixels)
    columns = {name: _column(name, values) for name, values in state.objects.items()}
    return FieldMeasurement(AgglomerateTable(columns), region, summary)


def write_state(path: Path, state: FileState) -> None:
    """Write what is known of a file, whole or not at all."""
    write_bytes(path, state.model_dump_json().encode())


def read_state(path: Path) -> FileState | None:
    """Read what is known of a file; None if there is nothing, or nothing that this version can use."""
    try:
        return FileState.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        # It is no more than a memory of work done: without it, the work is done again.
        return None


def _column(name: str, values: list[Any]) -> NDArray[Any]:
    if name == "border":
        return np.array(values, bool)
    if name in _WHOLE:
        return np.array(values, np.int64)
    return np.array([np.nan if v is None else v for v in values], float)
