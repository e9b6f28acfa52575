from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from napari_micro_ktnet.sem import read_sem
from napari_micro_ktnet.sem.vendors import _convert as to
from napari_micro_ktnet.sem.vendors import dialects
from napari_micro_ktnet.sem.vendors._ini import parse_ini

if TYPE_CHECKING:
    from pathlib import Path


def zeiss(pixel: str = "1e-07", keys: str = "") -> bytes:
    numbers = ["0", "0", "0", pixel, "2.000000e+03", "6", "5.000000e+03", "2.2", "2e-10", "5.2e-03"]
    return ("\r\n".join([*numbers, "1"]) + "\r\n" + keys.replace("\n", "\r\n")).encode("latin-1")


KEYS = """AP_IMAGE_PIXEL_SIZE
Image Pixel Size = 100.0 nm
AP_PIXEL_SIZE
Pixel Size = 777.0 nm
DP_IMAGE_STORE
Store resolution = 1024 * 768
DP_DETECTOR_CHANNEL
Signal A = InLens
AP_IPROBE
I Probe =    200 pA
AP_STAGE_AT_T
Stage at T =   2.5 °
DP_DWELL_TIME
Dwell Time = 50 ns
SV_SERIAL_NUMBER
Serial No. = Crossbeam 550-1
AP_DATE
Date :11 Apr 2023
AP_TIME
Time :8:40:47
"""


def test_zeiss_fields(tagged_tiff) -> None:
    image = read_sem(tagged_tiff(np.zeros((768, 1024), np.uint8), {34118: zeiss(keys=KEYS)}))
    found = image.metadata
    assert image.pixel_size == pytest.approx((100.0, 100.0))
    assert found.vendor == "Zeiss SmartSEM"
    assert (found.instrument, found.detector, found.beam) == ("Crossbeam 550-1", "InLens", "electron")
    assert found.accelerating_voltage_v == 5000
    assert found.magnification == 2000
    assert found.working_distance_m == pytest.approx(5.2e-3)
    assert found.beam_current_a == pytest.approx(2e-10)
    assert found.stage_tilt_deg == 2.5
    assert found.dwell_s == pytest.approx(5e-8)
    assert found.acquired == datetime(2023, 4, 11, 8, 40, 47)
    assert found.raw["AP_STAGE_AT_T"] == "Stage at T =   2.5 °"


@pytest.mark.parametrize(
    ("shape", "keys", "header", "expected"),
    [
        ((384, 512), KEYS.replace("100.0 nm", "200.0 nm"), "1e-07", 200.0),
        ((2304, 3072), KEYS.replace("100.0 nm", "33333 pm"), "1e-07", 100 / 3),
        ((96, 128), KEYS, "1e-07", 800.0),  # resized but still tagged: the whole field is there
        ((100, 512), KEYS, "1e-07", 100.0),  # cropped
        ((768, 1024), KEYS.replace("100.0 nm", "0.1 µm"), "notafloat", 100.0),
        ((768, 1024), KEYS.replace("100.0 nm", "notafloat"), "1e-07", 100.0),
        ((100, 512), KEYS.replace("100.0 nm", "notafloat"), "1e-07", 100.0),
        ((768, 1024), KEYS.replace("100.0 nm", "notafloat"), "0", None),
        ((768, 1024), KEYS.replace("100.0 nm", "-5 nm"), "nan", None),
    ],
)
def test_zeiss_pixel_size(tagged_tiff, shape, keys: str, header: str, expected: float | None) -> None:
    image = read_sem(tagged_tiff(np.zeros(shape, np.uint8), {34118: zeiss(header, keys)}))
    if expected is None:
        assert image.pixel_size is None
        assert image.pixel_size_source == "none"
    else:
        assert image.pixel_size == pytest.approx((expected, expected), rel=1e-4)


def test_zeiss_copy_in_utf16_alone(tagged_tiff) -> None:
    text = zeiss(keys=KEYS).decode("latin-1").encode("utf-16-le")
    image = read_sem(tagged_tiff(np.zeros((768, 1024), np.uint8), {34119: text}))
    assert image.pixel_size == pytest.approx((100.0, 100.0))
    assert image.metadata.detector == "InLens"
    assert image.metadata.raw["AP_STAGE_AT_T"] == "Stage at T =   2.5 °"


@pytest.mark.parametrize(("pixel", "expected"), [("1e-07", 200.0), ("0", None)])
def test_zeiss_header_without_keys(tagged_tiff, pixel: str, expected: float | None) -> None:
    image = read_sem(tagged_tiff(np.zeros((384, 512), np.uint8), {34118: zeiss(pixel)}))
    assert image.pixel_size == (None if expected is None else pytest.approx((expected, expected)))


