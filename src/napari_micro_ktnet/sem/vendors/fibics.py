"""Fibics (ATLAS, NPVE): XML in tag 51023."""

from __future__ import annotations

from math import hypot
from typing import TYPE_CHECKING, Any

from napari_micro_ktnet.sem.image import SEMMetadata
from napari_micro_ktnet.sem.vendors import _convert as to
from napari_micro_ktnet.sem.vendors._base import Dialect, Findings, Row, Source, read_table
from napari_micro_ktnet.sem.vendors._frame import Frame
from napari_micro_ktnet.sem.vendors._xml import flatten, local, parse_xml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from xml.etree.ElementTree import Element

TAG = 51023
_BEAMS = {
    "ion": ("ion", "fib", "orion", "gfis", "helium", "neon", "gallium"),
    "electron": ("sem", "electron", "gemini"),
}

TABLE = (
    Row("Image/Beam", "instrument", to.text),
    Row("Image/Detector", "detector", to.text),
    Row("BeamInfo/AccV", "accelerating_voltage_v", to.quantity),
    Row("BeamInfo/WD", "working_distance_m", to.with_unit),
    Row("Scan/Dwell", "dwell_s", to.positive_quantity),
    Row("Stage/Tilt", "stage_tilt_deg", to.quantity),
)


def recognise(source: Source) -> bool:
    """Tell whether the tag holds the root element."""
    return b"<Fibics" in source.tags.get(TAG, b"")[:1000]


def extract(source: Source) -> Findings:
    """Read the sections; a column of the image is the vector (Ux, Uy), a row (Vx, Vy), in um."""
    root = parse_xml(source.text(TAG))
    if root is None:
        return Findings(metadata=SEMMetadata(vendor=DIALECT.name))
    raw = _values(root)
    fields: dict[str, Any] = read_table(raw, TABLE)
    name = raw.get("Image/Beam", "").lower()
    beams = [beam for beam, words in _BEAMS.items() if any(word in name for word in words)]
    if beams:
        fields["beam"] = beams[0]
    frame = Frame(
        to.positive(raw.get("Image/Width", "")),
        to.positive(raw.get("Image/Height", "")),
        source.width,
        source.height,
    )
    x, y = _length(raw, "U"), _length(raw, "V")
    factor = frame.shrunk_by * 1e3
    return Findings(
        metadata=SEMMetadata(
            vendor=DIALECT.name, acquired=to.iso_moment(raw.get("Application/Date", "")), raw=raw, **fields
        ),
        pixel_size=None if x is None or y is None else (y * factor, x * factor),
        bar_rows=frame.bar_rows,
    )


def _values(root: Element) -> dict[str, str]:
    """Texts with their units behind them; ``<item name="AccV">`` by its name."""
    raw: dict[str, str] = {}
    for section in root:
        for item in section:
            key = item.get("name") if local(item.tag) == "item" else local(item.tag)
            raw[f"{local(section.tag)}/{key}"] = f"{item.text or ''} {item.get('units', '')}".strip()
    return raw or flatten(root)


def _length(raw: Mapping[str, str], axis: str) -> float | None:
    parts = [to.plain_number(raw.get(f"Scan/{axis}{end}", "")) for end in "xy"]
    if None in parts:
        return None
    return hypot(*(part for part in parts if part is not None)) or None


DIALECT = Dialect("Fibics", recognise, extract)
