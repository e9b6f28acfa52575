"""What a measurement says, as the lines of a table and as sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_micro_ktnet.gui.tables import Cell, ScoreRow, plain

if TYPE_CHECKING:
    from napari_micro_ktnet.gui.agglomerates.run import Options
    from napari_micro_ktnet.measurement.limits import Limits
    from napari_micro_ktnet.measurement.pooled import Measurement
    from napari_micro_ktnet.measurement.summary import PooledSummary, SizeClass, Sizes
    from napari_micro_ktnet.measurement.verdict import Verdict

_INTERVAL = "95 % interval from a bootstrap over fields."
_NO_PIXEL_SIZE = "n/a: the pixel size is not known."
_NO_OBJECT = "n/a: there is no object."
_NO_SIZES = "n/a: fields whose pixel sizes are not known, or in px of different magnification."
_R = (
    "Mean distance to the nearest neighbour over that of random points, with Donnelly's edge correction: "
    "below 1 clusters, 1 random, above 1 evenly spaced."
)
_P = "Chance of an R at least as far from 1, if objects lie at random."
_LIMITS = {
    "largest_ecd_um": "largest ECD, µm",
    "count_per_mm2_above_d_star": "objects per mm² above d*",
    "area_percent": "area, %",
}
_OUTCOMES = {"pass": "good", "fail": "problem", "not enough data": "warning"}


def unit_of(pooled: PooledSummary) -> str:
    """Write the unit of sizes: px only where no field has a pixel size."""
    largest = None if pooled.largest is None else pooled.largest.ecd_um
    return "µm" if pooled.ecd_um is not None or largest is not None else "px"


def class_text(low: float, high: float) -> str:
    """Bounds of a size class."""
    return f"{low:g} to {high:g}"


def summary(measurement: Measurement) -> str:
    """Tell the outcome in a sentence."""
    pooled = measurement.pooled
    fields = f" in {pooled.fields} fields" if pooled.fields > 1 else ""
    text = f"{pooled.count} agglomerates{fields}, {100 * pooled.area_fraction:.3g} % of the area"
    sizes = pooled.ecd_um or pooled.ecd_px
    if sizes is not None and sizes.max is not None:
        unit = unit_of(pooled)
        text += f", D50 {_quantity(sizes.number.d50)} {unit}, the largest {_quantity(sizes.max)} {unit}"
    return text + "."


def warnings(measurement: Measurement) -> list[str]:
    """Collect what a reader must know: of all fields together, then what is said of some only."""
    pooled = measurement.pooled
    found = list(pooled.warnings)
    for field in measurement.fields:
        for text in field.summary.warnings:
            if text not in found and not any(w.endswith(text) for w in found):
                found.append(f"{field.summary.name}: {text}" if pooled.fields > 1 else text)
    return found


def describe_options(options: Options, limits: Limits | None) -> str:
    """Say how a batch will measure."""
    options = options.with_limits(limits)
    split = "not separated" if options.split is None else f"separated from a depth of {options.split:g} px"
    unit = "µm" if options.min_size_unit == "um" else "px"
    least = f"smaller than {options.min_size:g} {unit} left out" if options.min_size else "of any size"
    holes = ", holes filled" if options.fill_holes else ""
    border = {"keep": "counted", "exclude": "left out", "weight": "left out, with correction"}[options.border]
    return (
        f"As in the Measure tab: touching agglomerates {split}{holes}, {least}; those at the edge {border}; "
        f"d* = {options.d_star_um:g} µm."
    )


def verdict_text(verdict: Verdict) -> tuple[str, str]:
    """Give a verdict as a headline and its kind: good, problem or warning."""
    name = f"{verdict.limits.name}: " if verdict.limits.name else ""
    grade = f", grade {verdict.grade}" if verdict.grade else ""
    return f"{name}{verdict.outcome.upper()}{grade}", _OUTCOMES[verdict.outcome]


def verdict_reasons(verdict: Verdict) -> list[tuple[str, str]]:
    """Give every limit with its outcome and the reason, and the kind of each."""
    found = [
        (f"{_LIMITS.get(c.name, c.name)} ≤ {c.limit:g}: {c.outcome}. {c.reason}", _OUTCOMES[c.outcome])
        for c in verdict.checks
    ]
    if verdict.grade_reason:
        found.append((f"Grade: {verdict.grade_reason}", "good" if verdict.grade else "warning"))
    return found


def figure_rows(pooled: PooledSummary) -> list[ScoreRow]:
    """All figures of all fields together, in sections."""
    unit = "um" if unit_of(pooled) == "µm" else "px"
    sizes = pooled.ecd_um or pooled.ecd_px
    return [
        *_amount(pooled),
        *_size_rows(pooled, sizes, unit),
        *_dispersion(pooled),
        *_sampling(pooled),
    ]


def _amount(pooled: PooledSummary) -> list[ScoreRow]:
    return [
        _heading(pooled, "Amount"),
        _row(
            pooled,
            "area fraction, %",
            100 * pooled.area_fraction,
            "Of the analysed area; objects at the edge are in it.",
            key="area_fraction",
            factor=100,
        ),
        _row(
            pooled,
            "number per mm²",
            pooled.number_density_per_mm2,
            "Objects that count, over the analysed area.",
            _NO_PIXEL_SIZE,
            key="number_density_per_mm2",
        ),
        _row(pooled, "agglomerates", pooled.count, "Objects that count under the edge rule."),
        _row(pooled, "touch the edge", pooled.border_count, "They touch the edge of what is analysed."),
    ]


def _size_rows(pooled: PooledSummary, sizes: Sizes | None, unit: str) -> list[ScoreRow]:
    written = "µm" if unit == "um" else "px"
    rows = [_heading(pooled, f"Diameter (ECD), {written}", "Of the circle of the same area.")]
    for by, text in (("number", "by number"), ("area", "by area")):
        for name in ("d10", "d50", "d90"):
            value = getattr(getattr(sizes, by), name) if sizes is not None else None
            tip = f"{name[1:]} % of the {'objects' if by == 'number' else 'area of objects'} are smaller."
            key = f"ecd_{unit}.{by}.{name}"
            rows.append(_row(pooled, f"{name.upper()} {text}", value, tip, _why(sizes), key=key))
        span = getattr(sizes, by).span if sizes is not None else None
        rows.append(_row(pooled, f"span {text}", span, "(D90 - D10) / D50", _why(sizes)))
    rows.append(_row(pooled, "largest", sizes.max if sizes else None, "Of those that count.", _why(sizes)))
    return rows


def _dispersion(pooled: PooledSummary) -> list[ScoreRow]:
    ratio, degree = pooled.clark_evans, pooled.agglomerate_degree
    few = "n/a: it takes at least 8 agglomerates in a field, and a rectangular region."
    rows = [
        _heading(pooled, "Dispersion"),
        _row(pooled, "Clark-Evans R", ratio.r, _R, few),
        _line(pooled, ("p", _P), _chance(ratio.p, few), ("", "")),
    ]
    d_star = f"{degree.d_star_um:g} µm" if degree else ""
    share = None if degree is None or degree.area_share is None else 100 * degree.area_share
    above = f"{'d* = ' + d_star if d_star else 'd*'}"
    why = _NO_PIXEL_SIZE if degree is None else _NO_OBJECT
    return [
        *rows,
        _row(pooled, "agglomerate degree, %", share, f"Share of their area that is above {above}.", why),
        _row(
            pooled,
            f"per mm² above {d_star or 'd*'}",
            degree.count_per_mm2 if degree else None,
            f"Objects above {above}.",
            why,
        ),
    ]


def _sampling(pooled: PooledSummary) -> list[ScoreRow]:
    scatter = pooled.scatter
    one = "n/a: it takes at least 2 fields."
    density = scatter.number_density_per_mm2
    area = scatter.area_fraction.cv
    return [
        _heading(pooled, "Sampling"),
        _row(pooled, "fields", pooled.fields, "Empty ones count, too."),
        _row(pooled, "analysed, mm²", pooled.analysed_mm2, "Without data bars.", _NO_PIXEL_SIZE),
        _row(
            pooled,
            "scatter of area, %",
            None if area is None else 100 * area,
            "Standard deviation between fields over their mean.",
            one,
        ),
        _row(
            pooled,
            "scatter of number, %",
            None if density is None or density.cv is None else 100 * density.cv,
            "The same of the number per mm².",
            one,
        ),
    ]


def _heading(pooled: PooledSummary, text: str, tip: str = "") -> ScoreRow:
    if pooled.confidence.reason:
        return ScoreRow(((text, tip), ("value", f"No intervals: {pooled.confidence.reason}")), title=True)
    return ScoreRow(((text, tip), ("value", ""), ("95 %", _INTERVAL)), title=True)


def _row(
    pooled: PooledSummary,
    text: str,
    value: float | None,
    tip: str,
    missing: str = _NO_OBJECT,
    *,
    key: str = "",
    factor: float = 1,
) -> ScoreRow:
    shown: Cell = ("n/a", missing) if value is None else (_quantity(value), f"{value:.6g}")
    return _line(pooled, (text, tip), shown, _interval(pooled, key, factor))


def _line(pooled: PooledSummary, *cells: Cell) -> ScoreRow:
    """Leave the column of intervals out where there are none."""
    return ScoreRow(cells[:2] if pooled.confidence.reason else cells)


def _interval(pooled: PooledSummary, key: str, factor: float) -> Cell:
    if not key:
        return "", ""
    limits = pooled.confidence.intervals.get(key)
    if limits is None:
        return "", _NO_OBJECT
    return f"{_quantity(factor * limits[0])}..{_quantity(factor * limits[1])}", _INTERVAL


def _why(sizes: Sizes | None) -> str:
    return _NO_SIZES if sizes is None else _NO_OBJECT


def _quantity(value: float | None) -> str:
    if value is None:
        return "n/a"
    if isinstance(value, int):
        return str(value)
    return plain(value)


def _chance(value: float | None, missing: str) -> Cell:
    if value is None:
        return "n/a", missing
    return "< 0.001" if value < 0.001 else f"{value:.3f}", f"{value:.3g}"


def class_texts(classes: tuple[SizeClass, ...]) -> list[str]:
    """Names of size classes."""
    return [class_text(c.low, c.high) for c in classes]