@pytest.mark.parametrize(
    ("header", "keys", "expected"),
    [
        ("0", "AP_PIXEL_SIZE\nPixel Size = 50.0 nm\n", 100.0),
        ("5,0e-08", "AP_MAG\nMag = 2,00 K X\n", 100.0),
        ("0", "AP_IMAGE_PIXEL_SIZE\nImage Pixel Size = 100,0 nm\n", 100.0),
    ],
)
def test_zeiss_older_headers(tagged_tiff, header: str, keys: str, expected: float) -> None:
    image = read_sem(tagged_tiff(np.zeros((384, 512), np.uint8), {34118: zeiss(header, keys)}))
    assert image.pixel_size == pytest.approx((expected, expected))


FEI = """[User]\r
Date=03/04/2017\r
Time=12:05:06 AM\r
UserText=100% "quoted" = yes\r
[System]\r
SystemType=Teneo\r
[Beam]\r
Beam={beam}\r
[{beam}]\r
HV=30000\r
WD=0.005\r
BeamCurrent=2e-011\r
[Scan]\r
Dwelltime=1e-006\r
PixelWidth=2e-009\r
PixelHeight=3e-009\r
HorFieldsize=2e-007\r
[Stage]\r
StageT=0.785398\r
[Image]\r
ResolutionX=100\r
ResolutionY=80\r
MagCanvasRealWidth=0.4\r
[Detectors]\r
Name=ETD\r
[MultiGIS]\r
A=1\r
[MultiGIS]\r
A=2\r
[PrivateFei]\r
DatabarHeight=0\r
"""


@pytest.mark.parametrize(("section", "beam"), [("EBeam", "electron"), ("IBeam", "ion")])
def test_fei_fields(tagged_tiff, section: str, beam: str) -> None:
    pixels = np.zeros((87, 100), np.uint16)
    image = read_sem(tagged_tiff(pixels, {34682: FEI.format(beam=section).encode()}))
    found = image.metadata
    assert image.pixel_size == pytest.approx((3.0, 2.0))
    assert image.data_bar_rows == 7
    assert image.data_bar is not None
    assert image.data_bar.source == "metadata"
    assert image.analysed_rows == slice(0, 80)
    assert (found.beam, found.instrument, found.detector) == (beam, "Teneo", "ETD")
    assert found.accelerating_voltage_v == 30000
    assert found.working_distance_m == 0.005
    assert found.beam_current_a == 2e-11
    assert found.dwell_s == 1e-6
    assert found.magnification == pytest.approx(2e6)
    assert found.stage_tilt_deg == pytest.approx(45.0, abs=1e-3)
    assert found.acquired == datetime(2017, 3, 4, 0, 5, 6)
    assert found.raw["User/UserText"] == '100% "quoted" = yes'


@pytest.mark.parametrize(
    ("old", "new", "shape", "size", "rows"),
    [
        ("PixelWidth=2e-009", "PixelWidth=notafloat", (87, 100), None, 7),
        ("PixelWidth=2e-009", "PixelWidth=0", (87, 100), None, 7),
        ("ResolutionY=80", "ResolutionY=", (87, 100), (3.0, 2.0), 0),
        ("ResolutionY=80", "ResolutionY=87", (87, 100), (3.0, 2.0), 0),
        ("", "", (174, 200), (1.5, 1.0), 0),  # resized with its bar, still tagged
        ("", "", (30, 50), (3.0, 2.0), 0),  # cropped
        ("[Scan]", "[Gone]", (80, 100), None, 0),
        ("[Scan]", "[IRBeam]\r\nHFW=0.1\r\n[Gone]", (80, 100), (1e6, 1e6), 0),
    ],
)
def test_fei_odd_values(tagged_tiff, old: str, new: str, shape, size, rows: int) -> None:
    text = FEI.format(beam="EBeam").replace(old, new) if old else FEI.format(beam="EBeam")
    image = read_sem(tagged_tiff(np.zeros(shape, np.uint8), {34682: text.encode()}))
    assert image.pixel_size == (None if size is None else pytest.approx(size))
    assert image.data_bar_rows == rows


def test_repeated_sections() -> None:
    raw = parse_ini("[A]\nx=1\n[A]\nx=2\ny=%\n")
    assert raw == {"A/x": "1", "A/x#2": "2", "A/y": "%"}


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("nm", 1.0), ("micron", 1e3), ("µm", 1e3), ("\\u00B5m", 1e3), ("mm", 1e6)],
)
def test_imagej_unit(tmp_path: Path, noise: np.ndarray, unit: str, factor: float) -> None:
    description = f"ImageJ=1.53t\nunit={unit}\nmin=0\n".encode("utf-8" if "µ" in unit else "ascii")
    tifffile.imwrite(tmp_path / "a.tif", noise, description=description, metadata=None, resolution=(2.0, 4.0))
    assert read_sem(tmp_path / "a.tif").pixel_size == pytest.approx((factor / 4, factor / 2))


