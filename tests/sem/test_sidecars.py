"""Metadata in files beside the image."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_micro_ktnet.sem import read_sem
from napari_micro_ktnet.sem.vendors._sidecar import LARGEST_SIDECAR

if TYPE_CHECKING:
    from pathlib import Path


def beside(tmp_path: Path, text: str | bytes, shape=(96, 128), name="image.tif", sidecar="image.txt"):
    """Write a grey image and a sidecar, and read them."""
    path = tmp_path / name
    pixels = np.zeros(shape, np.uint8)
    if path.suffix.lower().startswith(".tif"):
        tifffile.imwrite(path, pixels, metadata=None, resolution=(254, 254))
    else:
        Image.fromarray(pixels).save(path)
    (tmp_path / sidecar).write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_sem(path)


JEOL = """$SEM_DATA_VERSION 1
$CM_FORMAT JEOL-SEM
$CM_INSTRUMENT 7600F
$CM_SIGNAL SEI
$CM_ACCEL_VOLT 15.00
$CM_MAG 1000
$CM_DATE 2019/03/12
$CM_TIME 10:21:55
$CM_STAGE_POS 5.483 0.831 8.5 11.0 4.5 0.000
$CM_FULL_SIZE 128 96
$$SM_WD 8.1
$$SM_MICRON_BAR 50
$$SM_MICRON_MARKER 10um
"""


def test_jeol_fields(tmp_path: Path) -> None:
    image = beside(tmp_path, JEOL.replace("\n", "\r\n"), shape=(106, 128))
    found = image.metadata
    assert image.pixel_size == pytest.approx((200.0, 200.0))
    assert image.pixel_size_source == "metadata"
    assert image.data_bar_rows == 10
    assert (found.vendor, found.instrument, found.detector) == ("JEOL", "7600F", "SEI")
    assert found.accelerating_voltage_v == 15000
    assert found.working_distance_m == pytest.approx(8.1e-3)
    assert found.magnification == 1000
    assert found.stage_tilt_deg == 4.5
    assert found.acquired == datetime(2019, 3, 12, 10, 21, 55)
    assert found.raw["SM_MICRON_MARKER"] == "10um"


NEWER = """$CM_FORMAT JEOL/SEM
$CM_IMAGE_SIZE 128 96
$CM_MAG 1000
$SM_PNU_HEIGHT 12
$CM_ACCEL_VOLT 5.00kV
$SM_WD 10.00mm
$CM_DATE 5/25/2026
$CM_TIME PM 3:20
"""


@pytest.mark.parametrize(
    ("more", "size", "source"),
    [
        ("$CM_FIELD_OF_VIEW 128.000µm 97.000µm\n", (97000 / 96, 1000.0), "metadata"),
        ("$CM_FIELD_OF_VIEW 128 96\n", (1000.0, 1000.0), "metadata"),
        ("$CM_PIXEL_SIZE 990.0nm\n", (990.0, 990.0), "metadata"),
        ("$CM_PIXEL_SIZE 990.0\n", (990.0, 990.0), "metadata"),
        ("$CM_PIXEL_SIZE 0.99\n", (990.0, 990.0), "metadata"),
        # Neither nm nor um agrees with the magnification.
        ("$CM_PIXEL_SIZE 37\n", (1000.0, 1000.0), "estimated"),
        ("$CM_PIXEL_SIZE notafloat\n", (1000.0, 1000.0), "estimated"),
        ("$CM_FIELD_OF_VIEW -1µm 0µm\n", (1000.0, 1000.0), "estimated"),
        ("$SM_STANDARD_FIELD_SIZE 120 90\n", (937.5, 937.5), "estimated"),
        ("$SM_MICRON_MARKER 10µm\n$SM_MICRON_BAR 10\n", (1000.0, 1000.0), "metadata"),
        ("$SM_MICRON_MARKER 10µm\n$SM_MICRON_BAR 0\n", (1000.0, 1000.0), "estimated"),
    ],
)
def test_jeol_newer(tmp_path: Path, more: str, size, source: str) -> None:
    image = beside(tmp_path, NEWER + more, shape=(108, 128))
    assert image.pixel_size == pytest.approx(size)
    assert image.pixel_size_source == source
    assert image.data_bar_rows == 12
    assert image.metadata.accelerating_voltage_v == 5000
    assert image.metadata.working_distance_m == pytest.approx(0.01)
    assert image.metadata.acquired == datetime(2026, 5, 25, 15, 20)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [("$CM_MAG 1000", "$CM_MAG notafloat", None), ("$CM_MAG 1000", "$CM_MAG 0", None), ("$CM_MAG 1000", "$CM_MAG", None)],  # noqa: E501
)  # fmt: skip
def test_jeol_without_any_scale(tmp_path: Path, old: str, new: str, expected) -> None:
    text = "\n".join(line for line in JEOL.replace(old, new).splitlines() if "MICRON" not in line)
    image = beside(tmp_path, text)
    assert image.pixel_size is expected
    assert image.pixel_size_source == "none"


@pytest.mark.parametrize(
    ("size", "height", "rows"),
    [
        ("$CM_IMAGE_SIZE 128 96", 108, 12),
        ("$CM_IMAGE_SIZE 128 96", 96, 0),
        ("$CM_FULL_SIZE 128 108", 108, 12),
        ("", 108, 12),
    ],
)
def test_jeol_bar(tmp_path: Path, size: str, height: int, rows: int) -> None:
    text = NEWER.replace("$CM_IMAGE_SIZE 128 96", size)
    assert beside(tmp_path, text, shape=(height, 128)).data_bar_rows == rows


def test_jeol_image_resized_afterwards(tmp_path: Path) -> None:
    assert beside(tmp_path, JEOL, shape=(48, 64)).pixel_size == pytest.approx((400.0, 400.0))


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "shift-jis"])
def test_sidecar_encodings(tmp_path: Path, encoding: str) -> None:
    micro = "\u03bc" if encoding == "shift-jis" else "\u00b5"
    text = JEOL.replace("10um", f"10{micro}m").encode(encoding)
    assert beside(tmp_path, text).pixel_size == pytest.approx((200.0, 200.0))


@pytest.mark.parametrize(
    ("image", "sidecar"),
    [
        ("image.tif", "image.TXT"),
        ("IMAGE.TIF", "IMAGE.txt"),
        ("a.b.c.tif", "a.b.c.txt"),
        ("image.png", "image.txt"),
        ("image.bmp", "image.txt"),
        ("image#2(\uff11).jpg", "image#2(\uff11).txt"),
    ],
)
def test_sidecar_names(tmp_path: Path, image: str, sidecar: str) -> None:
    assert beside(tmp_path, JEOL, name=image, sidecar=sidecar).pixel_size == pytest.approx((200.0, 200.0))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"Sample 3, magnification 5000, PixelSize=12",
        b"$5 were paid\n$$\n",
        b"[Notes]\nPixelSize=3\n",
        bytes(range(256)) * 20,
        JEOL.encode() + b" " * LARGEST_SIDECAR,
        b"$" * 100_000,
    ],
)
def test_unrelated_text_file(tmp_path: Path, text: bytes) -> None:
    image = beside(tmp_path, text)
    assert image.pixel_size is None
    assert image.pixel_size_source == "none"
    assert image.metadata.vendor is None


def test_renamed_sidecar_is_not_guessed(tmp_path: Path) -> None:
    assert beside(tmp_path, JEOL, sidecar="other.txt").pixel_size is None


def test_folder_with_the_name_of_a_sidecar(tmp_path: Path) -> None:
    (tmp_path / "image.txt").mkdir()
    assert beside(tmp_path, b"", sidecar="note.md").pixel_size is None


HITACHI = """[SemImageFile]
InstructName=SU8230
SampleName=100% "steel" = good
ImageName=image.tif
Date=03/12/2019
Time=10:22:13
DataSize=128x96
PixelSize=9.921875
SignalName=SE(U)
AcceleratingVoltage=15000 Volt
Magnification=10000
WorkingDistance=7920.5 um
MicronMarker=5000
"""


@pytest.mark.parametrize("encoding", ["ascii", "utf-16", "utf-16-le", "utf-8-sig"])
def test_hitachi_fields(tmp_path: Path, encoding: str) -> None:
    image = beside(tmp_path, HITACHI.replace("\n", "\r\n").encode(encoding))
    found = image.metadata
    assert image.pixel_size == pytest.approx((9.921875, 9.921875))
    assert image.pixel_size_source == "metadata"
    assert (found.vendor, found.instrument, found.detector) == ("Hitachi", "SU8230", "SE(U)")
    assert found.accelerating_voltage_v == 15000
    assert found.working_distance_m == pytest.approx(7.9205e-3)
    assert found.magnification == 10000
    assert found.acquired == datetime(2019, 3, 12, 10, 22, 13)
    assert found.raw["SampleName"] == '100% "steel" = good'


S4700 = """[SemImageFile]
InstructName=S-4700
DataSize=128x96
Magnification=15000
Condition=Vacc=10kV   Mag=x15.0k   WD=8.1mm
"""


@pytest.mark.parametrize(
    ("text", "shape", "size", "source"),
    [
        (S4700, (96, 128), 127e6 / 15000 / 128, "estimated"),
        (S4700, (48, 64), 127e6 / 15000 / 64, "estimated"),
        (S4700.replace("S-4700", "TM3000"), (96, 128), 162e6 / 15000 / 128, "estimated"),
        (S4700.replace("=15000", "=notafloat"), (96, 128), None, "none"),
        (HITACHI, (48, 64), 19.84375, "metadata"),
        (HITACHI, (80, 100), 9.921875, "metadata"),
        (HITACHI.replace("9.921875", "9,921875"), (96, 128), 9.921875, "metadata"),
        (HITACHI.replace("9.921875", "-1"), (96, 128), 127e6 / 10000 / 128, "estimated"),
        (HITACHI.replace("9.921875", "notafloat").replace("Magnification", "M"), (96, 128), None, "none"),
    ],
)
def test_hitachi_scale(tmp_path: Path, text: str, shape, size: float | None, source: str) -> None:
    image = beside(tmp_path, text, shape=shape)
    assert image.pixel_size == (None if size is None else pytest.approx((size, size)))
    assert image.pixel_size_source == source


def test_hitachi_condition_line(tmp_path: Path) -> None:
    found = beside(tmp_path, S4700).metadata
    assert found.accelerating_voltage_v == 10000
    assert found.working_distance_m == pytest.approx(8.1e-3)


def test_hitachi_comment_tag(tagged_tiff) -> None:
    tags = {40092: HITACHI.replace("SU8230", "TM4000").encode("utf-16-le") + b"\0\0"}
    image = read_sem(tagged_tiff(np.zeros((96, 128), np.uint8), tags))
    assert image.pixel_size == pytest.approx((9.921875, 9.921875))
    assert image.metadata.instrument == "TM4000"


HDR = """[MAIN]
Date=2019-03-12
Time=10:22:13
Device=MIRA3
ImageStripSize=10
Magnification=5000.0
PixelSizeX=4,1e-008
PixelSizeY=4.2e-008

