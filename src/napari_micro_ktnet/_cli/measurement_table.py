"""A measurement as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_micro_ktnet.measurement.pooled import Measurement
    from napari_micro_ktnet.measurement.summary import Summary

_HEAD = f"{'field':24} {'count':>6} {'area %':>7} {'per mm2':>9}  {'D10':>6} {'D50':>6} {'D90':>6}  "
_HEAD += f"{'D50 area':>8} {'max':>7}  {'R':>5} {'p':>6}"


def print_measurement(result: Measurement) -> None:
    """Print fields, pooled figures, size classes, verdict and warnings."""
    unit = "um" if any(f.summary.ecd_um for f in result.fields) else "px"
    print(f"ECD by number (D10, D50, D90), by area (D50 area), largest; in {unit}. R: Clark-Evans.")
    print(_HEAD)
    for field in result.fields:
        print(_line(field.summary.name, field.summary, unit))
    pooled = result.pooled
    print(_line(f"all {pooled.fields}", pooled, unit))
    if degree := pooled.agglomerate_degree:
        share = "none" if degree.area_share is None else f"{degree.area_share:.1%}"
        print(
            f"Above d* = {degree.d_star_um:g} um: {share} of the agglomerates' area, "
            f"{degree.count_per_mm2:.4g} per mm2"
        )
    _print_confidence(result)
    _print_classes(result)
    _print_verdict(result)
    warnings = [(f.summary.name, w) for f in result.fields for w in f.summary.warnings]
    if len(result.fields) > 1:
        # What holds for all fields is said once, by the pooled warnings.
        common = {w for _, w in warnings if sum(w == other for _, other in warnings) == len(result.fields)}
        for text in sorted(common - set(pooled.warnings)):
            print(f"Note, all fields: {text}")
        warnings = [(name, w) for name, w in warnings if w not in common]
    for name, text in warnings:
        if text not in pooled.warnings:
            print(f"Note, {name}: {text}")
    for text in pooled.warnings:
        print(f"Note: {text}")


def _line(name: str, found: Summary, unit: str) -> str:
    sizes = found.ecd_um if unit == "um" else found.ecd_px
    number = (sizes.number.d10, sizes.number.d50, sizes.number.d90) if sizes else (None,) * 3
    area, largest = (sizes.area.d50, sizes.max) if sizes else (None, None)
    ratio = found.clark_evans
    chance = "<0.001" if ratio.p is not None and ratio.p < 0.001 else _text(ratio.p, 6, ".3f")
    return (
        f"{name:24} {found.count:6d} {100 * found.area_fraction:7.3f} "
        f"{_text(found.number_density_per_mm2, 9)}  {' '.join(_text(d, 6) for d in number)}  "
        f"{_text(area, 8)} {_text(largest, 7)}  {_text(ratio.r, 5, '.2f')} {chance:>6}"
    )


def _text(value: float | None, width: int, form: str = ".4g") -> str:
    return f"{'-' if value is None else format(value, form):>{width}}"


def _print_confidence(result: Measurement) -> None:
    confidence = result.pooled.confidence
    if confidence.reason:
        print(f"No confidence limits: {confidence.reason}")
        return
    shown = {
        "area_fraction": ("area %", 100),
        "ecd_um.number.d50": ("D50", 1),
        "ecd_um.area.d50": ("D50 area", 1),
    }
    parts = []
    for name, (label, factor) in shown.items():
        if limits := confidence.intervals.get(name):
            parts.append(f"{label} {factor * limits[0]:.4g} to {factor * limits[1]:.4g}")
    print(f"95 % limits from the scatter of {confidence.fields} fields: {', '.join(parts)}")


def _print_classes(result: Measurement) -> None:
    classes = result.pooled.size_classes
    if not classes:
        return
    unit = "um" if result.pooled.ecd_um else "px"
    head = (f"ECD, {unit}", "count", "per mm2", "area %", "cum. count %", "cum. area %")
    widths = (16, 8, 9, 8, 13, 12)
    print(" ".join(f"{text:>{width}}" for text, width in zip(head, widths, strict=True)))
    for c in classes:
        row = (
            f"{c.low:g} to {c.high:g}",
            f"{c.count:.4g}",
            _text(c.count_per_mm2, 0),
            f"{c.area_percent:.4f}",
            f"{c.cumulative_count_percent:.1f}",
            f"{c.cumulative_area_percent:.1f}",
        )
        print(" ".join(f"{text:>{width}}" for text, width in zip(row, widths, strict=True)))


def _print_verdict(result: Measurement) -> None:
    verdict = result.verdict
    if verdict is None:
        return
    name = f" ({verdict.limits.name})" if verdict.limits.name else ""
    print(f"Verdict{name}: {verdict.outcome.upper()}" + (f", grade {verdict.grade}" if verdict.grade else ""))
    for check in verdict.checks:
        print(f"  {check.name}: {check.outcome}. {check.reason}")
    if verdict.grade_reason:
        print(f"  grades: {verdict.grade_reason}")
