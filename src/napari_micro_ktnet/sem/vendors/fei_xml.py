"""FEI and Thermo Fisher: XML in tag 34683, on S-FEG microscopes in tag 34680, there maybe as base64."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from typing import TYPE_CHECKING, Any

from napari_micro_ktnet.sem.image import SEMMetadata
from napari_micro_ktnet.sem.vendors import _convert as to
from napari_micro_ktnet.sem.vendors import fei
from napari_micro_ktnet.sem.vendors._base import Dialect, Findings, Row, Source, decode, read_table
from napari_micro_ktnet.sem.vendors._frame import Frame
from napari_micro_ktnet.sem.vendors._units import nanometres
from napari_micro_ktnet.sem.vendors._xml import LARGEST_XML, flatten, parse_xml

if TYPE_CHECKING:
    from collections.abc import Mapping

_TAGS = (34683, 34680)
_BASE64 = re.compile(rb"[A-Za-z0-9+/=\s]+")
_BEAMS = {"Electron": "electron", "Ion": "ion"}

TABLE = (
    Row("Instrument/InstrumentClass", "instrument", to.text),
    Row("Detectors/ScanningDetector/DetectorName", "detector", to.text),
    Row("Acquisition/BeamType", "beam", lambda value: _BEAMS.get(value.strip())),
    Row("Optics/AccelerationVoltage", "accelerating_voltage_v", to.plain_number),
    Row("Optics/WorkingDistance", "working_distance_m", to.plain_number),
    Row("Optics/BeamCurrent", "beam_current_a", to.plain_number),
    Row("StageSettings/StagePosition/Tilt/Alpha", "stage_tilt_deg", to.degrees_from_radians),
    Row("ScanSettings/DwellTime", "dwell_s", to.positive),
    Row("Acquisition/AcquisitionDatetime", "acquired", to.iso_moment),
)


def recognise(source: Source) -> bool:
    """Tell whether a tag holds XML that is not Phenom's, or base64."""
    return any(_may_be(source.tags.get(code, b"")[:1000]) for code in _TAGS)


def extract(source: Source) -> Findings:
    """Read the XML of whichever tag has it; S-FEG may hide sections of INI text in the base64."""
    for code in _TAGS:
        if not _may_be(source.tags.get(code, b"")[:1000]):
            continue
        text = _text(source.tags[code])
        root = parse_xml(text)
        if root is not None:
            return _from_xml(source, flatten(root))
        if text.lstrip().startswith("["):
            return fei.read_sections(source, text)
    return Findings(metadata=SEMMetadata(vendor=DIALECT.name))


def _may_be(head: bytes) -> bool:
    if b"<FeiImage" in head:
        return False
    return b"<" in head or (len(head) > 16 and _BASE64.fullmatch(head.rstrip(b"\0")) is not None)


def _text(data: bytes) -> str:
    data = data[:LARGEST_XML].strip(b"\0 \r\n\t")
    if _BASE64.fullmatch(data):
        try:
            data = b64decode(data)
        except (binascii.Error, ValueError):
            return ""
    return decode(data).lstrip("\ufeff")


def _from_xml(source: Source, raw: Mapping[str, str]) -> Findings:
    fields: dict[str, Any] = read_table(raw, TABLE)
    frame = _frame(source, raw)
    y, x = (_length_nm(raw, f"BinaryResult/PixelSize/{axis}") for axis in "YX")
    factor = frame.shrunk_by
    return Findings(
        metadata=SEMMetadata(vendor=DIALECT.name, raw=raw, **fields),
        pixel_size=None if x is None or y is None else (y * factor, x * factor),
        bar_rows=frame.bar_rows,
    )


def _frame(source: Source, raw: Mapping[str, str]) -> Frame:
    for width, height in (("BinaryResult/ImageSize/X", "BinaryResult/ImageSize/Y"),
                          ("ScanSettings/ScanSize/Width", "ScanSettings/ScanSize/Height")):  # fmt: skip
        columns, rows = to.positive(raw.get(width, "")), to.positive(raw.get(height, ""))
        if columns and rows:
            return Frame(columns, rows, source.width, source.height)
    return Frame(None, None, source.width, source.height)


def _length_nm(raw: Mapping[str, str], key: str) -> float | None:
    value, unit = to.positive(raw.get(key, "")), nanometres(raw.get(f"{key}@unit", "m"))
    return None if value is None or unit is None else value * unit


DIALECT = Dialect(fei.DIALECT.name, recognise, extract)
