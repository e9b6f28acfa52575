"""Pass or fail against the limits of a lab.

No limit of any standard is built in. Standards that grade agglomerates or dispersion (such as ISO 18553 for
pigment and carbon black in polyolefin pipes) hold for their own preparation and optical magnification, not
for SEM fields of a section.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.measurement.limits import Limits, LimitSet, Sampling

if TYPE_CHECKING:
    from napari_micro_ktnet.measurement.summary import PooledSummary

Outcome = Literal["pass", "fail", "not enough data"]

_WORST_FIRST: tuple[Outcome, ...] = ("fail", "not enough data")
_FEWEST_EXPECTED = 3.0
_ROUNDING = 1e-9
_IN_UM = {"largest_ecd_um": "the largest diameter", "count_per_mm2_above_d_star": "the number per mm2"}


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Check(_Strict):
    """One limit.

    Attributes
    ----------
    name : str
        As in the limits file.
    limit : float
        What is allowed.
    value : float or None
        What was measured; None without a pixel size.
    outcome : {"pass", "fail", "not enough data"}
        What follows.
    reason : str
        Why, for people.
    """

    name: str
    limit: float
    value: float | None
    outcome: Outcome
    reason: str


class Verdict(_Strict):
    """Outcome of all limits.

    Attributes
    ----------
    outcome : {"pass", "fail", "not enough data"}
        fail if one limit is broken or no grade is reached; else not enough data if one limit cannot be
        decided; else pass.
    checks : tuple of Check
        One for each limit of ``[limits]``.
    grade : str or None
        Grade reached; None without a grade table, if none is reached, or if that cannot be decided.
    grade_reason : str
        Why this grade; empty without a grade table.
    limits : Limits
        What was asked for.
    """

    schema_version: Literal[1] = 1
    outcome: Outcome
    checks: tuple[Check, ...]
    grade: str | None
    grade_reason: str
    limits: Limits


def judge(pooled: PooledSummary, limits: Limits) -> Verdict:
    """Judge all fields of a lot together.

    The largest object fails a lot however little was measured. Counts and areas need the least sampling of
    the limits file; besides, a count can only be judged where the limit itself would let at least 3 such
    objects be expected in the analysed area (with fewer, a lot far beyond it shows none in one of 20 cases).

    Parameters
    ----------
    pooled : PooledSummary
        Measured with the limits' d*.
    limits : Limits
        From `read_limits`.

    Raises
    ------
    InputError
        It was measured with another d*.
    """
    degree = pooled.agglomerate_degree
    if limits.d_star_um is not None and degree is not None and degree.d_star_um != limits.d_star_um:
        raise InputError(
            f"The limits are for d* = {limits.d_star_um:g} um, but {degree.d_star_um:g} um was measured "
            "with. Measure with the d* of the limits."
        )
    checks = _check(pooled, limits.limits, limits)
    grade, reason, graded = _grade(pooled, limits)
    outcomes = [c.outcome for c in checks] + ([graded] if graded else [])
    outcome: Outcome = next((o for o in _WORST_FIRST if o in outcomes), "pass")
    return Verdict(outcome=outcome, checks=checks, grade=grade, grade_reason=reason, limits=limits)


def _grade(pooled: PooledSummary, limits: Limits) -> tuple[str | None, str, Outcome | None]:
    if not limits.grades:
        return None, "", None
    for grade in limits.grades:
        checks = _check(pooled, grade, limits)
        bad = [c for c in checks if c.outcome == "fail"]
        unsure = [c for c in checks if c.outcome == "not enough data"]
        if not bad and unsure:
            return None, f"Grade {grade.name} cannot be decided: {unsure[0].reason}", "not enough data"
        if not bad:
            return grade.name, f"All limits of grade {grade.name} are kept.", "pass"
    return None, f"No grade is reached: {bad[0].reason}", "fail"


def _check(pooled: PooledSummary, asked: LimitSet, limits: Limits) -> tuple[Check, ...]:
    return tuple(_check_one(pooled, name, limit, limits) for name, limit in asked.given.items())


def _check_one(pooled: PooledSummary, name: str, limit: float, limits: Limits) -> Check:
    value, text = _value(pooled, name, limit, limits)
    if value is None:
        reason = f"The pixel size is not known for every field, so that {_IN_UM[name]} cannot be judged."
        return Check(name=name, limit=limit, value=None, outcome="not enough data", reason=reason)
    # What is exactly at its limit must not be over it by a rounding error.
    over = value > limit * (1 + _ROUNDING)
    relation = "more than" if over else "not more than"
    reason = f"{text}, {relation} the limit {limit:g}."
    lacking = _lacking(pooled, name, limit, limits.sampling)
    outcome: Outcome = "fail" if over else "pass"
    if lacking and not (outcome == "fail" and name == "largest_ecd_um"):
        outcome, reason = "not enough data", f"{text}, but {lacking}."
    elif name == "largest_ecd_um" and outcome == "pass" and pooled.largest and pooled.largest.at_border:
        reason += " It touches the edge of its field and is larger than that: look at it."
    return Check(name=name, limit=limit, value=value, outcome=outcome, reason=reason)


def _value(pooled: PooledSummary, name: str, limit: float, limits: Limits) -> tuple[float | None, str]:
    if name == "area_percent":
        percent = 100 * pooled.area_fraction
        return percent, f"Agglomerates cover {percent:.4g} % of the analysed area"
    if name == "count_per_mm2_above_d_star":
        degree = pooled.agglomerate_degree
        if degree is None:
            return None, ""
        return degree.count_per_mm2, (
            f"{degree.count_per_mm2:.4g} agglomerates per mm2 are larger than d* = {limits.d_star_um:g} um"
        )
    largest = (pooled.largest.ecd_um if pooled.largest else None) or 0.0
    # One that is too large is too large, whatever the fields of unknown pixel size hold.
    if pooled.ecd_um is None and largest <= limit:
        return None, ""
    return largest, f"The largest agglomerate has an ECD of {largest:.4g} um"


def _too_few(expected: float) -> bool:
    return expected < _FEWEST_EXPECTED * (1 - _ROUNDING)


def _lacking(pooled: PooledSummary, name: str, limit: float, sampling: Sampling) -> str:
    """Say what is still to be measured; empty if nothing."""
    area = pooled.analysed_mm2
    if pooled.fields < sampling.min_fields:
        return f"the limits file asks for at least {sampling.min_fields} fields (measured: {pooled.fields})"
    if sampling.min_area_mm2 and (area is None or area < sampling.min_area_mm2):
        found = "an unknown area" if area is None else f"{area:.4g} mm2"
        return f"the limits file asks for at least {sampling.min_area_mm2:g} mm2 (measured: {found})"
    if pooled.count < sampling.min_objects:
        return f"the limits file asks for at least {sampling.min_objects} objects (found: {pooled.count})"
    if name == "count_per_mm2_above_d_star" and area is not None and _too_few(area * limit):
        return (
            f"{area:.4g} mm2 is too little to judge it: at the limit {area * limit:.2g} would be expected, "
            f"and at least {_FEWEST_EXPECTED:g} are needed ({_FEWEST_EXPECTED / limit:.3g} mm2)"
        )
    return ""
