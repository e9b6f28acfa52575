"""point electronic DISS: XMP in tag 700."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_micro_ktnet.sem.image import SEMMetadata
from napari_micro_ktnet.sem.vendors import _convert as to
from napari_micro_ktnet.sem.vendors._base import Dialect, Findings, Row, Source, read_table
from napari_micro_ktnet.sem.vendors._xml import local, parse_xml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

TAG = 700
_SOFTWARE = 305
_NAMES = (b"point electronic", b"DISS")

TABLE = (
    Row("SignalName", "detector", to.text),
    Row("HV", "accelerating_voltage_v", to.quantity),
    Row("GunHV", "accelerating_voltage_v", to.quantity),
    Row("WD", "working_distance_m", to.with_unit),
    Row("Mag", "magnification", to.positive_quantity),
    Row("Tilt", "stage_tilt_deg", to.number),
    Row("CreateDate", "acquired", to.iso_moment),
)


def recognise(source: Source) -> bool:
    """Tell whether the XMP has pixel sizes and the program's name stands in it or in the software tag."""
    data = source.tags.get(TAG, b"")
    named = any(name in data or name in source.tags.get(_SOFTWARE, b"") for name in _NAMES)
    return named and b"PixelSizeX" in data


def extract(source: Source) -> Findings:
    """Read properties that stand as elements or as attributes, quantities with their units."""
    root = parse_xml(source.text(TAG))
    if root is None:
        return Findings(metadata=SEMMetadata(vendor=DIALECT.name))
    raw: dict[str, str] = {}
    signals: list[str] = []
    for name, value in _properties(root):
        raw.setdefault(name, value)
        if name == "SignalName":
            signals.append(value)
    if source.index < len(signals):
        raw["SignalName"] = signals[source.index]
    x, y = (to.positive_quantity(raw.get(f"PixelSize{axis}", "")) for axis in "XY")
    return Findings(
        metadata=SEMMetadata(vendor=DIALECT.name, beam="electron", raw=raw, **read_table(raw, TABLE)),
        pixel_size=None if x is None or y is None else (y * 1e9, x * 1e9),
    )


def _properties(root: Element) -> Iterator[tuple[str, str]]:
    for element in root.iter():
        for key, value in element.attrib.items():
            yield local(key), value
        parts = _parts(element)
        if "value" in parts:
            yield local(element.tag), f"{parts['value'].strip()} {parts.get('unit', '').strip()}".strip()
        elif not len(element) and element.text:
            yield local(element.tag), element.text.strip()


def _parts(element: Element) -> dict[str, str]:
    """Value and unit of a quantity: attributes or children, which RDF may wrap once more."""
    holder = element[0] if len(element) == 1 and local(element[0].tag) == "Description" else element
    parts = {local(key).lower(): value for key, value in holder.attrib.items()}
    return parts | {local(part.tag).lower(): part.text or "" for part in holder}


DIALECT = Dialect("point electronic DISS", recognise, extract)
