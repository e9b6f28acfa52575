"""Metadata in private tags, after the documented layouts."""

from __future__ import annotations

import json
import struct
from base64 import b64encode
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from napari_micro_ktnet.sem import read_sem, read_sem_pages

if TYPE_CHECKING:
    from pathlib import Path


def blank(height: int = 96, width: int = 128) -> np.ndarray:
    return np.zeros((height, width), np.uint8)


def chunks(main: str, column: str, kind: int = 3) -> bytes:
    parts = [
        (1, b"\0\0\0\x0cjP  " + bytes(range(60, 90)) + b"HV=1\n"),
        (2, main.encode()),
        (kind, column.encode()),
    ]
    return b"".join(struct.pack("<IH", len(body) + 2, code) + body for code, body in parts)


MAIN = "AccFrames=1\r\nDate=16.05.2016\r\nDevice=MIRA3 XMU\r\nImageStripSize=12\r\nMagnification=108.08\r\nPixelSizeX=2.5012e-6\r\nPixelSizeY=2.6e-6\r\nTime=16:03:27\r\n"  # noqa: E501
COLUMN = "Detector=SE\r\nDwellTime=3.2000e-6\r\nHV=10.0000e3\r\nPredictedBeamCurrent=264e-12\r\nStageTilt=2.5\r\nWD=13.250e-3\r\n"  # noqa: E501


@pytest.mark.parametrize(("kind", "beam"), [(3, "electron"), (5, "ion")])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_tescan(tagged_tiff, kind: int, beam: str, newline: str) -> None:
    data = chunks(MAIN.replace("\r\n", newline), COLUMN.replace("\r\n", newline), kind)
    image = read_sem(tagged_tiff(blank(108), {50431: data}))
    found = image.metadata
    assert image.pixel_size == pytest.approx((2600.0, 2501.2))
    assert image.data_bar_rows == 12
    assert (found.vendor, found.instrument, found.detector, found.beam) == ("TESCAN", "MIRA3 XMU", "SE", beam)
    assert found.accelerating_voltage_v == 10000
    assert found.working_distance_m == pytest.approx(0.01325)
    assert found.magnification == 108.08
    assert found.beam_current_a == pytest.approx(264e-12)
    assert found.stage_tilt_deg == 2.5
    assert found.dwell_s == pytest.approx(3.2e-6)
    assert found.acquired == datetime(2016, 5, 16, 16, 3, 27)


def test_tescan_two_detectors_side_by_side(tagged_tiff) -> None:
    column = COLUMN + "Detector0=SE\r\nDetector1=BSE\r\n"
    data = chunks(MAIN + "ViewFieldsCountX=2\r\n", column)
    image = read_sem(tagged_tiff(blank(108, 256), {50431: data}))
    assert image.metadata.detector == "SE + BSE"
    assert image.pixel_size == pytest.approx((2600.0, 2501.2))


@pytest.mark.parametrize(
    ("old", "new", "size", "rows"),
    [
        ("PixelSizeX=2.5012e-6", "PixelSizeX=notafloat", None, 12),
        ("PixelSizeX=2.5012e-6", "PixelSizeX=0", None, 12),
        ("PixelSizeX=2.5012e-6", "PixelSizeX=2,5012e-6", (2600.0, 2501.2), 12),
        ("PixelSizeY=2.6e-6\r\n", "", (2501.2, 2501.2), 12),
        ("ImageStripSize=12", "ImageStripSize=-3", (2600.0, 2501.2), 0),
        ("ImageStripSize=12", "ImageStripSize=5000", (2600.0, 2501.2), 0),
        ("ImageStripSize=12", "ImageStripSize=0", (2600.0, 2501.2), 0),
    ],
)
def test_tescan_odd_values(tagged_tiff, old: str, new: str, size, rows: int) -> None:
    image = read_sem(tagged_tiff(blank(108), {50431: chunks(MAIN.replace(old, new), COLUMN)}))
    assert image.pixel_size == (None if size is None else pytest.approx(size))
    assert image.data_bar_rows == rows


@pytest.mark.parametrize(
    "data",
    [
        b"\0\0\0\0\0\0" + (MAIN + COLUMN).encode(),
        b"\xff\xff\xff\xff\x09\0" + b"\n" + (MAIN + COLUMN).encode(),
        (MAIN + COLUMN).encode(),
    ],
)
def test_tescan_with_another_structure(tagged_tiff, data: bytes) -> None:
    image = read_sem(tagged_tiff(blank(108), {50431: data}))
    assert image.pixel_size == pytest.approx((2600.0, 2501.2))
    assert image.metadata.accelerating_voltage_v == 10000


