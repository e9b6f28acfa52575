"""Images that are read on demand: the same values, less reading, the same errors."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_micro_ktnet.errors import ReadError
from napari_micro_ktnet.sem import _lazy, _tiff, read_sem, read_sem_pages

HEIGHT, WIDTH = 101, 150
RAMP = np.arange(256, dtype=np.uint16)[::-1] * 257
GREY_PALETTE = np.stack([RAMP] * 3)

FORMS: dict[str, tuple[str, dict[str, Any]]] = {
    "uint8": ("uint8", {}),
    "uint16": ("uint16", {}),
    "int32": ("int32", {}),
    "float32": ("float32", {}),
    "bool": ("bool", {}),
    "miniswhite8": ("uint8", {"photometric": "miniswhite"}),
    "miniswhite16": ("uint16", {"photometric": "miniswhite"}),
    "palette": ("uint8", {"photometric": "palette", "colormap": GREY_PALETTE}),
}
STORAGE: dict[str, dict[str, Any]] = {
    "contiguous": {},
    "strips": {"rowsperstrip": 7},
    "zlib strips": {"rowsperstrip": 7, "compression": "zlib"},
    "lzw strips": {"rowsperstrip": 40, "compression": "lzw", "predictor": True},
    "tiles": {"tile": (32, 48)},
    "zlib tiles": {"tile": (16, 32), "compression": "zlib", "predictor": True},
    "zstd tiles": {"tile": (64, 16), "compression": "zstd"},
    "packbits strips": {"rowsperstrip": 3, "compression": "packbits"},
    "jpeg tiles": {"tile": (32, 32), "compression": "jpeg"},
}


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_lazy, "_CHUNK_SIDE", 40)


@pytest.fixture
def chunks_read(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Rows of every chunk that is read."""
    seen: list[tuple[int, int]] = []
    read = _lazy._Plane.read

    def counted(plane: Any, rows: slice, columns: slice) -> Any:
        seen.append((rows.start, rows.stop))
        return read(plane, rows, columns)

    monkeypatch.setattr(_lazy._Plane, "read", counted)
    return seen


def values(dtype: str, *shape: int) -> np.ndarray:
    return (np.random.default_rng(3).random(shape or (HEIGHT, WIDTH)) * 250).astype(dtype)


LAYOUTS: list[dict[str, Any]] = [{}, {"byteorder": ">"}, {"bigtiff": True}]
CASES = [
    (form, storage, LAYOUTS[(i + j) % len(LAYOUTS)])
    for i, form in enumerate(FORMS)
    for j, storage in enumerate(STORAGE)
    # JPEG holds 8 bits of grey.
    if form == "uint8" or storage != "jpeg tiles"
]


@pytest.mark.parametrize(("form", "storage", "layout"), CASES, ids=str)
def test_same_values(tmp_path: Path, form: str, storage: str, layout: dict[str, Any]) -> None:
    dtype, options = FORMS[form]
    options = {**options, **STORAGE[storage], **layout}
    if dtype == "bool":
        options.pop("predictor", None)
    tifffile.imwrite(tmp_path / "a.tif", values(dtype), metadata=None, **options)
    eager, lazy = read_sem(tmp_path / "a.tif"), read_sem(tmp_path / "a.tif", lazy=True)
    assert isinstance(eager.pixels, np.ndarray)
    # Packed bits are never contiguous, and a single strip of them is one block.
    assert isinstance(lazy.pixels, np.ndarray if form == "bool" and storage == "contiguous" else da.Array)
    assert lazy.pixels.dtype == eager.pixels.dtype
    computed = np.asarray(lazy.pixels)
    assert computed.dtype == eager.pixels.dtype
    np.testing.assert_array_equal(computed, eager.pixels)
    np.testing.assert_array_equal(np.asarray(lazy.pixels[7:90:3, 140:20:-5]), eager.pixels[7:90:3, 140:20:-5])
    assert (lazy.data_bar, lazy.name, lazy.height) == (eager.data_bar, eager.name, eager.height)


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"photometric": "miniswhite"}], ids=str)
def test_stack(tmp_path: Path, count: int, options: dict[str, Any]) -> None:
    stack = values("uint16", count, 20, 30)
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        for plane in stack:
            tif.write(plane, metadata=None, contiguous=False, **options)
    (eager,), (lazy,) = read_sem_pages(tmp_path / "a.tif"), read_sem_pages(tmp_path / "a.tif", lazy=True)
    np.testing.assert_array_equal(np.asarray(lazy.pixels), eager.pixels)
    if count > 1:
        assert lazy.pixels.chunks == ((1,) * count, (20,), (30,))


