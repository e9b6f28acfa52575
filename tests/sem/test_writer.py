from __future__ import annotations

import errno
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile

from napari_micro_ktnet.errors import InputError, OutputError
from napari_micro_ktnet.sem import read_sem, read_sem_pages, write_image, write_labels, writer

if TYPE_CHECKING:
    from pathlib import Path

TYPES = ["bool", "uint8", "uint16", "int8", "int16", "int32", "uint32", "float32", "float64"]
SIZES = [None, (0.1, 0.1), (1e6, 3.7e5), (593.2882, 17.123456789)]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("shape", [(30, 40), (3, 30, 40)])
def test_image_comes_back_unchanged(
    tmp_path: Path, dtype: str, size: tuple[float, float] | None, shape
) -> None:
    pixels = (np.random.default_rng(0).random(shape) * 120).astype(dtype)
    image = read_sem(write_image(tmp_path / "a.tif", pixels, size))
    assert image.pixels.dtype == pixels.dtype
    np.testing.assert_array_equal(image.pixels, pixels)
    if size is None:
        assert image.pixel_size is None
        assert image.pixel_size_source == "none"
    else:
        assert image.pixel_size == pytest.approx(size, rel=1e-6)
        assert image.pixel_size_source == "metadata"


FORMS = {
    "uint8": ("uint8", (30, 40), False),
    "uint16": ("uint16", (30, 40), False),
    "uint32": ("uint32", (30, 40), False),
    "float32": ("float32", (30, 40), False),
    "bool": ("bool", (30, 40), False),
    "stack": ("uint8", (3, 30, 40), False),
    "stack32": ("uint32", (3, 30, 40), False),
    "narrow": ("uint16", (30, 40, 3), False),
    "rgb": ("uint8", (30, 40, 3), True),
    "rgba": ("uint8", (30, 40, 4), True),
    "rgb16": ("uint16", (30, 40, 3), True),
}
NM_PER_CM = 1e7


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> tuple[np.ndarray, bool]:
    dtype, shape, rgb = FORMS[request.param]
    return (np.random.default_rng(0).random(shape) * 250).astype(dtype), rgb


@pytest.mark.parametrize("size", [(0.01, 0.01), (1e5, 1e5), (0.5123456789, 123.456789012345), (7.0, 3.0)])
def test_every_reader_agrees_on_the_pixel_size(
    tmp_path: Path, form: tuple[np.ndarray, bool], size: tuple[float, float]
) -> None:
    pixels, rgb = form
    path = write_image(tmp_path / "a.tif", pixels, size, rgb=rgb)
    assert read_sem(path).pixel_size == pytest.approx(size, rel=1e-9)
    with tifffile.TiffFile(path) as tif:
        first = tif.pages.first
        tags = [first.tags[name].value for name in ("YResolution", "XResolution")]
        per_unit = [numerator / denominator for numerator, denominator in tags]
        if tif.is_imagej:
            assert tif.imagej_metadata is not None
            assert tif.imagej_metadata["unit"] == "nm"
            assert first.resolutionunit == 1
            assert per_unit == pytest.approx([1 / s for s in size], rel=1e-9)
        else:
            assert tif.ome_metadata is not None
            root = ElementTree.fromstring(tif.ome_metadata)  # noqa: S314 - written by us
            (described,) = root.iterfind(".//{*}Pixels")
            assert [float(described.attrib[f"PhysicalSize{axis}"]) for axis in "YX"] == list(size)
            assert {described.attrib[f"PhysicalSize{axis}Unit"] for axis in "YX"} == {"nm"}
            assert first.resolutionunit == 3
            assert per_unit == pytest.approx([NM_PER_CM / s for s in size], rel=1e-9)


def test_every_reader_agrees_on_the_pixels(tmp_path: Path, form: tuple[np.ndarray, bool]) -> None:
    pixels, rgb = form
    path = write_image(tmp_path / "a.tif", pixels, (7.0, 3.0), rgb=rgb)
    (ours,) = read_sem_pages(path)
    assert ours.rgb == rgb
    for found in (ours.pixels, tifffile.imread(path)):
        assert found.dtype == pixels.dtype
        np.testing.assert_array_equal(found, pixels)


def test_no_pixel_size_is_invented(tmp_path: Path, form: tuple[np.ndarray, bool]) -> None:
    pixels, rgb = form
    path = write_image(tmp_path / "a.tif", pixels, rgb=rgb)
    assert read_sem(path).pixel_size is None
    with tifffile.TiffFile(path) as tif:
        assert "unit" not in (tif.imagej_metadata or {})
        assert "PhysicalSize" not in (tif.ome_metadata or "")
        assert tif.pages.first.tags["XResolution"].value in ((1, 1), (1, 0), (0, 1))
        assert tif.pages.first.resolutionunit == 1


