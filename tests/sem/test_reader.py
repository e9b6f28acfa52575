from __future__ import annotations

import csv
import pickle
import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_micro_ktnet.errors import ReadError
from napari_micro_ktnet.sem import read_sem, read_sem_pages

if TYPE_CHECKING:
    from pathlib import Path

TYPES = ["bool", "uint8", "uint16", "uint32", "int16", "int32", "float32", "float64"]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(
    "options",
    [{}, {"bigtiff": True}, {"byteorder": ">"}, {"compression": "zlib"},
     {"compression": "lzw", "rowsperstrip": 8},
     {"tile": (16, 32)}, {"rowsperstrip": 5}],
    ids=str,
)  # fmt: skip
def test_tiff_keeps_values_and_dtype(tmp_path: Path, dtype: str, options: dict) -> None:
    pixels = (np.random.default_rng(0).random((50, 64)) * 120 - (20 if "int1" in dtype else 0)).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", pixels, metadata=None, **options)
    image = read_sem(tmp_path / "a.tif")
    assert image.pixels.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(image.pixels, pixels)
    assert not image.rgb
    assert image.name == "a"
    assert (image.height, image.width) == (50, 64)


def test_resolution_tags_alone_are_not_trusted(tmp_path: Path, noise: np.ndarray) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise, resolution=(254, 254), resolutionunit="CENTIMETER")
    image = read_sem(tmp_path / "a.tif")
    assert image.pixel_size is None
    assert image.pixel_size_source == "none"


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_grey_stored_as_colour(tmp_path: Path, noise: np.ndarray, channels: int, planar: str) -> None:
    pixels = np.repeat(noise[..., None], channels, axis=2)
    pixels[..., 3:] = 255
    stored = pixels if planar == "contig" else np.moveaxis(pixels, 2, 0)
    options = {} if channels == 3 else {"extrasamples": ["unassalpha"]}
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", planarconfig=planar, **options)
    image = read_sem(tmp_path / "a.tif")
    assert not image.rgb
    np.testing.assert_array_equal(image.pixels, noise)


def test_true_colour_stays(tmp_path: Path, noise: np.ndarray) -> None:
    pixels = np.stack([noise, noise[::-1], noise], axis=2)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb")
    image = read_sem(tmp_path / "a.tif")
    assert image.rgb
    assert (image.height, image.width) == noise.shape
    np.testing.assert_array_equal(image.pixels, pixels)


@pytest.mark.parametrize("step", [256, 257])
def test_linear_palette(tmp_path: Path, noise: np.ndarray, step: int) -> None:
    ramp = (np.arange(256) * step).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", noise, photometric="palette", colormap=np.stack([ramp] * 3))
    np.testing.assert_array_equal(read_sem(tmp_path / "a.tif").pixels, noise)


def test_inverting_palette_is_applied(tmp_path: Path, noise: np.ndarray) -> None:
    ramp = (np.arange(256)[::-1] * 257).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", noise, photometric="palette", colormap=np.stack([ramp] * 3))
    np.testing.assert_array_equal(read_sem(tmp_path / "a.tif").pixels, 255 - noise)


def test_miniswhite_is_inverted(tmp_path: Path, noise: np.ndarray) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise, photometric="miniswhite")
    np.testing.assert_array_equal(read_sem(tmp_path / "a.tif").pixels, 255 - noise)


