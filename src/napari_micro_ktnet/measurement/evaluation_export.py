"""Evaluations as tables and JSON."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable
from dataclasses import asdict
from io import StringIO
from itertools import starmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_micro_ktnet.files import write_bytes
from napari_micro_ktnet.measurement.class_scores import (
    CONFIDENCE,
    RESAMPLES,
    ClassScores,
    Mean,
    length_of_pixel,
)

if TYPE_CHECKING:
    from napari_micro_ktnet.measurement.comparison import ImageReport
    from napari_micro_ktnet.measurement.evaluation import Evaluation

_FIRST = ("label", "matched", "iou", "verdict", "border")
_LAST = ("y", "x", "top", "left", "bottom", "right", "parts", "boundary_iou", "nsd")
OBJECT_COLUMNS = ("image", "side", "class", *_FIRST, "area_px", "ecd", *_LAST, "hd95")
AVERAGING = {
    "pooled": "one confusion matrix, one set of objects and outlines over all images together",
    "mean_per_image": "mean of the scores of the images, n of them where the score is defined",
    "interval_95": f"bootstrap over images, {RESAMPLES} resamples, percentiles; none for fewer than 3 images",
}


def to_dict(evaluation: Evaluation) -> dict[str, Any]:
    """Everything as what JSON can hold; see `Evaluation.to_dict`."""
    options = evaluation.options
    pooled = {name: _with_status(scores) for name, scores in evaluation.pooled.items()}
    means = {name: _means(scores) for name, scores in evaluation.mean_per_image.items()}
    if len(evaluation.classes) == 1:
        # A task with one class should not make its readers look up the name.
        pooled |= pooled[evaluation.classes[0]]
        means |= means[evaluation.classes[0]]
    found: dict[str, Any] = {
        "schema_version": 1,
        "classes": list(evaluation.classes),
        "images": len(evaluation.images),
        "length_unit": evaluation.unit,
        "settings": {
            "not_annotated": options.not_annotated,
            "instances": options.instances,
            "tolerance": options.tolerance,
            "tolerance_unit": options.tolerance_unit,
            "size_edges": list(evaluation.size_edges),
            "confidence": CONFIDENCE,
            "seed": options.seed,
        },
        "averaging": AVERAGING,
        "warnings": list(evaluation.warnings),
        "overall": asdict(evaluation.overall),
        "pooled": pooled,
        "mean_per_image": means,
        "per_image": list(starmap(_image, zip(evaluation.images, evaluation.per_image, strict=True))),
        "objects": {
            "pooled": {name: asdict(scores.objects) for name, scores in evaluation.pooled.items()},
            "table": object_rows(evaluation),
        },
    }
    cleaned: dict[str, Any] = _cleaned(found)
    return cleaned


def image_rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    """One row for each image and class; see `Evaluation.image_rows`."""
    return [
        {"image": report.name, "class": name, "status": scores.status} | scores.flat()
        for report, classes in zip(evaluation.images, evaluation.per_image, strict=True)
        for name, scores in classes.items()
    ]


def object_rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    """One row for each object; see `Evaluation.object_rows`."""
    rows = []
    for report in evaluation.images:
        table, scale = report.objects, length_of_pixel(report, evaluation.unit)
        columns = (
            [report.name] * len(table),
            ["truth" if t else "prediction" for t in table.in_truth.tolist()],
            [evaluation.classes[n - 1] for n in table.class_number.tolist()],
            *(getattr(table, name).tolist() for name in _FIRST),
            table.area.tolist(),
            (table.ecd * scale).tolist(),
            *(getattr(table, name).tolist() for name in _LAST),
            (table.hd95 * scale).tolist(),
        )
        rows += [dict(zip(OBJECT_COLUMNS, row, strict=True)) for row in zip(*columns, strict=True)]
    return rows


def write_json(evaluation: Evaluation, path: Path) -> Path:
    """Write `to_dict`."""
    return write_bytes(path, json.dumps(to_dict(evaluation), indent=1, allow_nan=False).encode())


def write_csv(columns: Iterable[str], rows: list[dict[str, Any]], path: Path) -> Path:
    """Write rows of these keys as CSV; what is not defined is left empty."""
    text = StringIO()
    writer = csv.DictWriter(text, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(_cleaned(row) for row in rows)
    return write_bytes(path, text.getvalue().encode())


def _image(report: ImageReport, classes: dict[str, ClassScores]) -> dict[str, Any]:
    return {
        "name": report.name,
        "shape": list(report.shape),
        "pixel_size_nm": report.pixel_size,
        "analysed_pixels": int(report.confusion.sum()),
        "confusion": report.confusion.tolist(),
        "classes": {name: _with_status(scores) for name, scores in classes.items()},
    }


def _with_status(scores: ClassScores) -> dict[str, Any]:
    return {"status": scores.status} | scores.flat()


def _means(scores: dict[str, Mean]) -> dict[str, Any]:
    return {name: mean.value for name, mean in scores.items()} | {
        "interval_95": {name: [mean.low, mean.high] for name, mean in scores.items()},
        "n": {name: mean.n for name, mean in scores.items()},
    }


def _cleaned(value: Any) -> Any:
    """Put None for numbers that JSON does not know."""
    if isinstance(value, dict):
        return {key: _cleaned(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_cleaned(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
