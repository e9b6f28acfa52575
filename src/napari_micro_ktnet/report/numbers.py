"""Numbers as text for people."""

from __future__ import annotations

NONE = "\u2013"


def digits(value: float | None, count: int = 3) -> str:
    """Give so many significant digits, without an exponent where a person would write none."""
    if value is None:
        return NONE
    if value == 0:
        return "0"
    if abs(value) >= 10**count:
        return thousands(value)
    if abs(value) < 1e-4:
        return f"{value:.{count - 1}e}"
    text = f"{value:#.{count}g}"
    return text.rstrip(".")


def thousands(value: float) -> str:
    """Give a large number, rounded to 4 digits, with thin spaces between the thousands."""
    return f"{float(f'{value:.4g}'):,.0f}".replace(",", "\u202f")


def percent(share: float | None, count: int = 3) -> str:
    """Give a share of 0..1 in percent."""
    return NONE if share is None else f"{digits(100 * share, count)} %"


def chance(p: float | None) -> str:
    """Give a p value."""
    if p is None:
        return NONE
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def interval(limits: tuple[float, float] | None, factor: float = 1.0) -> str:
    """Give confidence limits; empty without them."""
    return "" if limits is None else f"{digits(factor * limits[0])} to {digits(factor * limits[1])}"
