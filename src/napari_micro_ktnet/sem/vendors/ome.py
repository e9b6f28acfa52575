"""OME-XML in the image description."""

from __future__ import annotations

from xml.etree import ElementTree

from napari_micro_ktnet.sem.image import SEMMetadata
from napari_micro_ktnet.sem.vendors import _convert as to
from napari_micro_ktnet.sem.vendors._base import GENERAL, Dialect, Findings, Source
from napari_micro_ktnet.sem.vendors._units import nanometres

_DESCRIPTION = 270


def recognise(source: Source) -> bool:
    """Tell whether the description holds an OME element."""
    head = source.tags.get(_DESCRIPTION, b"")[:2000]
    # A document type could define entities that grow without bound; OME has none.
    return b"<OME" in head and b"<!DOCTYPE" not in source.tags[_DESCRIPTION]


def extract(source: Source) -> Findings:
    """Read the attributes of the image's Pixels element; without a unit they are micrometres."""
    try:
        root = ElementTree.fromstring(source.text(_DESCRIPTION).strip())  # noqa: S314 - no document type
    except (ElementTree.ParseError, ValueError):
        return Findings()
    images = root.findall(".//{*}Pixels")
    raw = dict(images[source.index].attrib) if source.index < len(images) else {}
    size: list[float] = []
    for axis in "YX":
        value = to.positive(raw.get(f"PhysicalSize{axis}", ""))
        unit = nanometres(raw.get(f"PhysicalSize{axis}Unit", "um"))
        if value is not None and unit is not None:
            size.append(value * unit)
    return Findings(
        metadata=SEMMetadata(vendor=DIALECT.name, raw=raw),
        pixel_size=(size[0], size[1]) if len(size) == 2 else None,
    )


DIALECT = Dialect("OME", recognise, extract, rank=GENERAL)
