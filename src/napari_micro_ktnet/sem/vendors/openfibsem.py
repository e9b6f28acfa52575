"""OpenFIBSEM: JSON in the image description."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from napari_micro_ktnet.sem.image import SEMMetadata
from napari_micro_ktnet.sem.vendors import _convert as to
from napari_micro_ktnet.sem.vendors._base import Dialect, Findings, Row, Source, read_table
from napari_micro_ktnet.sem.vendors._frame import Frame

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_DESCRIPTION = 270
_LARGEST = 2**22
_DEEPEST = 20
_BEAMS = {"ELECTRON": "electron", "ION": "ion"}
_STATE = "microscope_state"

COMMON = (
    Row(f"{_STATE}/stage_position/t", "stage_tilt_deg", to.degrees_from_radians),
    Row("image/dwell_time", "dwell_s", to.positive),
)


def _table(beam: str) -> tuple[Row, ...]:
    column = f"{_STATE}/{beam}_beam"
    return (
        Row(f"{_STATE}/{beam}_detector/type", "detector", to.text),
        Row(f"{column}/voltage", "accelerating_voltage_v", to.plain_number),
        Row(f"{column}/working_distance", "working_distance_m", to.plain_number),
        Row(f"{column}/beam_current", "beam_current_a", to.plain_number),
        *COMMON,
    )


def recognise(source: Source) -> bool:
    """Tell whether the description is its JSON."""
    data = source.tags.get(_DESCRIPTION, b"")
    return data[:1] == b"{" and b'"pixel_size"' in data and b'"microscope_state"' in data


def extract(source: Source) -> Findings:
    """Read the values of the beam that made the image."""
    raw = _load(source.text(_DESCRIPTION))
    beam = _BEAMS.get(raw.get("image/beam_type", "").upper())
    fields: dict[str, Any] = read_table(raw, _table(beam) if beam else COMMON)
    if beam:
        fields["beam"] = beam
    names = [raw.get(f"system/info/{key}", "").strip() for key in ("manufacturer", "model")]
    fields["instrument"] = " ".join(filter(None, names)) or None
    frame = Frame(
        to.positive(raw.get("image/resolution/0", "")),
        to.positive(raw.get("image/resolution/1", "")),
        source.width,
        source.height,
    )
    x, y = (to.positive(raw.get(f"pixel_size/{axis}", "")) for axis in "xy")
    factor = frame.shrunk_by * 1e9
    return Findings(
        metadata=SEMMetadata(
            vendor=DIALECT.name,
            acquired=_moment(raw.get(f"{_STATE}/timestamp", "")),
            raw=raw,
            **fields,
        ),
        pixel_size=None if x is None or y is None else (y * factor, x * factor),
        bar_rows=frame.bar_rows,
    )


def _load(text: str) -> dict[str, str]:
    if len(text) > _LARGEST:
        return {}
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    raw: dict[str, str] = {}
    left = _LARGEST
    for path, value in _flat(document, "", 0):
        # Every path repeats the names above it: a small file could ask for gigabytes.
        left -= len(path)
        if left < 0:
            break
        raw[_whole(path)] = _whole(value)
    return raw


def _whole(text: str) -> str:
    # JSON may escape half a character, which could not be printed.
    return text.encode("utf-8", errors="replace").decode()


def _flat(node: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    if isinstance(node, dict):
        items: Mapping[Any, Any] = node
    elif isinstance(node, list):
        items = dict(enumerate(node))
    else:
        if node is not None:
            yield path, str(node)
        return
    prefix = f"{path}/" if path else ""
    for key, value in items.items() if depth < _DEEPEST else ():
        yield from _flat(value, f"{prefix}{key}", depth + 1)


def _moment(value: str) -> datetime | None:
    seconds = to.positive(value)
    if seconds is None:
        return to.iso_moment(value)
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


DIALECT = Dialect("OpenFIBSEM", recognise, extract)