def test_equal_pages_are_a_stack(tmp_path: Path) -> None:
    stack = np.random.default_rng(0).integers(0, 255, (4, 20, 30), dtype=np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        for plane in stack:
            tif.write(plane, metadata=None, contiguous=False)
    images = read_sem_pages(tmp_path / "a.tif")
    assert len(images) == 1
    np.testing.assert_array_equal(images[0].pixels, stack)


def test_thumbnails_are_left_out(tmp_path: Path, noise: np.ndarray) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        tif.write(np.repeat(noise[:, :, None], 3, 2), photometric="rgb", metadata=None)
        tif.write(noise, metadata=None)
        tif.write(noise[::4, ::4], metadata=None)
        tif.write(noise[::-1], subfiletype=1, metadata=None)
    height, width = noise[::4, ::4].shape
    with pytest.warns(UserWarning, match=rf"smaller pages \({width} x {height} pixels\).* left out"):
        images = read_sem_pages(tmp_path / "a.tif")
    assert [image.pixels.shape for image in images] == [noise.shape]
    np.testing.assert_array_equal(images[0].pixels, noise)


def test_pages_of_two_detectors(tmp_path: Path, noise: np.ndarray) -> None:
    tag = "[Beam]\nBeam=EBeam\n[EBeam]\nHV=5000\n[Detectors]\nName={}\n"
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        for name, pixels in (("ETD", noise), ("CBS", noise[::-1])):
            tif.write(pixels, metadata=None, extratags=[(34682, 2, 0, tag.format(name), True)])
    images = read_sem_pages(tmp_path / "a.tif")
    assert [image.metadata.detector for image in images] == ["ETD", "CBS"]
    assert [image.name for image in images] == ["a_1", "a_2"]
    np.testing.assert_array_equal(images[1].pixels, noise[::-1])
    np.testing.assert_array_equal(read_sem(tmp_path / "a.tif").pixels, noise)


@pytest.mark.parametrize(
    ("suffix", "dtype"), [("png", np.uint8), ("png", np.uint16), ("bmp", np.uint8), ("tif", np.uint16)]
)
def test_pillow_formats(tmp_path: Path, noise: np.ndarray, suffix: str, dtype: type) -> None:
    pixels = noise.astype(dtype) * (257 if dtype is np.uint16 else 1)
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(pixels).save(path)
    image = read_sem(path)
    assert image.pixels.dtype == dtype
    np.testing.assert_array_equal(image.pixels, pixels)


def test_sixteen_bit_colour_png(tmp_path: Path, noise: np.ndarray) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    grey = noise.astype(np.uint16) * 251
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(np.repeat(grey[..., None], 3, 2)))
    np.testing.assert_array_equal(read_sem(tmp_path / "a.png").pixels, grey)


def test_content_decides_not_suffix(tmp_path: Path, noise: np.ndarray) -> None:
    Image.fromarray(noise).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_sem(tmp_path / "a.tif").pixels, noise)


def test_large_png_opens(tmp_path: Path) -> None:
    side = 14_000
    Image.new("1", (side, side)).save(tmp_path / "a.png")
    assert read_sem(tmp_path / "a.png").pixels.shape == (side, side)


def test_image_can_be_pickled(tmp_path: Path, noise: np.ndarray) -> None:
    Image.fromarray(noise).save(tmp_path / "a.png")
    copy = pickle.loads(pickle.dumps(read_sem(tmp_path / "a.png")))
    np.testing.assert_array_equal(copy.pixels, noise)


def _tiff_header(width: int, height: int, offset: int = 8, count: int = 64) -> bytes:
    entries = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, offset),
               (277, 3, 1), (278, 4, height), (279, 4, count)]  # fmt: skip
    ifd = struct.pack("<H", len(entries))
    for code, kind, value in entries:
        ifd += struct.pack("<HHII", code, kind, 1, value)
    return b"II*\0" + struct.pack("<I", 8) + ifd + struct.pack("<I", 0)


