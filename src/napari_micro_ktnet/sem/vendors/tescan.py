"""TESCAN: binary chunks in tag 50431, each with lines of ``Key=Value``."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Any

from napari_micro_ktnet.sem.image import SEMMetadata
from napari_micro_ktnet.sem.vendors import _convert as to
from napari_micro_ktnet.sem.vendors._base import Dialect, Findings, Row, Source, decode, read_table
from napari_micro_ktnet.sem.vendors._frame import LARGEST_BAR

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TAG = 50431
# Type 1 is a JPEG 2000 thumbnail.
_SECTIONS = {2: "MAIN", 3: "SEM", 5: "FIB"}
_BEAMS = {"SEM": "electron", "FIB": "ion"}
_LINE = re.compile(rb"\b([A-Za-z0-9]\w{0,63})=([^\r\n\0]*)")

TABLE = (
    Row("Device", "instrument", to.text),
    Row("DeviceModel", "instrument", to.text),
    Row("Detector", "detector", to.text),
    Row("Detector0", "detector", to.text),
    Row("HV", "accelerating_voltage_v", to.quantity),
    Row("AcceleratorVoltage", "accelerating_voltage_v", to.quantity),
    Row("WD", "working_distance_m", to.quantity),
    Row("Magnification", "magnification", to.positive_quantity),
    Row("PredictedBeamCurrent", "beam_current_a", to.quantity),
    Row("BeamCurrent", "beam_current_a", to.quantity),
    Row("StageTilt", "stage_tilt_deg", to.number),
    Row("DwellTime", "dwell_s", to.positive_quantity),
)


def recognise(source: Source) -> bool:
    """Tell whether the tag holds a pixel size or at least names the device."""
    data = source.tags.get(TAG, b"")
    return b"PixelSizeX=" in data or b"Device=" in data


def extract(source: Source) -> Findings:
    """Read all chunks of text."""
    return read_sections(source, _chunks(source.tags[TAG]))


def read_sections(source: Source, raw: Mapping[str, str]) -> Findings:
    """Read what tag and ``.hdr`` file have in common.

    Parameters
    ----------
    source : Source
        The image.
    raw : Mapping[str, str]
        ``"MAIN/Key"``, ``"SEM/Key"`` or ``"FIB/Key"`` -> value.

    Returns
    -------
    Findings
    """
    sections = {key.partition("/")[0] for key in raw}
    column = next((name for name in _BEAMS if name in sections), "")
    values = {**_section(raw, "MAIN"), **_section(raw, column)}
    fields: dict[str, Any] = read_table(values, TABLE)
    if column:
        fields["beam"] = _BEAMS[column]
    if to.plain_number(values.get("ViewFieldsCountX", "")) == 2 and "Detector1" in values:
        # Two detectors side by side in one image.
        fields["detector"] = f"{values.get('Detector0', '').strip()} + {values['Detector1'].strip()}"
    date = to.moment(to.numeric_date(values.get("Date", ""), "dmy"), to.clock(values.get("Time", "")))
    x = to.positive_quantity(values.get("PixelSizeX", ""))
    y = to.positive_quantity(values.get("PixelSizeY", "")) or x
    return Findings(
        metadata=SEMMetadata(vendor=DIALECT.name, acquired=date, raw=raw, **fields),
        pixel_size=None if x is None or y is None else (y * 1e9, x * 1e9),
        bar_rows=_bar_rows(source, values),
    )


def _section(raw: Mapping[str, str], name: str) -> dict[str, str]:
    return {key.partition("/")[2]: value for key, value in raw.items() if key.startswith(f"{name}/")}


def _bar_rows(source: Source, values: Mapping[str, str]) -> int | None:
    rows = to.plain_number(values.get("ImageStripSize", ""))
    if rows is None or not 0 <= rows <= LARGEST_BAR * (source.height - rows):
        return None
    return int(rows)


def _chunks(data: bytes) -> dict[str, str]:
    raw: dict[str, str] = {}
    for kind, body in _split(data):
        if kind in _SECTIONS:
            raw |= _lines(body, _SECTIONS[kind])
    # Where the binary structure is not the known one, the lines of text still are.
    return raw or {**_lines(data, "SEM"), **_lines(data, "MAIN")}


def _split(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and body of each chunk: a length that counts the two bytes of the type, then these."""
    start = 0
    while start + 6 <= len(data):
        length, kind = struct.unpack_from("<IH", data, start)
        if length < 2:
            return
        yield kind, data[start + 6 : start + 4 + length]
        start += 4 + length


def _lines(data: bytes, section: str) -> dict[str, str]:
    return {f"{section}/{decode(m[1])}": decode(m[2]) for m in _LINE.finditer(data)}


DIALECT = Dialect("TESCAN", recognise, extract)
