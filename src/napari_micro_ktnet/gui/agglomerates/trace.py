"""Where the labels of a field come from, kept for the report even if its layers are deleted meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_micro_ktnet.gui import pixel_size as sizes
from napari_micro_ktnet.gui.agglomerates.fields import label_file
from napari_micro_ktnet.gui.label_layers import record_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_micro_ktnet.batch.record import SegmentationRecord
    from napari_micro_ktnet.gui.agglomerates.fields import ChosenField
    from napari_micro_ktnet.gui.agglomerates.run import Measured
    from napari_micro_ktnet.measurement.fields import FieldMeasurement, LabelField
    from napari_micro_ktnet.report import ReportField


@dataclass(frozen=True, eq=False)
class Origin:
    """What is known of a field besides its labels.

    Attributes
    ----------
    description : dict
        Acquisition conditions of its image, from `sem.describe.describe`; empty without an image.
    made : dict
        What the Segment widget noted in the layer; empty for other layers.
    image_file, label_file : Path or None
        Where image and labels were read from.
    """

    description: dict[str, Any] = field(default_factory=dict)
    made: dict[str, Any] = field(default_factory=dict)
    image_file: Path | None = None
    label_file: Path | None = None


def origin_of(chosen: ChosenField) -> Origin:
    """Note where a field comes from."""
    image = chosen.image
    sem = sizes.sem_of(image) if image is not None else None
    made = record_of(chosen.labels)
    return Origin(
        sizes.describe_layer(image) if image is not None else {},
        made if "model" in made else {},
        sem.path if sem is not None else None,
        label_file(chosen.labels),
    )


def report_fields(measured: Measured, origins: Sequence[Origin]) -> list[ReportField]:
    """Give a report what it asks for; reads files, so it belongs into a worker.

    Raises
    ------
    DataError
        A record beside a label file is none.
    """
    from napari_micro_ktnet.report import ReportField

    found = zip(measured.fields, measured.measurement.fields, origins, strict=True)
    return [
        ReportField(
            # Bound now: the loop goes on.
            load=lambda each=each: each,  # type: ignore[misc]
            description=origin.description,
            segmentation=_record(each, figures, origin),
        )
        for each, figures, origin in found
    ]


def _record(labels: LabelField, measured: FieldMeasurement, origin: Origin) -> SegmentationRecord | None:
    if origin.made:
        return _made_record(labels, measured, origin)
    return _read_record(origin.label_file) if origin.label_file is not None else None


def _made_record(labels: LabelField, measured: FieldMeasurement, origin: Origin) -> SegmentationRecord:
    """Write down for labels of the Segment widget what `micro-ktnet segment` writes beside a file."""
    from napari_micro_ktnet.batch.record import (
        ClassRecord,
        ModelRecord,
        RegionRecord,
        SegmentationRecord,
        versions,
    )
    from napari_micro_ktnet.files import file_sha256

    made, region, path = origin.made, measured.region, origin.image_file
    shape = (int(labels.labels.shape[0]), int(labels.labels.shape[1]))
    counts = np.bincount(np.asarray(labels.labels).ravel(), minlength=len(made["classes"]) + 1)
    return SegmentationRecord(
        input=str(path or ""),
        input_sha256=file_sha256(path) if path is not None and path.is_file() else "",
        image=str(made["image"]),
        labels="",
        shape=shape,
        pixel_size_nm=labels.pixel_size,
        pixel_size_source=str(origin.description.get("pixel_size_source", "")),
        data_bar_rows=origin.description.get("data_bar_rows") or 0,
        analysed_region=RegionRecord(rows=(region.top, region.bottom), columns=(region.left, region.right)),
        classes=tuple(
            ClassRecord(value=v, name=name, color=color, area_fraction=int(counts[v]) / region.pixels)
            for v, (name, color) in enumerate(zip(made["classes"], made["colors"], strict=True), 1)
        ),
        model=ModelRecord(
            name=str(made["model"]),
            sha256=str(made["model_sha256"]),
            architecture=str(made["architecture"]),
            encoder=str(made["encoder"]),
        ),
        parameters={"threshold": made["threshold"], **made["parameters"]},
        versions=versions(),
    )


def _read_record(path: Path) -> SegmentationRecord | None:
    from pydantic import ValidationError

    from napari_micro_ktnet.batch.record import SegmentationRecord
    from napari_micro_ktnet.errors import DataError
    from napari_micro_ktnet.measurement.label_files import record_path

    where = record_path(path)
    if where is None or not where.is_file():
        return None
    try:
        return SegmentationRecord.model_validate_json(where.read_bytes())
    except (OSError, ValidationError) as error:
        raise DataError(
            f"{where} is not a record as 'micro-ktnet segment' writes it ({error}). Segment again, or move "
            "it away to write the report without the model."
        ) from error
