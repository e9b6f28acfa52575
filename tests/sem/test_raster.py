"""Metadata in JPEG, PNG and BMP files."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from fuzz_samples import DISS, HITACHI, JEOL, PHENOM, exif
from napari_micro_ktnet.sem import read_sem
from napari_micro_ktnet.sem._exif import parse_exif, read_tags

GREY = np.zeros((96, 128), np.uint8)
XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\0"


def with_segment(path: Path, body: bytes) -> Path:
    """Put an APP1 segment behind the start of a JPEG file."""
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:])
    return path


def with_chunk(path: Path, kind: bytes, body: bytes) -> Path:
    """Put a chunk before the end of a PNG file."""
    data = path.read_bytes()
    chunk = struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    path.write_bytes(data[:-12] + chunk + data[-12:])
    return path


def block(entries: list[tuple[int, int, int, bytes]], order: str = "<", tail: bytes = b"") -> bytes:
    """An EXIF block of entries (code, type, count, four bytes of value or offset)."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    table = b"".join(struct.pack(f"{order}HHI", *entry[:3]) + entry[3] for entry in entries)
    return head + struct.pack(f"{order}H", len(entries)) + table + bytes(4) + tail


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_hitachi_comment(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(GREY).save(tmp_path / f"a.{suffix}", exif=exif())
    image = read_sem(tmp_path / f"a.{suffix}")
    assert image.pixel_size == pytest.approx((9.921875, 9.921875))
    assert image.metadata.vendor == "Hitachi"
    assert image.metadata.instrument == "TM4000"
    assert image.metadata.accelerating_voltage_v == 15000


def test_xmp_of_jpeg(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.jpg", exif=exif("no section"))
    image = read_sem(with_segment(tmp_path / "a.jpg", XMP_HEAD + DISS.encode()))
    assert image.pixel_size == pytest.approx((3.0, 2.0))
    assert image.metadata.vendor == "point electronic DISS"


@pytest.mark.parametrize("compressed", [False, True])
def test_xmp_of_png(tmp_path: Path, compressed: bool) -> None:
    chunks = PngInfo()
    chunks.add_itxt("XML:com.adobe.xmp", DISS, lang="en", tkey="x", zip=compressed)
    Image.fromarray(GREY).save(tmp_path / "a.png", pnginfo=chunks)
    assert read_sem(tmp_path / "a.png").pixel_size == pytest.approx((3.0, 2.0))


def test_metadata_behind_the_pixels_of_png(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.png")
    image = read_sem(with_chunk(tmp_path / "a.png", b"eXIf", exif()[6:]))
    assert image.pixel_size == pytest.approx((9.921875, 9.921875))


def test_sixteen_bit_colour_png(tmp_path: Path) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(np.zeros((96, 128, 3), np.uint16)))
    image = read_sem(with_chunk(tmp_path / "a.png", b"eXIf", exif()[6:]))
    assert image.pixel_size == pytest.approx((9.921875, 9.921875))


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp"])
@pytest.mark.parametrize(("text", "vendor"), [(JEOL, "JEOL"), (HITACHI, "Hitachi")])
def test_text_file_beside(tmp_path: Path, suffix: str, text: str, vendor: str) -> None:
    Image.fromarray(GREY).save(tmp_path / f"a.{suffix}")
    (tmp_path / "a.txt").write_bytes(text.encode("utf-16"))
    image = read_sem(tmp_path / f"a.{suffix}")
    assert image.metadata.vendor == vendor
    assert image.metadata.accelerating_voltage_v == 15000
    assert image.pixel_size is not None
    assert image.pixel_size_source == "metadata"


def test_text_file_goes_before_the_comment(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.jpg", exif=exif())
    (tmp_path / "a.txt").write_text(HITACHI.replace("9.921875", "5"))
    assert read_sem(tmp_path / "a.jpg").pixel_size == pytest.approx((5.0, 5.0))


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp"])
def test_print_resolution_is_no_scale(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(GREY).save(tmp_path / f"a.{suffix}", dpi=(300, 300))
    image = read_sem(tmp_path / f"a.{suffix}")
    assert image.pixel_size is None
    assert image.metadata.vendor is None


@pytest.mark.parametrize("order", ["<", ">"])
def test_directory(order: str) -> None:
    offset = struct.pack(f"{order}I", 8 + 2 + 3 * 12 + 4)
    entries = [(270, 2, 3, b"ab\0\0"), (282, 5, 1, offset), (34683, 7, len(PHENOM), offset)]
    assert parse_exif(block(entries, order, PHENOM.encode())) == {270: b"ab\0", 34683: PHENOM.encode()}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"II*\0",
        b"II*\0\x08\0\0\0",
        b"II*\0\xff\xff\xff\xff" + bytes(50),
        b"II+\0" + bytes(50),
        bytes(60),
        block([(270, 2, 2**32 - 1, b"\x08\0\0\0")]),
        block([(270, 2, 20, b"\xff\xff\xff\xff")]),
        block([(270, 99, 4, b"abcd")]),
        struct.pack("<4sIH", b"II*\0", 8, 65535),
    ],
)
def test_damaged_directory(data: bytes) -> None:
    assert parse_exif(data) == {}


def test_overlapping_values_are_bounded() -> None:
    size = 50_000
    data = block([(1000 + i, 7, size, b"\x08\0\0\0") for i in range(1000)], tail=bytes(size))
    assert sum(map(len, parse_exif(data).values())) <= len(data)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(10**6))),
        (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0no compressed data"),
        (b"iTXt", b"XML:com.adobe.xmp\0"),
        (b"eXIf", b"MM"),
        (b"eXIf", bytes(2**17)),
    ],
)
def test_hostile_chunks_are_bounded(tmp_path: Path, kind: bytes, body: bytes) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.png")
    found = read_tags(with_chunk(tmp_path / "a.png", kind, body), "PNG")
    assert all(len(value) <= 2**16 for value in found.values())


@pytest.mark.parametrize(
    "body", [b"", b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\0\0", XMP_HEAD, XMP_HEAD + b"<!DOCTYPE a>"]
)
def test_hostile_segments_leave_the_image(tmp_path: Path, body: bytes) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.jpg")
    image = read_sem(with_segment(tmp_path / "a.jpg", body))
    assert image.pixels.shape == (96, 128)
    assert image.pixel_size is None
