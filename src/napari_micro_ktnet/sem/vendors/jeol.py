"""JEOL: a text file beside the image, lines of ``$KEY value`` or ``$$KEY value``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from napari_micro_ktnet.sem.image import SEMMetadata
from napari_micro_ktnet.sem.vendors import _convert as to
from napari_micro_ktnet.sem.vendors._base import SIDECAR, Dialect, Findings, Row, Source, decode, read_table
from napari_micro_ktnet.sem.vendors._frame import Frame
from napari_micro_ktnet.sem.vendors._units import nanometres

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_micro_ktnet.sem.image import PixelSizeSource

_KNOWN = re.compile(r"^\$\$?(?:CM|SM|MP)_\w+", re.MULTILINE)
_LENGTH = re.compile(r"([-+.,\deE]*\d)\s*([^\s\d.,;x]*)")
_LONGEST = 200
# Width in mm of the print that a magnification refers to; newer files say it themselves.
_PRINT_MM = 128.0
# Keys whose unit the file leaves out are read in the unit that comes this close to the estimate.
_CLOSE = 2.0

TABLE = (
    Row("CM_INSTRUMENT", "instrument", to.text),
    Row("CM_DETECTOR", "detector", to.text),
    Row("CM_DETECTOR_NAME", "detector", to.text),
    Row("SM_DETECTOR", "detector", to.text),
    Row("SM_DETECTOR1", "detector", to.text),
    Row("CM_SIGNAL", "detector", to.text),
    Row("CM_SIGNAL_NAME", "detector", to.text),
    Row("CM_ACCEL_VOLT", "accelerating_voltage_v", to.in_units_of(1e3)),
    Row("CM_ACCEL_VOLTAGE", "accelerating_voltage_v", to.in_units_of(1e3)),
    Row("SM_WD", "working_distance_m", to.in_units_of(1e-3)),
    Row("CM_MAG", "magnification", to.positive_quantity),
    # x, y, z, rotation, tilt.
    Row("CM_STAGE_POS", "stage_tilt_deg", lambda value: to.part_of(value, 4)),
    Row("CM_STAGE_POSITION", "stage_tilt_deg", lambda value: to.part_of(value, 4)),
)


def recognise(source: Source) -> bool:
    """Tell whether the text file beside the image is JEOL's."""
    return _KNOWN.search(_text(source)[:4096]) is not None


def extract(source: Source) -> Findings:
    """Read the text file."""
    raw = _lines(_text(source))
    fields = read_table(raw, TABLE)
    date = to.moment(to.numeric_date(raw.get("CM_DATE", ""), "mdy"), to.clock(raw.get("CM_TIME", "")))
    size, how = _pixel_size(source, raw)
    return Findings(
        metadata=SEMMetadata(vendor=DIALECT.name, beam="electron", acquired=date, raw=raw, **fields),
        pixel_size=size,
        pixel_size_source=how,
        bar_rows=_bar_rows(source, raw),
    )


def _text(source: Source) -> str:
    return decode(source.sidecars.read(".txt"))


def _lines(text: str) -> dict[str, str]:
    raw: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.strip().replace("\t", " ").partition(" ")
        if key.startswith("$"):
            raw.setdefault(key.lstrip("$"), value.strip())
    return raw


def _frame(source: Source, raw: Mapping[str, str]) -> Frame:
    """Return the scanned size, which the newer files call another name."""
    for key in ("CM_IMAGE_SIZE", "CM_FULL_SIZE"):
        columns, rows = (to.part_of(raw.get(key, ""), i) for i in (0, 1))
        if columns and rows and columns > 0 and rows > 0:
            return Frame(columns, rows, source.width, source.height)
    return Frame(None, None, source.width, source.height)


def _bar_rows(source: Source, raw: Mapping[str, str]) -> int | None:
    frame = _frame(source, raw)
    rows = frame.bar_rows
    stated = to.plain_number(raw.get("SM_PNU_HEIGHT", ""))
    untold = frame.rows is None or (rows == 0 and "CM_IMAGE_SIZE" not in raw)
    if untold and stated and 0 < stated < source.height / 3:
        return int(stated)
    return rows


def _pixel_size(source: Source, raw: Mapping[str, str]) -> tuple[tuple[float, float] | None, PixelSizeSource]:
    """Pixel size (y, x) in nm: the field of view is the most exact, a magnification only an estimate."""
    frame = _frame(source, raw)
    columns = frame.columns or source.width
    estimate = _estimate(raw, columns)
    bar = to.positive(raw.get("SM_MICRON_BAR", ""))
    marker = _lengths(raw.get("SM_MICRON_MARKER", ""), None)
    by_marker = marker[0] / bar if marker and bar else None
    expected = by_marker or estimate
    field = _lengths(raw.get("CM_FIELD_OF_VIEW", ""), None if expected is None else expected * columns)
    pixel = _lengths(raw.get("CM_PIXEL_SIZE", ""), expected)
    size: tuple[float, float] | None = None
    if field:
        x = field[0] / columns
        size = (field[1] / frame.rows if len(field) > 1 and frame.rows else x, x)
    elif pixel:
        size = pixel[-1], pixel[0]
    elif by_marker:
        size = by_marker, by_marker
    elif estimate:
        size = estimate, estimate
    if size is None:
        return None, "none"
    factor = frame.shrunk_by
    known = field or pixel or by_marker
    return (size[0] * factor, size[1] * factor), "metadata" if known else "estimated"


def _estimate(raw: Mapping[str, str], columns: float) -> float | None:
    magnification = to.positive_quantity(raw.get("CM_MAG", ""))
    if magnification is None:
        return None
    width = to.part_of(raw.get("SM_STANDARD_FIELD_SIZE", ""), 0) or _PRINT_MM
    return width * 1e6 / magnification / columns if width > 0 else None


def _lengths(value: str, expected: float | None) -> list[float]:
    """Positive lengths in nm; without a unit, the one of nm and um that fits what is expected."""
    found: list[float] = []
    for text, unit in _LENGTH.findall(value[:_LONGEST]):
        amount, factor = to.positive(text), nanometres(unit) if unit else None
        if amount is None or (unit and factor is None):
            return []
        if factor is None:
            fitting = [f for f in (1.0, 1e3, 1e6) if expected and _near(amount * f, expected)]
            if not fitting:
                return []
            factor = fitting[0]
        found.append(amount * factor)
    return found


def _near(a: float, b: float) -> bool:
    return 1 / _CLOSE < a / b < _CLOSE


DIALECT = Dialect("JEOL", recognise, extract, rank=SIDECAR)