def test_pixels_too_small_for_a_resolution_tag(tmp_path: Path) -> None:
    image = read_sem(write_image(tmp_path / "a.tif", np.ones((3, 4), np.uint32), (1e-3, 2e-3)))
    assert image.pixel_size == pytest.approx((1e-3, 2e-3))


def test_pixel_size_of_numpy_numbers(tmp_path: Path) -> None:
    size = np.array([2.5, 4.25], np.float32)
    for dtype in (np.uint8, np.uint32):
        image = read_sem(write_image(tmp_path / "a.tif", np.ones((3, 4), dtype), (size[0], size[1])))
        assert image.pixel_size == (2.5, 4.25)


def test_more_than_a_classic_tiff_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_LARGEST_CLASSIC", 1000)
    pixels = (np.random.default_rng(0).random((3, 30, 40)) * 250).astype(np.uint8)
    path = write_image(tmp_path / "a.tif", pixels, (7.0, 3.0))
    with tifffile.TiffFile(path) as tif:
        assert tif.is_bigtiff
    image = read_sem(path)
    np.testing.assert_array_equal(image.pixels, pixels)
    assert image.pixel_size == (7.0, 3.0)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint32])
def test_a_stack_of_one_slice_is_an_image(tmp_path: Path, dtype: type) -> None:
    assert read_sem(write_labels(tmp_path / "a.tif", np.ones((1, 3, 4), dtype))).pixels.shape == (3, 4)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_colour_comes_back(tmp_path: Path, dtype: str) -> None:
    pixels = (np.random.default_rng(0).random((20, 30, 3)) * 200).astype(dtype)
    image = read_sem(write_image(tmp_path / "a.tif", pixels, (2.0, 3.0), rgb=True))
    assert image.rgb
    assert image.pixel_size == pytest.approx((2.0, 3.0))
    np.testing.assert_array_equal(image.pixels, pixels)


def test_labels_are_imagej_with_unit(tmp_path: Path) -> None:
    path = write_labels(tmp_path / "a.tif", np.arange(12, dtype=np.uint16).reshape(3, 4), (4.0, 5.0))
    with tifffile.TiffFile(path) as tif:
        assert tif.imagej_metadata is not None
        assert tif.imagej_metadata["unit"] == "nm"
        x, y = (tif.pages[0].tags[name].value for name in ("XResolution", "YResolution"))
        assert (x[0] / x[1], y[0] / y[1]) == (0.2, 0.25)
        assert tif.pages[0].compression == 1


@pytest.mark.parametrize(
    ("highest", "given", "expected"),
    [(1, bool, np.uint8), (255, np.int64, np.uint8), (256, np.int32, np.uint16), (65536, np.int64, np.uint32),
     (3, np.uint16, np.uint16)],
)  # fmt: skip
def test_label_type(tmp_path: Path, highest: int, given: type, expected: type) -> None:
    labels = np.zeros((8, 9), dtype=given)
    labels[2, 3] = highest
    image = read_sem(write_labels(tmp_path / "a.tif", labels, (7.5, 7.5)))
    assert image.pixels.dtype == expected
    np.testing.assert_array_equal(image.pixels, labels)
    assert image.pixel_size == pytest.approx((7.5, 7.5), rel=1e-6)


@pytest.mark.parametrize(
    "labels",
    [
        np.full((3, 3), -1),
        np.zeros((3, 3), np.float32),
        np.zeros(3, int),
        np.full((3, 3), 2**33),
        np.zeros((0, 3), int),
    ],
)
def test_wrong_labels(tmp_path: Path, labels: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"a\.tif"):
        write_labels(tmp_path / "a.tif", labels)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", [(0.0, 1.0), (-1.0, 1.0), (float("nan"), 1.0), (float("inf"), 1.0)])
def test_wrong_pixel_size(tmp_path: Path, size: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="pixel size"):
        write_labels(tmp_path / "a.tif", np.ones((3, 3), np.uint8), size)


def test_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_labels(tmp_path / "a.tif", np.ones((3, 3), np.uint8))
    before = path.read_bytes()

    def full(file, *_args, **_options) -> None:
        file.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tifffile, "imwrite", full)
    with pytest.raises(OutputError, match="disk is full"):
        write_labels(path, np.zeros((3, 3), np.uint8))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_missing_folder_is_made_and_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    path = write_labels(tmp_path / "new" / "a.tif", np.ones((3, 3), np.uint8))
    with pytest.raises(OutputError, match=r"a\.tif"):
        write_labels(path / "b.tif", np.ones((3, 3), np.uint8))