@pytest.mark.parametrize("unit", ["pixel", "", "fathom", "inch", "cm"])
def test_imagej_without_length(tmp_path: Path, noise: np.ndarray, unit: str) -> None:
    description = f"ImageJ=1.53t\nunit={unit}\n"
    tifffile.imwrite(tmp_path / "a.tif", noise, description=description, metadata=None, resolution=(2.0, 4.0))
    assert read_sem(tmp_path / "a.tif").pixel_size is None


@pytest.mark.parametrize(("unit", "factor"), [("nm", 1.0), ("µm", 1e3), (None, 1e3)])
def test_ome(tmp_path: Path, noise: np.ndarray, unit: str | None, factor: float) -> None:
    scale = {"PhysicalSizeX": 2.0, "PhysicalSizeY": 3.0}
    if unit:
        scale |= {"PhysicalSizeXUnit": unit, "PhysicalSizeYUnit": unit}
    tifffile.imwrite(tmp_path / "a.tif", noise, ome=True, metadata={"axes": "YX", **scale})
    image = read_sem(tmp_path / "a.tif")
    assert image.pixel_size == pytest.approx((3 * factor, 2 * factor))
    np.testing.assert_array_equal(image.pixels, noise)


@pytest.mark.parametrize(
    ("text", "value"),
    [("593.3 nm", 5.933e-7), ("0.5 µm", 5e-7), ("0.5 Âµm", 5e-7), ("2.00 K X", 2000), ("188 X", 188), ("5,2 mm", 5.2e-3),  # noqa: E501
     ("2.5012e-6", 2.5012e-6), ("10 kV", 1e4), ("12 m", 12), ("33333 pm", 3.3333e-8), ("notafloat", None), ("", None),  # noqa: E501
     ("1e999", None)],
)  # fmt: skip
def test_quantity(text: str, value: float | None) -> None:
    assert to.quantity(text) == (None if value is None else pytest.approx(value))


def test_imagej_scale_in_cm_that_is_no_print_resolution(tmp_path: Path, noise: np.ndarray) -> None:
    description = "ImageJ=1.53t\nunit=cm\n"
    options = {"description": description, "metadata": None, "resolution": (1e5, 2e5)}
    tifffile.imwrite(tmp_path / "a.tif", noise, **options)
    assert read_sem(tmp_path / "a.tif").pixel_size == pytest.approx((50.0, 100.0))


@pytest.mark.parametrize(
    ("text", "value"),
    [("15000 Volt", 15e3), ("7920.5 um", 7.9205e-3), ("0.938 picoAmps", 9.38e-13), ("1 Microns", 1e-6), ("0.5 uSec", 5e-7),  # noqa: E501
     ("11.977 Millimeters", 0.011977), ("29997 Volts", 29997), ("10000 ns", 1e-5), ("0.16 Degrees", 0.16), ("5 \u03bcm", 5e-6),  # noqa: E501
     ("5 \u0083\u00cam", 5e-6), ("5 \u00ce\u00bcm", 5e-6)],
)  # fmt: skip
def test_spelled_out_units(text: str, value: float) -> None:
    assert to.quantity(text) == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "order", "expected"),
    [("2016-05-16", "dmy", (2016, 5, 16)), ("03/04/2017", "mdy", (2017, 3, 4)), ("03/04/2017", "dmy", (2017, 4, 3)),  # noqa: E501
     ("25/12/2017", "mdy", (2017, 12, 25)), ("12/25/2017", "dmy", (2017, 12, 25)), ("16.05.2016", "dmy", (2016, 5, 16)),  # noqa: E501
     ("03/04/17", "mdy", None), ("notadate", "mdy", None), ("", "dmy", None)],
)  # fmt: skip
def test_dates(text: str, order: str, expected) -> None:
    assert to.numeric_date(text, order) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("8:40:47", (8, 40, 47)), ("04:22:50 PM", (16, 22, 50)), ("12:05:06 AM", (0, 5, 6)), ("PM 4:22", (16, 22, 0)),  # noqa: E501
     ("10:32:12.498", (10, 32, 12)), ("12:30:00 PM", (12, 30, 0)), ("noon", None)],
)  # fmt: skip
def test_clock(text: str, expected) -> None:
    assert to.clock(text) == expected


def test_every_dialect_is_found() -> None:
    found = [(dialect.rank, dialect.name) for dialect in dialects()]
    assert found == sorted(found, key=lambda pair: pair[0])
    assert {name for _, name in found} == {
        "FEI / Thermo Fisher",
        "Fibics",
        "Hitachi",
        "ImageJ",
        "JEOL",
        "OME",
        "Olympus SIS",
        "OpenFIBSEM",
        "Phenom",
        "TESCAN",
        "Zeiss Orion",
        "Zeiss SmartSEM",
        "point electronic DISS",
    }
