"""The tables of a batch as CSV: one row for each object, one for each field."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_micro_ktnet.batch.state import FieldState
from napari_micro_ktnet.files import replacing
from napari_micro_ktnet.measurement.shapes import measure_objects
from napari_micro_ktnet.measurement.summary import FieldSummary


def write_objects_csv(path: Path, states: Iterable[FieldState]) -> Path:
    """Write the objects of fields as they come, with the same columns for every batch.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    nothing = np.zeros((1, 1), np.int32)
    names = list(measure_objects(nothing, pixel_size=(1.0, 1.0), grey=nothing).columns)
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["field", "file", *names])
        for state in states:
            own = (state.summary.name, state.segmentation.input)
            count = len(state.objects["object"])
            columns = [state.objects.get(name, [None] * count) for name in names]
            writer.writerows((*own, *row) for row in zip(*columns, strict=True))
    return path


def write_fields_csv(path: Path, states: Sequence[FieldState]) -> Path:
    """Write the figures of fields and where they come from.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    rows = [_row(state) for state in states]
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def _row(state: FieldState) -> dict[str, Any]:
    found, known, origin = state.summary, state.description, state.segmentation
    size = found.pixel_size_nm or (None, None)
    degree, largest = found.agglomerate_degree, found.largest
    return {
        "field": found.name,
        "file": origin.input,
        "sha256": origin.input_sha256,
        "labels": origin.labels,
        "model": origin.model.name,
        "model_sha256": origin.model.sha256,
        "pixel_height_nm": size[0],
        "pixel_width_nm": size[1],
        "pixel_size_source": origin.pixel_size_source,
        "analysed_px": found.analysed_px,
        "analysed_mm2": found.analysed_mm2,
        "count": found.count,
        "border_count": found.border_count,
        "area_fraction": found.area_fraction,
        "number_density_per_mm2": found.number_density_per_mm2,
        **_sizes(found),
        "d_star_um": degree.d_star_um if degree else None,
        "area_share_above_d_star": degree.area_share if degree else None,
        "count_per_mm2_above_d_star": degree.count_per_mm2 if degree else None,
        "clark_evans_r": found.clark_evans.r,
        "clark_evans_p": found.clark_evans.p,
        "clark_evans_n": found.clark_evans.n,
        "largest_ecd_um": largest.ecd_um if largest else None,
        "largest_feret_max_um": largest.feret_max_um if largest else None,
        "largest_at_border": largest.at_border if largest else None,
        **{
            name: known.get(name)
            for name in (
                "vendor",
                "instrument",
                "detector",
                "accelerating_voltage_v",
                "working_distance_m",
                "magnification",
                "acquired",
            )
        },
        "warnings": " | ".join(found.warnings),
    }


def _sizes(found: FieldSummary) -> dict[str, float | None]:
    out: dict[str, float | None] = {}
    for unit, sizes in (("um", found.ecd_um), ("px", found.ecd_px)):
        for by in ("number", "area"):
            for name in ("d10", "d50", "d90", "span"):
                out[f"{by}_{name}_{unit}"] = getattr(getattr(sizes, by), name) if sizes else None
        out[f"max_{unit}"] = sizes.max if sizes else None
    return out