def test_stack_of_pages_that_are_stored_differently(tmp_path: Path) -> None:
    stack = values("uint8", 3, 96, 130)
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        for plane, tile in zip(stack, [(16, 32), (32, 48), None], strict=True):
            tif.write(plane, metadata=None, tile=tile)
    (image,) = read_sem_pages(tmp_path / "a.tif", lazy=True)
    np.testing.assert_array_equal(np.asarray(image.pixels), stack)


def test_channels_of_ome(tmp_path: Path) -> None:
    stack = values("uint8", 3, 2, 20, 30)
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, metadata={"axes": "ZCYX"}, compression="zlib")
    images = read_sem_pages(tmp_path / "a.ome.tif", lazy=True)
    assert len(images) == 2
    for channel, image in enumerate(images):
        assert isinstance(image.pixels, da.Array)
        np.testing.assert_array_equal(np.asarray(image.pixels), stack[:, channel])


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_imagej_stack_behind_one_directory(tmp_path: Path, byteorder: Any) -> None:
    stack = values("uint16", 4, 20, 30)
    path = tmp_path / "a.tif"
    text = "ImageJ=1.54f\nimages=4\nslices=4\n"
    tifffile.imwrite(path, stack[0], description=text, metadata=None, byteorder=byteorder)
    with path.open("ab") as file:
        file.write(stack[1:].astype(byteorder + "u2").tobytes())
    np.testing.assert_array_equal(read_sem(path).pixels, stack)
    lazy = read_sem(path, lazy=True).pixels
    assert isinstance(lazy, da.Array)
    np.testing.assert_array_equal(np.asarray(lazy), stack)


@pytest.mark.parametrize(
    "options",
    [
        {"photometric": "rgb", "planarconfig": "contig", "tile": (16, 16)},
        {"photometric": "palette", "colormap": np.stack([RAMP, RAMP, 0 * RAMP]), "tile": (16, 16)},
        {"compression": "zlib", "rowsperstrip": HEIGHT},
    ],
    ids=["colour", "coloured palette", "one block"],
)
def test_at_once_where_no_part_can_be_shown_alone(tmp_path: Path, options: dict[str, Any]) -> None:
    pixels = values("uint8")
    stored = np.repeat(pixels[..., None], 3, axis=2) if options.get("photometric") == "rgb" else pixels
    tifffile.imwrite(tmp_path / "a.tif", stored, metadata=None, **options)
    lazy, eager = read_sem(tmp_path / "a.tif", lazy=True), read_sem(tmp_path / "a.tif")
    assert isinstance(lazy.pixels, np.ndarray)
    np.testing.assert_array_equal(lazy.pixels, eager.pixels)


def test_other_formats_are_read_at_once(tmp_path: Path) -> None:
    Image.fromarray(values("uint8")).save(tmp_path / "a.png")
    assert isinstance(read_sem(tmp_path / "a.png", lazy=True).pixels, np.ndarray)


def test_auto_looks_at_all_images_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, values("uint8", 3, 20, 30), metadata=None, photometric="minisblack")
    for limit, kind in ((3 * 600 - 1, da.Array), (3 * 600, np.ndarray)):
        monkeypatch.setattr(_tiff, "LAZY_BYTES", limit)
        assert isinstance(read_sem(path, lazy="auto").pixels, kind)


