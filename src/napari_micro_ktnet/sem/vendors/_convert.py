"""Converters from vendor text to SI values. What cannot be understood is None, never an error."""

from __future__ import annotations

import re
from datetime import datetime
from math import degrees, isfinite
from typing import TYPE_CHECKING

from napari_micro_ktnet.sem.vendors._units import plain_micro

if TYPE_CHECKING:
    from collections.abc import Callable

_NUMBER = re.compile(r"[-+]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][-+]?\d+)?")
_PREFIX = {
    "": 1.0,
    "f": 1e-15,
    "p": 1e-12,
    "n": 1e-9,
    "u": 1e-6,
    "m": 1e-3,
    "c": 1e-2,
    "k": 1e3,
    "K": 1e3,
    "M": 1e6,
    "G": 1e9,
}
_WORDS = {"pico": 1e-12, "nano": 1e-9, "micro": 1e-6, "milli": 1e-3, "centi": 1e-2, "kilo": 1e3, "mega": 1e6}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def text(value: str) -> str | None:
    """Return the stripped text, None where nothing is left."""
    return value.strip() or None


def number(value: str) -> float | None:
    """Leading finite number of a text; a decimal comma counts as a point."""
    match = _NUMBER.match(value.strip())
    if match is None:
        return None
    found = float(match[0].replace(",", "."))
    return found if isfinite(found) else None


def plain_number(value: str) -> float | None:
    """Read a finite number and nothing else."""
    stripped = value.strip()
    return number(stripped) if _NUMBER.fullmatch(stripped) else None


def positive(value: str) -> float | None:
    """Read a plain number above zero."""
    found = plain_number(value)
    return found if found is not None and found > 0 else None


def degrees_from_radians(value: str) -> float | None:
    """Angle in degrees of a plain number in radians."""
    found = plain_number(value)
    return None if found is None else degrees(found)


def quantity(value: str) -> float | None:
    """SI value of a number with an optional unit, such as ``593.3 nm``, ``15000 Volt`` or ``2.00 K X``.

    Units may be spelled out (``Microns``, ``picoAmps``, ``uSec``). Micro may be written u, as either
    of Unicode's two micro signs, or as UTF-8 read as latin-1.
    """
    stripped = value.strip()
    match = _NUMBER.match(stripped)
    found = number(stripped)
    if match is None or found is None:
        return None
    unit = plain_micro(stripped[match.end() :].strip())
    in_si = found * _factor(unit)
    return in_si if isfinite(in_si) else None


def _factor(unit: str) -> float:
    if re.fullmatch(r"[kKM] ?[xX]|[mun][sS]ecs?", unit):
        return _PREFIX[unit[0]]
    if re.fullmatch(r"[A-Za-z][A-Za-z]", unit) and unit[0] in _PREFIX:
        return _PREFIX[unit[0]]
    # Without a prefix: m, V, A, s, X, degree sign or words.
    return next((factor for word, factor in _WORDS.items() if unit.lower().startswith(word)), 1.0)


def positive_quantity(value: str) -> float | None:
    """Read a quantity above zero."""
    found = quantity(value)
    return found if found is not None and found > 0 else None


def in_units_of(factor: float) -> Callable[[str], float | None]:
    """Return a converter for keys of an agreed unit: a bare number counts `factor`, a written unit wins."""

    def convert(value: str) -> float | None:
        bare = plain_number(value)
        return quantity(value) if bare is None else bare * factor

    return convert


def with_unit(value: str) -> float | None:
    """Read a quantity whose unit is written: a bare number could be anything."""
    return None if plain_number(value) is not None else quantity(value)


def part_of(value: str, index: int) -> float | None:
    """Read the number at `index` of a list separated by spaces."""
    parts = value.split()
    return plain_number(parts[index]) if index < len(parts) else None


def clock(value: str) -> tuple[int, int, int] | None:
    """Hour, minute and second of ``8:40:47``, ``04:22:50 PM`` or ``PM 4:22``."""
    match = re.search(r"([AaPp][Mm]\s*)?\b(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d+)?)?\s*([AaPp][Mm])?", value)
    if match is None:
        return None
    hour, minute, second = int(match[2]), int(match[3]), int(match[4] or 0)
    half = match[1] or match[5]
    if half and 1 <= hour <= 12:
        hour = hour % 12 + (12 if half[0] in "Pp" else 0)
    return hour, minute, second


def day_month_name_year(value: str) -> tuple[int, int, int] | None:
    """Year, month and day of ``11 Apr 2023``, whatever the machine's locale."""
    match = re.search(r"(\d{1,2})[ -]([A-Za-z]{3})[a-z]*[ -](\d{4})", value)
    if match is None or match[2].lower() not in _MONTHS:
        return None
    return int(match[3]), _MONTHS.index(match[2].lower()) + 1, int(match[1])


def numeric_date(value: str, order: str) -> tuple[int, int, int] | None:
    """Year, month and day of a date in digits.

    Parameters
    ----------
    value : str
        Such as ``2016-05-16`` or ``16.05.2016``.
    order : {"mdy", "dmy"}
        What the vendor writes. A year in front, or a month above 12, tells that it is the other way.
    """
    match = re.search(r"(\d{1,4})[./-](\d{1,2})[./-](\d{1,4})", value)
    if match is None:
        return None
    if len(match[1]) == 4:
        order = "ymd"
    elif len(match[3]) != 4:
        return None
    part = {letter: int(digits) for letter, digits in zip(order, match.groups(), strict=True)}
    if part["m"] > 12 >= part["d"]:
        part["m"], part["d"] = part["d"], part["m"]
    return part["y"], part["m"], part["d"]


def iso_moment(value: str) -> datetime | None:
    """Date and time as ISO 8601 writes them, with the time zone where there is one."""
    try:
        return datetime.fromisoformat(value.strip())
    except ValueError:
        return None


def moment(date: tuple[int, int, int] | None, time: tuple[int, int, int] | None) -> datetime | None:
    """Date and time put together; midnight where there is no time, None where there is no date."""
    if date is None:
        return None
    try:
        return datetime(*date, *(time or (0, 0, 0)))
    except ValueError:
        return None
