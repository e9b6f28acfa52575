"""Zeiss SmartSEM: text in tag 34118, numbers first, then pairs of key line and value line.

Tag 34119 has a copy of it in UTF-16, which some programs keep alone. The oldest headers have the
numbers only.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from napari_micro_ktnet.sem.image import SEMMetadata
from napari_micro_ktnet.sem.vendors import _convert as to
from napari_micro_ktnet.sem.vendors._base import Dialect, Findings, Row, Source, read_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TAG, COPY = 34118, 34119
_KEY = re.compile(r"(?:AP|DP|SV)_\w+")
_ANY_KEY = re.compile(r"^(?:AP|DP|SV)_", re.MULTILINE)
_HEADER_PIXEL, _HEADER_MAGNIFICATION, _HEADER_VOLTAGE, _HEADER_DISTANCE = 3, 4, 6, 9
# The pixel size in the header counts for the display, which is 1024 pixels wide.
_DISPLAY_WIDTH = 1024

TABLE = (
    Row("SV_SERIAL_NUMBER", "instrument", to.text),
    Row("DP_SEM", "instrument", to.text),
    Row("DP_DETECTOR_CHANNEL", "detector", to.text),
    Row("DP_DETECTOR_TYPE", "detector", to.text),
    Row("DP_FIB_IMAGING", "beam", lambda value: {"SEM": "electron", "FIB": "ion"}.get(value.strip())),
    Row("AP_ACTUALKV", "accelerating_voltage_v", to.quantity),
    Row("AP_MANUALKV", "accelerating_voltage_v", to.quantity),
    Row("AP_WD", "working_distance_m", to.quantity),
    Row("AP_MAG", "magnification", to.positive_quantity),
    Row("AP_IPROBE", "beam_current_a", to.quantity),
    Row("AP_STAGE_AT_T", "stage_tilt_deg", to.number),
    Row("DP_DWELL_TIME", "dwell_s", to.positive_quantity),
)


def recognise(source: Source) -> bool:
    """Tell whether a tag holds keys, or a header with a pixel size: Orion files carry an empty one."""
    text = _text(source)
    if _ANY_KEY.search(text):
        return True
    header = text.splitlines()[: _HEADER_DISTANCE + 1]
    numbers = [to.plain_number(line.strip("\0")) for line in header]
    return len(numbers) > _HEADER_DISTANCE and None not in numbers and bool(numbers[_HEADER_PIXEL])


def _text(source: Source) -> str:
    # Always latin-1: a micro sign is one byte here.
    text = source.tags.get(TAG, b"").decode("latin-1")
    if _ANY_KEY.search(text):
        return text
    copy = source.tags.get(COPY, b"")
    return (copy.removeprefix(b"\xff\xfe").decode("utf-16-le", errors="replace") if copy else "") or text


def extract(source: Source) -> Findings:
    """Read the header numbers and all keys."""
    lines = [line.strip("\0") for line in re.split(r"\r\n|\n|\r", _text(source))]
    header, raw = _split(lines)
    fields: dict[str, Any] = {"beam": "electron", **read_table(_values(raw), TABLE)}
    date = to.moment(
        to.day_month_name_year(raw.get("AP_DATE", "")) or to.numeric_date(raw.get("AP_DATE", ""), "dmy"),
        to.clock(raw.get("AP_TIME", "")),
    )
    for name, index in (
        ("magnification", _HEADER_MAGNIFICATION),
        ("accelerating_voltage_v", _HEADER_VOLTAGE),
        ("working_distance_m", _HEADER_DISTANCE),
    ):
        # The header has more digits, but belongs to the electron beam and may be left at zero.
        value = to.positive(header[index]) if index < len(header) else None
        if value is not None and (fields["beam"] == "electron" or name not in fields):
            fields[name] = value
    size = _pixel_size_m(source, header, raw)
    return Findings(
        metadata=SEMMetadata(vendor=DIALECT.name, acquired=date, raw=raw, **fields),
        pixel_size=None if size is None else (size * 1e9, size * 1e9),
    )


def _split(lines: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    keys = [i for i, line in enumerate(lines) if _KEY.fullmatch(line.strip())]
    header = list(lines[: keys[0]] if keys else lines)
    raw = {f"header[{i}]": line for i, line in enumerate(header) if line.strip()}
    known = set(keys)
    for i in keys:
        if i + 1 < len(lines) and i + 1 not in known:
            raw.setdefault(lines[i].strip(), lines[i + 1])
    return header, raw


def _values(raw: Mapping[str, str]) -> dict[str, str]:
    """Take the part behind the name off ``Mag = 2.00 K X``."""
    return {key: line.partition("=")[2] if "=" in line else line for key, line in raw.items()}


def _pixel_size_m(source: Source, header: Sequence[str], raw: Mapping[str, str]) -> float | None:
    values = _values(raw)
    stated = to.positive_quantity(values.get("AP_IMAGE_PIXEL_SIZE", ""))
    display = to.positive(header[_HEADER_PIXEL]) if len(header) > _HEADER_PIXEL else None
    if display is None and "AP_IMAGE_PIXEL_SIZE" not in values:
        # Older files: the size of a pixel of the display, not of the image.
        display = to.positive_quantity(values.get("AP_PIXEL_SIZE", ""))
    if display is None:
        return stated
    whole = _whole_field(source, values)
    if stated is None:
        stored = _stored_size(values)
        return display * _DISPLAY_WIDTH / (source.width if whole or stored is None else stored[0])
    from_header = display * _DISPLAY_WIDTH / source.width
    if abs(from_header / stated - 1) < 0.01:
        return from_header
    # They differ where the image was resized or cropped after it was stored. A resized one still
    # shows the whole field, so that the header's rule gives the present pixel size.
    return from_header if whole else stated


def _stored_size(values: Mapping[str, str]) -> tuple[int, int] | None:
    match = re.search(r"(\d{1,6})\s*\*\s*(\d{1,6})", values.get("DP_IMAGE_STORE", "")[:100])
    return (int(match[1]), int(match[2])) if match and int(match[1]) and int(match[2]) else None


def _whole_field(source: Source, values: Mapping[str, str]) -> bool:
    width, height = _stored_size(values) or (4, 3)
    return abs(source.width * height / (source.height * width) - 1) < 0.01


DIALECT = Dialect("Zeiss SmartSEM", recognise, extract)
