from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from napari_micro_ktnet.errors import InputError, OutputError
from napari_micro_ktnet.sem import read_sem, write_image, write_labels

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
