"""Phenom desktop microscopes: XML with the root ``FeiImage`` in tag 34683."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_micro_ktnet.sem.image import SEMMetadata
from napari_micro_ktnet.sem.vendors import _convert as to
from napari_micro_ktnet.sem.vendors._base import Dialect, Findings, Row, Source, read_table
from napari_micro_ktnet.sem.vendors._frame import LARGEST_BAR
from napari_micro_ktnet.sem.vendors._units import nanometres
from napari_micro_ktnet.sem.vendors._xml import flatten, parse_xml

if TYPE_CHECKING:
    from collections.abc import Mapping

TAG = 34683
_SCAN = "acquisition/scan"


def _magnitude(value: str) -> float | None:
    found = to.quantity(value)
    return None if found is None else abs(found)


TABLE = (
    Row("instrument/edition", "instrument", to.text),
    Row("instrument/type", "instrument", to.text),
    Row(f"{_SCAN}/detector", "detector", to.text),
    # Some versions give the potential of the cathode, which is negative.
    Row(f"{_SCAN}/highVoltage", "accelerating_voltage_v", _magnitude),
    Row("workingDistance", "working_distance_m", to.with_unit),
    Row(f"{_SCAN}/dwellTime", "dwell_s", to.with_unit),
    Row("magnification", "magnification", to.positive_quantity),
)


def recognise(source: Source) -> bool:
    """Tell whether the tag holds the root element."""
    return b"<FeiImage" in source.tags.get(TAG, b"")[:1000]


def extract(source: Source) -> Findings:
    """Read the elements, each with the unit that its attribute gives."""
    root = parse_xml(source.text(TAG))
    if root is None:
        return Findings(metadata=SEMMetadata(vendor=DIALECT.name))
    found = flatten(root)
    raw = {
        key: f"{value} {found.get(f'{key}@unit', '')}".strip()
        for key, value in found.items()
        if not key.endswith("@unit")
    }
    x, y = _length_nm(found, "pixelWidth"), _length_nm(found, "pixelHeight")
    y, x = y or x, x or y
    rows = to.plain_number(found.get("databarHeight", ""))
    bar = rows is not None and 0 <= rows <= LARGEST_BAR * (source.height - rows)
    stamp = found.get("time", found.get("acquisition/time", ""))
    return Findings(
        metadata=SEMMetadata(
            vendor=DIALECT.name,
            beam="electron",
            acquired=to.iso_moment(stamp),
            raw=raw,
            **read_table(raw, TABLE),
        ),
        pixel_size=None if x is None or y is None else (y, x),
        bar_rows=int(rows) if rows is not None and bar else None,
    )


def _length_nm(found: Mapping[str, str], key: str) -> float | None:
    value, unit = to.positive(found.get(key, "")), nanometres(found.get(f"{key}@unit", ""))
    return None if value is None or unit is None else value * unit


DIALECT = Dialect("Phenom", recognise, extract)