[SEM]
HV=15000.0
WD=0.0100
Detector=SE
"""


@pytest.mark.parametrize(
    ("image", "sidecar"),
    [
        ("a.tif", "a-tif.hdr"),
        ("a.tif", "a.hdr"),
        ("a.tif", "a.HDR"),
        ("a.TIF", "a-tif.hdr"),
        ("a.tiff", "a-tif.hdr"),
        ("a.png", "a-png.hdr"),
    ],
)
def test_tescan_header_file(tmp_path: Path, image: str, sidecar: str) -> None:
    found = beside(tmp_path, HDR.replace("\n", "\r\n"), shape=(106, 128), name=image, sidecar=sidecar)
    assert found.pixel_size == pytest.approx((42.0, 41.0))
    assert found.data_bar_rows == 10
    assert found.metadata.vendor == "TESCAN"
    assert found.metadata.beam == "electron"
    assert found.metadata.accelerating_voltage_v == 15000
    assert found.metadata.acquired == datetime(2019, 3, 12, 10, 22, 13)


def test_header_file_of_another_program(tmp_path: Path) -> None:
    image = beside(tmp_path, "ENVI\nsamples = 128\nPixelSizeX = 3\n", sidecar="image.hdr")
    assert image.pixel_size is None


def test_sidecar_of_another_vendor_beside_tags(tmp_path: Path, tagged_tiff) -> None:
    text = "[Beam]\r\nBeam=EBeam\r\n[EBeam]\r\nHV=5000\r\n"
    path = tagged_tiff(np.zeros((96, 128), np.uint8), {34682: text.encode()}, "a.tif")
    (tmp_path / "a.txt").write_text(JEOL)
    image = read_sem(path)
    assert image.metadata.vendor == "FEI / Thermo Fisher"
    assert image.pixel_size is None
    assert image.metadata.magnification is None


def test_stated_scale_goes_before_an_estimate(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", np.zeros((96, 128), np.uint8), imagej=True, resolution=(0.01, 0.01),
        metadata={"unit": "nm"},
    )  # fmt: skip
    (tmp_path / "a.txt").write_text(S4700)
    image = read_sem(tmp_path / "a.tif")
    assert image.pixel_size == pytest.approx((100.0, 100.0))
    assert image.pixel_size_source == "metadata"
    assert image.metadata.instrument == "S-4700"
