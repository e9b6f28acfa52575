"""ImageJ: description with a unit; only that makes the TIFF resolution tags honest."""

from __future__ import annotations

import re

from napari_micro_ktnet.sem.image import SEMMetadata
from napari_micro_ktnet.sem.vendors._base import GENERAL, Dialect, Findings, Source
from napari_micro_ktnet.sem.vendors._units import nanometres

_DESCRIPTION = 270
_LONGEST = 2**20
# On opening an uncalibrated image, ImageJ takes its print resolution for a scale in one of these, and
# saves it so. A field of view calibrated in them would have far smaller pixels than print has.
_PRINT_UNITS = {"inch", "in", "inches", "cm"}
_SMALLEST_PRINT_NM = 2e4


def recognise(source: Source) -> bool:
    """Tell whether the description starts as ImageJ's does."""
    return source.tags.get(_DESCRIPTION, b"").startswith(b"ImageJ=")


def extract(source: Source) -> Findings:
    """Read the unit, and the resolution that belongs to it."""
    raw: dict[str, str] = {}
    for line in source.text(_DESCRIPTION)[:_LONGEST].splitlines():
        key, equals, value = line.partition("=")
        if equals:
            raw.setdefault(key.strip(), value)
    unit = nanometres(_unescape(raw.get("unit", "")))
    size: tuple[float, float] | None = None
    if unit is not None and source.resolution is not None and min(source.resolution) > 0:
        size = unit / source.resolution[0], unit / source.resolution[1]
        if raw["unit"].strip().lower() in _PRINT_UNITS and max(size) > _SMALLEST_PRINT_NM:
            size = None
    return Findings(metadata=SEMMetadata(vendor=DIALECT.name, raw=raw), pixel_size=size)


def _unescape(text: str) -> str:
    # ImageJ writes the micro sign as the six characters \\u00B5.
    return re.sub(r"\\u([0-9A-Fa-f]{4})", lambda match: chr(int(match[1], 16)), text)


DIALECT = Dialect("ImageJ", recognise, extract, rank=GENERAL)