def sis(tmp_path: Path, power: int = -9, x: float = 2.5, y: float = 3.0, page: int = 0) -> Path:
    """A file whose tag 33560 (LONG) points to a block behind the pixels, on page `page` of two."""
    path = tmp_path / "sis.tif"
    with tifffile.TiffWriter(path) as tif:
        for i, pixels in enumerate((np.zeros((96, 128, 3), np.uint8), blank())):
            rgb = {"photometric": "rgb"} if i == 0 else {}
            tag = [(33560, 4, 1, 1 << 20, True)] if i == page else []
            tif.write(pixels, extratags=tag, metadata=None, **rgb)
    data = bytearray(path.read_bytes())
    start = len(data)
    data = data.replace(struct.pack("<HHII", 33560, 4, 1, 1 << 20), struct.pack("<HHII", 33560, 4, 1, start))
    data += struct.pack("<4s6xhhhhh6x32sH", b"SIS0", 30, 14, 9, 4, 117, b"Image", 2)
    general = start + 60 + 16
    data += struct.pack("<hhI", 10, 1, 7) + struct.pack("<hhI", 1, 1, general)
    data += struct.pack("<10xhdd8xd2x34s32s", power, x, y, 20000.0, b"MegaView III", b"grey")
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("page", [0, 1])
def test_olympus_sis(tmp_path: Path, page: int) -> None:
    images = read_sem_pages(sis(tmp_path, page=page))
    assert len(images) == 1
    assert images[0].pixel_size == pytest.approx((3.0, 2.5))
    found = images[0].metadata
    assert (found.vendor, found.instrument, found.magnification) == ("Olympus SIS", "MegaView III", 20000)
    assert found.acquired == datetime(2017, 5, 9, 14, 30)


@pytest.mark.parametrize(("power", "x"), [(-9, float("nan")), (-9, -1.0), (400, 1.0), (-9, 0.0), (-300, 1.0)])
def test_olympus_sis_without_scale(tmp_path: Path, power: int, x: float) -> None:
    image = read_sem(sis(tmp_path, power, x))
    assert image.pixel_size is None
    assert image.pixel_size_source == "none"


def test_olympus_sis_cut_off(tmp_path: Path) -> None:
    path = sis(tmp_path)
    path.write_bytes(path.read_bytes()[:-30])
    assert read_sem(path).pixel_size is None


OPENFIBSEM = {
    "image": {"beam_type": "ION", "resolution": [128, 96], "dwell_time": 1e-06},
    "pixel_size": {"x": 2e-9, "y": 3e-9},
    "microscope_state": {
        "timestamp": 1705987635.0,
        "stage_position": {"t": 0.785398},
        "electron_beam": {"voltage": 2000, "working_distance": 0.004, "beam_current": 1e-12},
        "ion_beam": {"voltage": 30000, "working_distance": 0.0165, "beam_current": 2e-11},
        "ion_detector": {"type": "ICE"},
    },
    "system": {"info": {"manufacturer": "Thermo", "model": "Hydra"}},
}


def described(tmp_path: Path, text: str, shape=(96, 128)) -> Path:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros(shape, np.uint8), description=text.encode(), metadata=None)
    return path


def test_openfibsem(tmp_path: Path) -> None:
    image = read_sem(described(tmp_path, json.dumps(OPENFIBSEM)))
    found = image.metadata
    assert image.pixel_size == pytest.approx((3.0, 2.0))
    assert (found.vendor, found.instrument) == ("OpenFIBSEM", "Thermo Hydra")
    assert (found.beam, found.detector) == ("ion", "ICE")
    assert found.accelerating_voltage_v == 30000
    assert found.working_distance_m == 0.0165
    assert found.beam_current_a == 2e-11
    assert found.stage_tilt_deg == pytest.approx(45, abs=1e-3)
    assert found.acquired == datetime(2024, 1, 23, 5, 27, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(OPENFIBSEM)[:-5],
        json.dumps({**OPENFIBSEM, "pixel_size": {"x": "notafloat", "y": 1}}),
        json.dumps({**OPENFIBSEM, "pixel_size": {"x": float("nan"), "y": 1e-9}}),
        json.dumps({**OPENFIBSEM, "pixel_size": None}),
        '{"pixel_size": 1, "microscope_state": ' + "[" * 100_000,
        '{"pixel_size": ' + "9" * 10_000 + ', "microscope_state": 1}',
    ],
)
def test_openfibsem_without_scale(tmp_path: Path, text: str) -> None:
    assert read_sem(described(tmp_path, text)).pixel_size is None