BROKEN = {
    "empty.tif": b"",
    "text.tif": b"this is no image at all\n" * 10,
    "header only.tif": b"II*\0\x08\0\0\0",
    "absurd.tif": _tiff_header(10**9, 10**9),
    "no rows.tif": _tiff_header(100, 0),
    "no data.tif": _tiff_header(64, 64, offset=0, count=0),
    "past the end.tif": _tiff_header(64, 64, offset=50_000, count=4096),
    "cut.png": b"\x89PNG\r\n\x1a\n" + b"\0" * 20,
    "cut.jpg": b"\xff\xd8\xff\xe0\0\x10JFIF",
    "cut.bmp": b"BM" + b"\0" * 30,
    "absurd.png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
    + struct.pack(">IIBBBBB", 10**9, 10**9, 16, 2, 0, 0, 0)
    + b"\0" * 9,
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_file(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / name).write_bytes(BROKEN[name])
    with pytest.raises(ReadError, match=name):
        read_sem(tmp_path / name)
    assert not caplog.records


@pytest.mark.parametrize("path", ["missing.tif", "."])
def test_no_file(tmp_path: Path, path: str) -> None:
    with pytest.raises(ReadError):
        read_sem(tmp_path / path)


@pytest.mark.parametrize("options", [{}, {"compression": "zlib", "rowsperstrip": 10}, {"compression": "lzw"},
                                     {"tile": (32, 32), "compression": "zlib"}], ids=str)  # fmt: skip
def test_truncated_tiff_is_never_half_read(tmp_path: Path, noise: np.ndarray, options: dict) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise, metadata=None, **options)
    whole = path.read_bytes()
    for share in (0.02, 0.1, 0.3, 0.5, 0.8, 0.95):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(ReadError):
            read_sem(path)


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp"])
def test_truncated_raster(tmp_path: Path, noise: np.ndarray, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(noise).save(path)
    whole = path.read_bytes()
    for share in (0.05, 0.3, 0.7, 0.9):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(ReadError):
            read_sem(path)


@pytest.mark.parametrize("options", [{}, {"compression": "lzw"}, {"compression": "zlib"}], ids=str)
def test_random_damage_gives_an_image_or_a_read_error(
    tmp_path: Path, noise: np.ndarray, options: dict
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise, metadata=None, **options)
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    rng = np.random.default_rng(3)
    refused = 0
    for _ in range(150):
        damaged = whole.copy()
        where = rng.integers(0, min(400, len(whole)), 6)
        damaged[where] = rng.integers(0, 256, 6)
        path.write_bytes(damaged.tobytes())
        try:
            read_sem(path)
        except ReadError:
            refused += 1
    assert refused > 0


def test_real_files(shared_data: Path) -> None:
    folder = shared_data / "sem_files"
    with (folder / "MANIFEST.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        path = folder / row["file"]
        if row["vendor"] == "broken":
            with pytest.raises(ReadError, match=path.name):
                read_sem(path)
            continue
        image = read_sem(path)
        assert (image.width, image.height) == (int(row["width"]), int(row["height"])), row["file"]
        assert image.pixels.dtype == np.dtype(row["dtype"])
        assert image.pixels.ndim == 2
        if row["vendor"] in ("zeiss", "fei"):
            expected = float(row["pixel_size_y_m"]) * 1e9, float(row["pixel_size_x_m"]) * 1e9
            assert image.pixel_size == pytest.approx(expected, rel=1e-6)
            assert image.data_bar_rows == int(row["databar_px"])


def test_grey_that_a_lossy_compression_tinted(tmp_path: Path) -> None:
    grey = np.tile(np.arange(256, dtype=np.uint8), (64, 1))
    tinted = np.stack([grey, np.minimum(grey, 252) + 3, grey], axis=-1)
    Image.fromarray(tinted).save(tmp_path / "tinted.png")
    image = read_sem(tmp_path / "tinted.png")
    assert not image.rgb
    assert np.array_equal(image.pixels, np.asarray(Image.fromarray(tinted).convert("L")))
    tinted[3, 5] = (200, 20, 20)
    Image.fromarray(tinted).save(tmp_path / "annotated.png")
    assert read_sem(tmp_path / "annotated.png").rgb


def test_real_jpeg_files_are_grey(shared_data: Path) -> None:
    for path in sorted((shared_data / "agglomerates" / "images").glob("*.jpg")):
        assert read_sem(path).pixels.shape == (960, 1280), path.name
