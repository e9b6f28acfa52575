"""FEI and Thermo Fisher: INI text in tag 34682, on S-FEG microscopes in tag 34680."""

from __future__ import annotations

import re
from math import isfinite
from typing import TYPE_CHECKING, Any

from napari_micro_ktnet.sem.image import SEMMetadata
from napari_micro_ktnet.sem.vendors import _convert as to
from napari_micro_ktnet.sem.vendors._base import Dialect, Findings, Row, Source, read_table
from napari_micro_ktnet.sem.vendors._frame import Frame
from napari_micro_ktnet.sem.vendors._ini import parse_ini

if TYPE_CHECKING:
    from collections.abc import Mapping

# Helios and later; S-FEG.
TAGS = (34682, 34680)
_SECTION = re.compile(rb"^[ \t]*\[\w[\w .-]*\][ \t]*\r?$", re.MULTILINE)
_HEAD = 4096

COMMON = (
    Row("System/SystemType", "instrument", to.text),
    Row("Detectors/Name", "detector", to.text),
    Row("Beam/HV", "accelerating_voltage_v", to.plain_number),
    Row("Stage/WorkingDistance", "working_distance_m", to.plain_number),
    Row("Stage/StageT", "stage_tilt_deg", to.degrees_from_radians),
    Row("Scan/Dwelltime", "dwell_s", to.positive),
)
_BEAMS = {"EBeam": "electron", "IBeam": "ion"}


def _beam_table(section: str, scan: str) -> tuple[Row, ...]:
    return (
        Row(f"{section}/HV", "accelerating_voltage_v", to.plain_number),
        Row(f"{section}/WD", "working_distance_m", to.plain_number),
        Row(f"{section}/BeamCurrent", "beam_current_a", to.plain_number),
        Row(f"{scan}/Dwell", "dwell_s", to.positive),
        *COMMON,
        Row(f"{section}/StageTa", "stage_tilt_deg", to.degrees_from_radians),
    )


def recognise(source: Source) -> bool:
    """Tell whether a tag begins with sections; S-FEG may have base64 there instead."""
    return bool(_code(source))


def _code(source: Source) -> int:
    return next((code for code in TAGS if _SECTION.search(source.tags.get(code, b"")[:_HEAD])), 0)


def extract(source: Source) -> Findings:
    """Read the sections of the beam that made the image."""
    return read_sections(source, source.text(_code(source)))


def read_sections(source: Source, text: str) -> Findings:
    """Read INI text.

    Parameters
    ----------
    source : Source
        The image.
    text : str
        Its sections.

    Returns
    -------
    Findings
    """
    raw = parse_ini(text)
    section = raw.get("Beam/Beam", "").strip()
    if section not in _BEAMS:
        section = next((name for name in _BEAMS if f"{name}/HV" in raw), "")
    scan = raw.get("Beam/Scan", "").strip() or section.replace("Beam", "Scan")
    fields: dict[str, Any] = read_table(raw, _beam_table(section, scan))
    if section:
        fields["beam"] = _BEAMS[section]
    if (magnification := _magnification(raw)) is not None:
        fields["magnification"] = magnification
    acquired = to.moment(
        to.numeric_date(raw.get("User/Date", ""), "mdy"), to.clock(raw.get("User/Time", ""))
    ) or to.moment(
        to.numeric_date(raw.get("PrivateFei/TimeOfCreation", ""), "dmy"),
        to.clock(raw.get("PrivateFei/TimeOfCreation", "")),
    )
    return Findings(
        metadata=SEMMetadata(vendor=DIALECT.name, acquired=acquired, raw=raw, **fields),
        pixel_size=_pixel_size_nm(source, raw, scan),
        bar_rows=_frame(source, raw).bar_rows,
    )


def _magnification(raw: Mapping[str, str]) -> float | None:
    canvas = to.positive(raw.get("Image/MagCanvasRealWidth", ""))
    field_width = to.positive(raw.get("Scan/HorFieldsize", ""))
    if canvas is None or field_width is None:
        return None
    found = canvas / field_width
    return found if isfinite(found) else None


def _pixel_size_nm(source: Source, raw: Mapping[str, str], scan: str) -> tuple[float, float] | None:
    for section in ("Scan", scan, "EScan", "IScan"):
        x = to.positive(raw.get(f"{section}/PixelWidth", ""))
        y = to.positive(raw.get(f"{section}/PixelHeight", ""))
        if x is not None and y is not None:
            factor = _frame(source, raw).shrunk_by * 1e9
            return y * factor, x * factor
    # The navigation camera has no scan, only a width of the field.
    field_width = to.positive(raw.get("IRBeam/HFW", ""))
    if field_width is None:
        return None
    frame = _frame(source, raw)
    size = field_width / (frame.columns or source.width) * frame.shrunk_by * 1e9
    return size, size


def _frame(source: Source, raw: Mapping[str, str]) -> Frame:
    return Frame(
        to.positive(raw.get("Image/ResolutionX", "")),
        to.positive(raw.get("Image/ResolutionY", "")),
        source.width,
        source.height,
    )


DIALECT = Dialect("FEI / Thermo Fisher", recognise, extract)