SFEG = """<?xml version="1.0"?><Metadata xmlns:nil="http://schemas.fei.com/Metadata/v1/2013/07">
<Instrument><InstrumentClass>Helios</InstrumentClass></Instrument>
<Acquisition><AcquisitionDatetime>2022-12-14T13:53:39</AcquisitionDatetime><BeamType>Ion</BeamType></Acquisition>
<Optics><AccelerationVoltage>30000</AccelerationVoltage><BeamCurrent>2E-11</BeamCurrent>
<WorkingDistance>0.0165</WorkingDistance></Optics>
<StageSettings><StagePosition><Tilt><Alpha>0.785398</Alpha></Tilt></StagePosition></StageSettings>
<ScanSettings><DwellTime>1E-06</DwellTime></ScanSettings>
<Detectors><ScanningDetector><DetectorName>ETD</DetectorName></ScanningDetector></Detectors>
<BinaryResult><ImageSize><X>128</X><Y>96</Y></ImageSize>
<PixelSize><X unit="m">2e-09</X><Y unit="m">3e-09</Y></PixelSize></BinaryResult></Metadata>"""
INI = (
    "[User]\r\nDate=03/04/2017\r\n[Beam]\r\nBeam=EBeam\r\n"
    "[Scan]\r\nPixelWidth=2e-009\r\nPixelHeight=3e-009\r\n"
)


@pytest.mark.parametrize("tag", [34683, 34680])
@pytest.mark.parametrize(
    "wrap",
    [
        str.encode,
        lambda text: b64encode(b"\xef\xbb\xbf" + text.encode()),
        lambda text: b64encode(text.encode("utf-16")),
    ],
)
def test_fei_xml(tagged_tiff, tag: int, wrap) -> None:
    image = read_sem(tagged_tiff(blank(103), {tag: wrap(SFEG)}))
    found = image.metadata
    assert image.pixel_size == pytest.approx((3.0, 2.0))
    assert image.data_bar_rows == 7
    assert (found.vendor, found.instrument) == ("FEI / Thermo Fisher", "Helios")
    assert (found.beam, found.detector) == ("ion", "ETD")
    assert found.accelerating_voltage_v == 30000
    assert found.beam_current_a == 2e-11
    assert found.stage_tilt_deg == pytest.approx(45, abs=1e-3)
    assert found.acquired == datetime(2022, 12, 14, 13, 53, 39)


@pytest.mark.parametrize("wrap", [str.encode, lambda text: b64encode(b"\xef\xbb\xbf" + text.encode())])
def test_fei_sfeg_sections(tagged_tiff, wrap) -> None:
    image = read_sem(tagged_tiff(blank(), {34680: wrap(INI)}))
    assert image.pixel_size == pytest.approx((3.0, 2.0))
    assert image.metadata.acquired == datetime(2017, 3, 4)


@pytest.mark.parametrize(("beam", "instrument"), [("IBeam", "Helios"), ("EBeam", None)])
def test_fei_sections_filled_from_xml(tagged_tiff, beam: str, instrument: str | None) -> None:
    sections = f"{INI}[{beam}]\r\nHV=5000\r\n".replace("EBeam", beam)
    image = read_sem(tagged_tiff(blank(), {34682: sections.encode(), 34683: SFEG.encode()}))
    # XML of the other column of the instrument tells nothing about this image.
    assert image.metadata.instrument == instrument
    assert image.metadata.accelerating_voltage_v == 5000
    assert image.metadata.acquired == datetime(2017, 3, 4)
    assert image.pixel_size == pytest.approx((3.0, 2.0))


@pytest.mark.parametrize("data", [b"QUJD" * 5, b"QUJ" * 7, b"<", b"<a>", SFEG.encode()[:-20]])
def test_fei_xml_without_scale(tagged_tiff, data: bytes) -> None:
    assert read_sem(tagged_tiff(blank(), {34680: data})).pixel_size is None
