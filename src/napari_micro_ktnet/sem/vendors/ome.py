"""OME-XML in the image description, which Delmic's Odemis writes too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_micro_ktnet.sem.image import SEMMetadata
from napari_micro_ktnet.sem.vendors import _convert as to
from napari_micro_ktnet.sem.vendors._base import GENERAL, Dialect, Findings, Row, Source, read_table
from napari_micro_ktnet.sem.vendors._units import nanometres
from napari_micro_ktnet.sem.vendors._xml import parse_xml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from xml.etree.ElementTree import Element

_DESCRIPTION = 270

TABLE = (
    Row("Microscope/Model", "instrument", to.text),
    Row("Microscope/Manufacturer", "instrument", to.text),
    Row("Channel/Name", "detector", to.text),
    Row("AcquisitionDate", "acquired", to.iso_moment),
)


def recognise(source: Source) -> bool:
    """Tell whether the description holds an OME element."""
    head = source.tags.get(_DESCRIPTION, b"")[:2000]
    return b"<OME" in head or b":OME" in head


def extract(source: Source) -> Findings:
    """Read the attributes of the image's Pixels element; without a unit they are micrometres."""
    root = parse_xml(source.text(_DESCRIPTION))
    raw = {} if root is None else _attributes(root, source.index)
    size: list[float] = []
    for axis in "YX":
        value = to.positive(raw.get(f"PhysicalSize{axis}", ""))
        unit = nanometres(raw.get(f"PhysicalSize{axis}Unit", "um"))
        if value is not None and unit is not None:
            size.append(value * unit)
    return Findings(
        metadata=SEMMetadata(vendor=DIALECT.name, raw=raw, **read_table(raw, TABLE)),
        pixel_size=(size[0], size[1]) if len(size) == 2 else None,
    )


def _attributes(root: Element, index: int) -> dict[str, str]:
    """Attributes of the image that the file's picture `index` belongs to; each channel is a picture."""
    raw: dict[str, str] = {}
    for microscope in root.iterfind(".//{*}Microscope"):
        raw |= {f"Microscope/{key}": value for key, value in microscope.attrib.items()}
    for image in root.iterfind("{*}Image"):
        pixels = image.find("{*}Pixels")
        if pixels is None:
            continue
        channels = pixels.findall("{*}Channel")
        count = len(channels) or int(to.positive(pixels.get("SizeC", "")) or 1)
        if index >= count:
            index -= count
            continue
        date = image.find("{*}AcquisitionDate")
        named: Mapping[str, str] = channels[index].attrib if channels else {}
        raw |= {f"Channel/{key}": value for key, value in named.items()}
        raw |= {} if date is None else {"AcquisitionDate": date.text or ""}
        return raw | dict(pixels.attrib)
    return raw


DIALECT = Dialect("OME", recognise, extract, rank=GENERAL)
