"""Everything that the template fills in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import PurePath
from typing import Any

from napari_micro_ktnet.measurement.pooled import Measurement
from napari_micro_ktnet.measurement.summary import FieldSummary
from napari_micro_ktnet.report import figures, wording
from napari_micro_ktnet.report.colors import NOT_COUNTED, class_colors
from napari_micro_ktnet.report.content import ReportField, ReportInfo
from napari_micro_ktnet.report.gallery import make_pictures
from napari_micro_ktnet.report.numbers import NONE, chance, digits, percent
from napari_micro_ktnet.report.trend import Lot
from napari_micro_ktnet.sem.describe import lines

_CONDITIONS = ("voltage", "working distance", "magnification", "detector")


def page_context(
    measurement: Measurement, fields: Sequence[ReportField], info: ReportInfo, earlier: Sequence[Lot]
) -> dict[str, Any]:
    """Put together what the template shows."""
    pooled = measurement.pooled
    kind, title, sentence = wording.headline(measurement.verdict)
    ripley, with_ripley = figures.ripley_curves([f.summary for f in measurement.fields])
    return {
        "info": info,
        "written": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        "headline": {"kind": kind, "title": title, "sentence": sentence},
        "verdict": measurement.verdict,
        "check_names": wording.CHECK_NAMES,
        "pooled": pooled,
        "key_figures": wording.key_figures(pooled),
        "warnings": wording.warnings(measurement),
        "sampling": wording.sampling(measurement),
        "unit": wording.size_unit(measurement),
        "histograms": figures.size_histograms(measurement),
        "percentiles": wording.percentile_rows(pooled),
        "classes": list(zip(pooled.size_classes, class_colors(len(pooled.size_classes)), strict=True)),
        "not_counted": NOT_COUNTED if pooled.border_count and not _keeps_border(measurement) else None,
        "dispersion": wording.dispersion(pooled),
        "scatter": figures.field_scatter(measurement),
        "ripley": ripley,
        "with_ripley": with_ripley,
        "pictures": make_pictures(measurement, fields),
        "groups": wording.groups(measurement),
        "trend": figures.trend([*earlier, Lot(info.lot or "this lot", pooled)] if earlier else []),
        "acquisition": wording.acquisition(measurement, fields),
        "models": wording.models(fields),
        "versions": wording.versions(measurement, fields),
        "fields": [_field_row(f.summary, wording.size_unit(measurement)) for f in measurement.fields],
        "files": _file_rows(measurement, fields),
        "digits": digits,
        "percent": percent,
    }


def _keeps_border(measurement: Measurement) -> bool:
    return bool(measurement.record.parameters["border"] == "keep")


def _field_row(found: FieldSummary, unit: str) -> list[str]:
    """Cells of the table of fields; `unit` is that of most rows, and sizes in another one say so."""
    sizes = found.ecd_um or found.ecd_px
    number = (sizes.number.d10, sizes.number.d50, sizes.number.d90) if sizes else (None,) * 3
    area, largest = (sizes.area.d50, sizes.max) if sizes else (None, None)
    other = " px" if found.ecd_um is None and unit != "px" else ""
    return [
        found.name,
        NONE if found.analysed_mm2 is None else digits(found.analysed_mm2),
        str(found.count),
        percent(found.area_fraction),
        digits(found.number_density_per_mm2),
        *(NONE if d is None else digits(d) + other for d in (*number, area, largest)),
        digits(found.clark_evans.r),
        chance(found.clark_evans.p),
    ]


def _file_rows(measurement: Measurement, fields: Sequence[ReportField]) -> list[dict[str, str]]:
    out = []
    for measured, field in zip(measurement.fields, fields, strict=False):
        record, known = field.segmentation, field.description
        file = known.get("file") or (record.input if record else "") or measured.summary.file
        texts = dict(lines(dict(known))) if known else {}
        out.append(
            {
                "file": PurePath(file).name if file else measured.summary.name,
                "sha256": record.input_sha256 if record else "",
                "pixel_size": wording.pixel_size(measured, field),
                **{name.replace(" ", "_"): texts.get(name, NONE) for name in _CONDITIONS},
            }
        )
    return out
