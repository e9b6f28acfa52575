"""Hitachi: a text file beside the image with a section ``[SemImageFile]``; TM4000 also in XPComment."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from napari_micro_ktnet.sem.image import SEMMetadata
from napari_micro_ktnet.sem.vendors import _convert as to
from napari_micro_ktnet.sem.vendors._base import SIDECAR, Dialect, Findings, Row, Source, decode, read_table
from napari_micro_ktnet.sem.vendors._frame import Frame
from napari_micro_ktnet.sem.vendors._ini import parse_ini

if TYPE_CHECKING:
    from collections.abc import Mapping

XP_COMMENT = 40092
_SECTION = re.compile(r"^[ \t]*\[(Sem|Tem)ImageFile\]", re.MULTILINE)
_LONGEST = 200
# Width in mm of the print that a magnification refers to.
_PRINT_MM = {"TM3000": 162.0}
_USUAL_PRINT_MM = 127.0

TABLE = (
    Row("InstructName", "instrument", to.text),
    Row("Instrument name", "instrument", to.text),
    Row("SignalName", "detector", to.text),
    Row("AcceleratingVoltage", "accelerating_voltage_v", to.quantity),
    Row("WorkingDistance", "working_distance_m", to.with_unit),
    Row("Magnification", "magnification", to.positive_quantity),
    # Of the one line that S-4700 writes.
    Row("Vacc", "accelerating_voltage_v", to.in_units_of(1e3)),
    Row("WD", "working_distance_m", to.in_units_of(1e-3)),
)


def recognise(source: Source) -> bool:
    """Tell whether there is such a section."""
    return bool(_text(source))


def extract(source: Source) -> Findings:
    """Read the keys of the section."""
    raw = {key.partition("/")[2]: value for key, value in parse_ini(_text(source)).items()}
    condition = dict(re.findall(r"(\w+)=(\S+)", raw.get("Condition", "")[:_LONGEST]))
    fields: dict[str, Any] = read_table({**condition, **raw}, TABLE)
    date = to.moment(to.numeric_date(raw.get("Date", ""), "mdy"), to.clock(raw.get("Time", "")))
    frame = _frame(source, raw)
    stated = to.in_units_of(1e-9)(raw.get("PixelSize", ""))
    known = stated is not None and stated > 0
    size = stated * 1e9 if stated is not None and known else _estimate(fields, frame, source)
    return Findings(
        metadata=SEMMetadata(vendor=DIALECT.name, beam="electron", acquired=date, raw=raw, **fields),
        pixel_size=None if size is None else (size * frame.shrunk_by, size * frame.shrunk_by),
        pixel_size_source="metadata" if known else "estimated",
    )


def _text(source: Source) -> str:
    for text in (decode(source.sidecars.read(".txt")), source.text(XP_COMMENT)):
        if _SECTION.search(text[:4096]):
            return text
    return ""


def _frame(source: Source, raw: Mapping[str, str]) -> Frame:
    match = re.search(r"(\d+)\s*[xX*]\s*(\d+)", raw.get("DataSize", "")[:_LONGEST])
    columns, rows = (float(match[1]), float(match[2])) if match else (None, None)
    return Frame(columns, rows, source.width, source.height, with_bar=True)


def _estimate(fields: Mapping[str, Any], frame: Frame, source: Source) -> float | None:
    magnification = fields.get("magnification")
    if not magnification:
        return None
    width = _PRINT_MM.get(fields.get("instrument", ""), _USUAL_PRINT_MM)
    return float(width * 1e6 / magnification / (frame.columns or source.width))


DIALECT = Dialect("Hitachi", recognise, extract, rank=SIDECAR)
