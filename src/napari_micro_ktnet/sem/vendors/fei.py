"""FEI and Thermo Fisher: INI text in tag 34682."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_micro_ktnet.sem.image import SEMMetadata
from napari_micro_ktnet.sem.vendors import _convert as to
from napari_micro_ktnet.sem.vendors._base import Dialect, Findings, Row, Source, read_table

if TYPE_CHECKING:
    from collections.abc import Mapping

TAG = 34682
# A bar this much of the scanned height is still believed.
_LARGEST_BAR = 0.35

COMMON = (
    Row("System/SystemType", "instrument", to.text),
    Row("System/Dnumber", "instrument", to.text),
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
    """Tell whether the tag holds at least one section."""
    return b"[" in source.tags.get(TAG, b"")


def extract(source: Source) -> Findings:
    """Read the sections of the beam that made the image."""
    raw = parse_ini(source.text(TAG))
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
        bar_rows=_bar_rows(source, raw),
    )


def parse_ini(text: str) -> dict[str, str]:
    """Return ``"Section/Key" -> value``; values are verbatim, so ``%`` and quotes mean nothing.

    A key that occurs again (repeated sections) gets the suffix ``#2``, ``#3`` and so on.
    """
    raw: dict[str, str] = {}
    seen: dict[str, int] = {}
    section = ""
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("[") and stripped.endswith("]"):
            section = stripped[1:-1]
        elif "=" in line:
            key, _, value = line.partition("=")
            name = f"{section}/{key.strip()}"
            seen[name] = seen.get(name, 0) + 1
            raw[name if seen[name] == 1 else f"{name}#{seen[name]}"] = value
    return raw


def _magnification(raw: Mapping[str, str]) -> float | None:
    canvas = to.positive(raw.get("Image/MagCanvasRealWidth", ""))
    field_width = to.positive(raw.get("Scan/HorFieldsize", ""))
    return None if canvas is None or field_width is None else canvas / field_width


def _pixel_size_nm(source: Source, raw: Mapping[str, str], scan: str) -> tuple[float, float] | None:
    for section in ("Scan", scan, "EScan", "IScan"):
        x = to.positive(raw.get(f"{section}/PixelWidth", ""))
        y = to.positive(raw.get(f"{section}/PixelHeight", ""))
        if x is not None and y is not None:
            factor = _shrunk_by(source, raw) * 1e9
            return y * factor, x * factor
    # The navigation camera has no scan, only a width of the field.
    field_width = to.positive(raw.get("IRBeam/HFW", ""))
    if field_width is None:
        return None
    columns = to.positive(raw.get("Image/ResolutionX", "")) or source.width
    size = field_width / columns * _shrunk_by(source, raw) * 1e9
    return size, size


def _shrunk_by(source: Source, raw: Mapping[str, str]) -> float:
    """Return scanned columns per column of the file, where the whole image was resized but kept its tag."""
    columns = to.positive(raw.get("Image/ResolutionX", ""))
    rows = to.positive(raw.get("Image/ResolutionY", ""))
    if columns is None or rows is None or columns == source.width:
        return 1.0
    factor = columns / source.width
    whole = 0.99 <= source.height * factor / rows <= 1 + _LARGEST_BAR
    return factor if whole else 1.0


def _bar_rows(source: Source, raw: Mapping[str, str]) -> int | None:
    columns = to.positive(raw.get("Image/ResolutionX", ""))
    rows = to.positive(raw.get("Image/ResolutionY", ""))
    if rows is None or (columns is not None and columns != source.width):
        return None
    extra = source.height - int(rows)
    return extra if 0 <= extra <= _LARGEST_BAR * rows else None


DIALECT = Dialect("FEI / Thermo Fisher", recognise, extract)