@pytest.mark.parametrize("options", [{}, {"tile": (16, 32), "compression": "zlib"}], ids=str)
def test_only_what_is_asked_for(
    tmp_path: Path, chunks_read: list[tuple[int, int]], options: dict[str, Any]
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", values("uint8", 400, 300), metadata=None, **options)
    image = read_sem(tmp_path / "a.tif", lazy=True)
    # The data bar is looked for in the lowest 30 %.
    assert min(start for start, _ in chunks_read) >= 0.7 * 400 - 40
    chunks_read.clear()
    np.asarray(image.pixels[5:8, 3:5])
    assert len(chunks_read) == 1


@pytest.mark.parametrize("claimed", [0, 40])
def test_data_bar_is_the_same(tmp_path: Path, tagged_tiff: Any, claimed: int) -> None:
    pixels = np.random.default_rng(0).integers(60, 190, (400, 512)).astype(np.uint8)
    pixels[360:] = 0
    for left in range(20, 480, 12):
        pixels[370:384, left : left + 4] = 255
    text = f"[Beam]\nBeam=EBeam\n[Image]\nResolutionX=512\nResolutionY={400 - claimed}\n".encode()
    path = tagged_tiff(pixels, {34682: text}, tile=(64, 64), compression="zlib")
    eager, lazy = read_sem(path), read_sem(path, lazy=True)
    assert isinstance(lazy.pixels, da.Array)
    assert eager.data_bar is not None
    assert lazy.data_bar == eager.data_bar


def test_data_bar_of_a_stack_needs_one_slice(tmp_path: Path, chunks_read: list[tuple[int, int]]) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        for plane in values("uint8", 30, 64, 300):
            tif.write(plane, metadata=None, contiguous=False, compression="zlib")
    read_sem(tmp_path / "a.tif", lazy=True)
    assert 0 < len(chunks_read) * 5 <= 64


@pytest.mark.parametrize("storage", ["contiguous", "zlib strips", "tiles", "zlib tiles"])
def test_truncated_file_is_refused_before_anything_is_shown(tmp_path: Path, storage: str) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, values("uint8"), metadata=None, **STORAGE[storage])
    whole = path.read_bytes()
    for share in (0.1, 0.5, 0.95):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(ReadError, match=r"a\.tif"):
            read_sem(path, lazy=True)


def test_damaged_block_names_the_file_when_it_is_computed(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, values("uint8"), metadata=None, **STORAGE["zlib tiles"])
    with tifffile.TiffFile(path) as tif:
        at = tif.pages.first.dataoffsets[0]
    data = bytearray(path.read_bytes())
    data[at : at + 40] = b"\xff" * 40
    path.write_bytes(data)
    image = read_sem(path, lazy=True)
    np.asarray(image.pixels[-10:])
    with pytest.raises(ReadError, match=r"a\.tif.*rows 0"):
        np.asarray(image.pixels[:10])


@pytest.mark.parametrize("storage", ["contiguous", "zlib tiles"])
def test_file_is_free_after_opening(tmp_path: Path, storage: str) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, values("uint8"), metadata=None, **STORAGE[storage])
    image = read_sem(path, lazy=True)
    np.asarray(image.pixels)
    if Path("/proc/self/fd").is_dir():
        assert str(path) not in {os.path.realpath(each) for each in Path("/proc/self/fd").iterdir()}
        assert str(path) not in Path("/proc/self/maps").read_text()
    path.unlink()
    with pytest.raises(ReadError, match=r"a\.tif"):
        np.asarray(image.pixels)


def test_changed_file_is_not_mixed_with_the_old(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, values("uint8"), metadata=None)
    image = read_sem(path, lazy=True)
    tifffile.imwrite(path, values("uint8", HEIGHT + 1, WIDTH), metadata=None)
    with pytest.raises(ReadError, match="has changed"):
        np.asarray(image.pixels)


def test_many_threads(tmp_path: Path) -> None:
    pixels = values("uint16", 400, 300)
    tifffile.imwrite(tmp_path / "a.tif", pixels, metadata=None, **STORAGE["zlib tiles"])
    lazy = read_sem(tmp_path / "a.tif", lazy=True).pixels
    np.testing.assert_array_equal(lazy.compute(scheduler="threads", num_workers=8), pixels)
