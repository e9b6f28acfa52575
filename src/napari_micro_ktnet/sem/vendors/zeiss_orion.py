"""Zeiss Orion (helium ions): XML in tag 65000."""

from __future__ import annotations

from napari_micro_ktnet.sem.image import SEMMetadata
from napari_micro_ktnet.sem.vendors import _convert as to
from napari_micro_ktnet.sem.vendors._base import Dialect, Findings, Row, Source, read_table
from napari_micro_ktnet.sem.vendors._frame import Frame
from napari_micro_ktnet.sem.vendors._xml import flatten, parse_xml

TAG = 65000

TABLE = (
    Row("System.Model", "instrument", lambda value: to.text(value.replace("_", " "))),
    Row("DetectorName", "detector", to.text),
    Row("AccelerationVoltage", "accelerating_voltage_v", to.quantity),
    Row("GFIS.AccelerationVoltage", "accelerating_voltage_v", to.quantity),
    Row("WorkingDistance", "working_distance_m", to.quantity),
    Row("GFIS.WorkingDistance", "working_distance_m", to.quantity),
    Row("Magnification4x5", "magnification", to.positive_quantity),
    Row("MagnificationDisplay", "magnification", to.positive_quantity),
    Row("BlankerCurrent", "beam_current_a", to.quantity),
    Row("GFIS.BeamCurrent", "beam_current_a", to.quantity),
    Row("StageTilt", "stage_tilt_deg", to.quantity),
    Row("DwellTime", "dwell_s", to.positive_quantity),
)


def recognise(source: Source) -> bool:
    """Tell whether the tag holds the root element: other programs use the number too."""
    return b"<ImageTags" in source.tags.get(TAG, b"")[:1000]


def extract(source: Source) -> Findings:
    """Read the pairs of value and unit."""
    root = parse_xml(source.text(TAG))
    if root is None:
        return Findings(metadata=SEMMetadata(vendor=DIALECT.name))
    found = flatten(root)
    raw = {
        key.removesuffix("/Value"): f"{value} {found.get(key.removesuffix('/Value') + '/Units', '')}".strip()
        for key, value in found.items()
        if key.endswith("/Value")
    }
    stamp = raw.get("TimeStamp", "")
    frame = Frame(
        to.positive(raw.get("ImageWidth", "")),
        to.positive(raw.get("ImageHeight", "")),
        source.width,
        source.height,
    )
    x, y = (to.positive_quantity(raw.get(f"Scaling{axis}", "")) for axis in "XY")
    factor = frame.shrunk_by * 1e9
    return Findings(
        metadata=SEMMetadata(
            vendor=DIALECT.name,
            beam="ion",
            acquired=to.moment(to.numeric_date(stamp, "mdy"), to.clock(stamp)),
            raw=raw,
            **read_table(raw, TABLE),
        ),
        pixel_size=None if x is None or y is None else (y * factor, x * factor),
        bar_rows=frame.bar_rows,
    )


DIALECT = Dialect("Zeiss Orion", recognise, extract)
