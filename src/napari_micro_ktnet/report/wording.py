"""What a report says in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from napari_micro_ktnet.measurement.fields import FieldMeasurement
from napari_micro_ktnet.measurement.pooled import Measurement
from napari_micro_ktnet.measurement.summary import ClarkEvansRecord, PooledSummary
from napari_micro_ktnet.measurement.verdict import Verdict
from napari_micro_ktnet.report.content import ReportField
from napari_micro_ktnet.report.figures import shown_unit, unit_of
from napari_micro_ktnet.report.numbers import NONE, chance, digits, interval, percent
from napari_micro_ktnet.sem.describe import lines

Rows = list[tuple[str, str]]

CHECK_NAMES = {
    "largest_ecd_um": ("Largest agglomerate (ECD)", "\u00b5m"),
    "count_per_mm2_above_d_star": ("Agglomerates larger than d*", "per mm\u00b2"),
    "area_percent": ("Area of agglomerates", "%"),
}
_BORDER = {
    "keep": "counted like all others",
    "exclude": "left out of sizes and counts; part of the area fraction",
    "weight": (
        "left out of sizes and counts; the others count W H / ((W \u2212 w)(H \u2212 h)) times; part of the "
        "area fraction"
    ),
}
_SOURCES = {
    "metadata": "from the image file",
    "estimated": "an estimate from the magnification",
    "user": "given by the user",
}
_MOST_VALUES = 3


def headline(verdict: Verdict | None) -> tuple[str, str, str]:
    """Kind (for the colour), title and sentence of the verdict."""
    if verdict is None:
        return "none", "No verdict", "No limits were given to judge the lot by."
    of = f" of \u201c{verdict.limits.name}\u201d" if verdict.limits.name else ""
    if verdict.outcome == "pass":
        grade = f" The lot reaches grade {verdict.grade}." if verdict.grade else ""
        return "pass", "Pass", f"All limits{of} are kept.{grade}"
    if verdict.outcome == "fail":
        broken = sum(c.outcome == "fail" for c in verdict.checks)
        said = f"{broken} of {len(verdict.checks)} limits{of} {'is' if broken == 1 else 'are'} broken."
        return "fail", "Fail", said if broken else f"No grade{of} is reached."
    return "unsure", "Not enough data", f"The limits{of} cannot be judged from what was measured."


def key_figures(pooled: PooledSummary) -> list[tuple[str, str, str]]:
    """Name, value and what is said below it, of the figures to read first."""
    found = pooled.confidence.intervals
    out = [("Agglomerates", f"{pooled.count}", f"in {pooled.fields} field{'s' * (pooled.fields != 1)}")]
    limits = interval(found.get("area_fraction"), 100)
    out.append(("Area fraction", percent(pooled.area_fraction), limits))
    if pooled.number_density_per_mm2 is not None:
        limits = interval(found.get("number_density_per_mm2"))
        out.append(("Number density", f"{digits(pooled.number_density_per_mm2)} /mm\u00b2", limits))
    unit = "um" if pooled.ecd_um else "px"
    sizes = pooled.ecd_um or pooled.ecd_px
    if sizes is not None:
        for by in ("number", "area"):
            value = getattr(sizes, by).d50
            limits = interval(found.get(f"ecd_{unit}.{by}.d50"))
            out.append((f"D50 by {by}", f"{digits(value)} {shown_unit(unit)}", limits))
    if (largest := pooled.largest) is not None:
        value, unit = (largest.ecd_um, "um") if largest.ecd_um is not None else (largest.ecd_px, "px")
        note = "at the edge: larger than this" if largest.at_border else largest.field
        if largest.ecd_um is not None and pooled.ecd_um is None:
            note += "; only fields with a pixel size"
        out.append(("Largest (ECD)", f"{digits(value)} {shown_unit(unit)}", note))
    return out


def sampling(measurement: Measurement) -> Rows:
    """How much was measured, and how labels became objects."""
    pooled, asked = measurement.pooled, measurement.record.parameters
    area = f"{pooled.analysed_px / 1e6:.3g} megapixels"
    if pooled.analysed_mm2 is not None:
        area = f"{digits(pooled.analysed_mm2, 4)} mm\u00b2 ({area})"
    empty = sum(f.summary.count == 0 for f in measurement.fields)
    least = next(
        (f"{asked[f'min_size_{u}']:g} {shown_unit(u)}" for u in ("um", "px") if asked[f"min_size_{u}"]),
        "none",
    )
    split = asked["split"]
    return [
        ("Fields", f"{pooled.fields}" + (f", {empty} of them without agglomerates" if empty else "")),
        ("Analysed area", area),
        ("Agglomerates that count", f"{pooled.count}"),
        ("At the edge of a field", f"{pooled.border_count}, {_BORDER[asked['border']]}"),
        ("Touching agglomerates", "not separated" if split is None else f"separated from {split:g} px depth"),
        ("Least size (ECD)", least),
        ("Holes", "filled" if asked["fill_holes"] else "not filled"),
        ("Connectivity", f"{asked['connectivity']} neighbours"),
    ]


def percentile_rows(pooled: PooledSummary) -> list[tuple[str, list[tuple[str, str]]]]:
    """Name of a distribution; value and confidence limits of D10, D50, D90, span and largest."""
    unit = "um" if pooled.ecd_um else "px"
    sizes = pooled.ecd_um or pooled.ecd_px
    if sizes is None:
        return []
    out = []
    for by in ("number", "area"):
        found = getattr(sizes, by)
        cells = [
            (digits(getattr(found, d)), interval(pooled.confidence.intervals.get(f"ecd_{unit}.{by}.{d}")))
            for d in ("d10", "d50", "d90")
        ]
        out.append((f"by {by}", [*cells, (digits(found.span), ""), (digits(sizes.max), "")]))
    return out


def _count(value: float) -> str:
    # Not whole where agglomerates at the edge make others count more than once.
    return f"{value:.0f}" if float(value).is_integer() else digits(value)


def dispersion(pooled: PooledSummary) -> Rows:
    """Figures of the dispersion with what they mean."""
    found = pooled.confidence.intervals
    rows = [("Area fraction", _with(percent(pooled.area_fraction), found.get("area_fraction"), 100))]
    if pooled.number_density_per_mm2 is not None:
        value = f"{digits(pooled.number_density_per_mm2)} per mm\u00b2"
        rows.append(("Number density", _with(value, found.get("number_density_per_mm2"))))
    if (degree := pooled.agglomerate_degree) is not None:
        rows.append(
            (
                f"Agglomerate degree above d* = {degree.d_star_um:g} \u00b5m",
                f"{percent(degree.area_share)} of the agglomerates\u2019 area; "
                f"{_count(degree.count)} agglomerates, {digits(degree.count_per_mm2)} per mm\u00b2",
            )
        )
    rows.append(("Clark\u2013Evans ratio R (Donnelly)", clark_evans(pooled.clark_evans)))
    for name, one in (
        ("area fraction", pooled.scatter.area_fraction),
        ("number density", pooled.scatter.number_density_per_mm2),
    ):
        if one is not None and one.cv is not None:
            rows.append((f"Scatter of {name} between fields", f"coefficient of variation {percent(one.cv)}"))
    return rows


def clark_evans(found: ClarkEvansRecord) -> str:
    """Ratio, p and meaning."""
    if found.r is None:
        return f"{NONE} (fewer than 2 agglomerates in every field)"
    text = f"{digits(found.r)}, p {chance(found.p)} ({found.n} agglomerates): "
    if found.p is None:
        return f"{digits(found.r)} ({found.n} agglomerates): too few to test, 8 in a field are needed"
    if found.p >= 0.05:
        return text + "not distinguishable from random places"
    return text + ("clustered" if found.r < 1 else "more evenly spaced than at random")


def groups(measurement: Measurement) -> list[list[str]]:
    """One row for each magnification, where there are several."""
    out = []
    for group in measurement.record.groups:
        found, ends = group.pooled, group.pixel_sizes_nm
        sizes, unit = found.ecd_um or found.ecd_px, shown_unit("um" if found.ecd_um else "px")
        lengths = (sizes.number.d50, sizes.area.d50, sizes.max) if sizes else (None,) * 3
        text = "not known" if ends is None else " to ".join(dict.fromkeys(f"{e:.4g}" for e in ends)) + " nm"
        counts = (str(found.fields), str(found.count), percent(found.area_fraction))
        shown = (digits(found.number_density_per_mm2), *(f"{digits(v)} {unit}" for v in lengths))
        out.append([text, *counts, *shown])
    return out


def acquisition(measurement: Measurement, fields: Sequence[ReportField]) -> Rows:
    """Acquisition conditions: one value where all fields share it."""
    found: dict[str, list[str]] = {}
    for measured, field in zip(measurement.fields, fields, strict=False):
        found.setdefault("pixel size", []).append(pixel_size(measured, field))
        for label, text in lines(dict(field.description)) if field.description else ():
            if label != "data bar":
                found.setdefault(label, []).append(text)
    return [(label, _together(texts)) for label, texts in found.items()]


def pixel_size(measured: FieldMeasurement, field: ReportField) -> str:
    """Pixel size that was measured with, in um, with where it comes from."""
    if measured.pixel_size is None:
        return "not known"
    record = field.segmentation
    source = field.description.get("pixel_size_source") or (record.pixel_size_source if record else "")
    high, wide = (f"{s / 1000:.5g}" for s in measured.pixel_size)
    both = high if high == wide else f"{high} (high) \u00d7 {wide} (wide)"
    return f"{both} \u00b5m/px ({_SOURCES.get(source, 'not from the image file')})"


def models(fields: Sequence[ReportField]) -> list[Rows]:
    """Every model that made labels, with the parameters it was used with."""
    out: list[Rows] = []
    for record in (f.segmentation for f in fields if f.segmentation):
        asked = ", ".join(f"{k} {_plain(v)}" for k, v in record.parameters.items())
        rows = [
            ("Model", record.model.name),
            ("SHA-256", record.model.sha256),
            ("Network", f"{record.model.architecture}, {record.model.encoder}"),
            ("Parameters", asked),
        ]
        if rows not in out:
            out.append(rows)
    return out


def versions(measurement: Measurement, fields: Sequence[ReportField]) -> str:
    """Software that the figures come from."""
    found: dict[str, str] = {}
    for field in fields:
        found |= field.segmentation.versions if field.segmentation else {}
    found |= measurement.record.versions
    return ", ".join(f"{name} {number}" for name, number in found.items())


def warnings(measurement: Measurement) -> list[str]:
    """Give all warnings: those of the lot, then those of fields, each once with the fields it holds for."""
    out = list(measurement.pooled.warnings)
    by_text: dict[str, list[int]] = {}
    for number, measured in enumerate(measurement.fields, 1):
        for text in measured.summary.warnings:
            if text not in out:
                by_text.setdefault(text, []).append(number)
    for text, numbers in by_text.items():
        out.append(text if len(measurement.fields) == 1 else f"{_numbered(numbers, measurement)}: {text}")
    return out


def size_unit(measurement: Measurement) -> str:
    """Give the unit of sizes as people write it."""
    return shown_unit(unit_of(measurement) or "um")


def _numbered(numbers: Sequence[int], measurement: Measurement) -> str:
    if len(numbers) == len(measurement.fields):
        return "All fields"
    shown = ", ".join(map(str, numbers[:12])) + (" and more" if len(numbers) > 12 else "")
    return f"Field{'s' * (len(numbers) > 1)} {shown}"


def _with(value: str, limits: tuple[float, float] | None, factor: float = 1.0) -> str:
    return f"{value} (95 % confidence: {interval(limits, factor)})" if limits else value


def _together(texts: Iterable[str]) -> str:
    unique = list(dict.fromkeys(texts))
    if len(unique) <= _MOST_VALUES:
        return "; ".join(unique)
    return f"{len(unique)} different values: see the table of files"


def _plain(value: Any) -> str:
    if value is None:
        return "automatic"
    if isinstance(value, (list, tuple)):
        return " \u00d7 ".join(map(_plain, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
