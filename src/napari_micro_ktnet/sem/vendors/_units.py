"""Names of length units."""

from __future__ import annotations

import re

# The two of Unicode; UTF-8 read as latin-1; Shift-JIS read as latin-1.
_MICRO = re.compile("\u00c2?\u00b5|\u03bc|\u00ce\u00bc|\u0083\u00ca")

_NANOMETRES = {
    "pm": 1e-3,
    "picometer": 1e-3,
    "å": 0.1,
    "angstrom": 0.1,
    "nm": 1.0,
    "nanometer": 1.0,
    "um": 1e3,
    "micron": 1e3,
    "microns": 1e3,
    "micrometer": 1e3,
    "mm": 1e6,
    "millimeter": 1e6,
    "cm": 1e7,
    "centimeter": 1e7,
    "m": 1e9,
    "meter": 1e9,
    "inch": 2.54e7,
    "in": 2.54e7,
}


def nanometres(unit: str) -> float | None:
    """Nanometres in one `unit`, None for a unit that is no length (such as "pixel")."""
    name = plain_micro(unit).strip().strip('"').lower().replace("metre", "meter").removesuffix(".")
    return _NANOMETRES.get(name) or _NANOMETRES.get(name.removesuffix("s"))


def plain_micro(text: str) -> str:
    """Return the text with every spelling of the micro sign replaced by u."""
    return _MICRO.sub("u", text)
