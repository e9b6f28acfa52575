from __future__ import annotations

import io
import struct
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from napari_micro_ktnet.sem import find_data_bar, read_sem
from napari_micro_ktnet.sem.databar import may_be_bar
from napari_micro_ktnet.synthetic import masterbatch_image

if TYPE_CHECKING:
    from pathlib import Path

    from napari_micro_ktnet.sem import SEMImage

WORDS = ("EHT = 10.00 kV", "WD = 8.4 mm", "Mag = 5.00 K X", "Signal A = SE2", "3 Mar 2021", "10.0 um")


def scene(height: int, width: int, matrix: float, noise: float, seed: int = 0) -> np.ndarray:
    """Bright round particles on an even support."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    particle = np.zeros((height, width), bool)
    for _ in range(int(0.0004 * height * width)):
        y, x, r = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(3, 18)
        part = np.s_[max(0, int(y - r)) : int(y + r) + 1, max(0, int(x - r)) : int(x + r) + 1]
        particle[part] |= (rows[part] - y) ** 2 + (columns[part] - x) ** 2 < r * r
    grain = ndimage.gaussian_filter(rng.normal(size=(height, width)), 2) * 120
    image = ndimage.gaussian_filter(np.where(particle, 190 + grain, matrix), 1.2)
    image += rng.normal(size=image.shape) * noise * (0.5 + image / 255)
    return np.clip(image.round(), 0, 255).astype(np.uint8)


def bar(height: int, width: int, ground: int, ink: int, line: int) -> np.ndarray:
    image = Image.new("L", (width, height), ground)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(max(8, min(int(height * 0.35), width // 60)))
    for i, word in enumerate(WORDS):
        x = width * (0.02 + 0.96 * i / len(WORDS))
        draw.text((x, height * 0.14), word, fill=ink, font=font)
        if height > 40:
            draw.text((x, height * 0.56), word[::-1], fill=ink, font=font)
    pixels = np.array(image)
    pixels[:line] = ink
    return pixels


def jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.array(Image.open(buffer))


@pytest.mark.parametrize("share", [0.04, 0.07, 0.12])
@pytest.mark.parametrize(("ground", "ink"), [(0, 255), (70, 255), (255, 0)])
@pytest.mark.parametrize("line", [0, 2])
@pytest.mark.parametrize(("matrix", "noise"), [(4, 2), (12, 9), (110, 5)])
@pytest.mark.parametrize("quality", [None, 90])
def test_drawn_bar(share, ground, ink, line, matrix, noise, quality) -> None:
    height, width = 768, 1024
    rows = int(share * height)
    pixels = np.vstack([scene(height - rows, width, matrix, noise), bar(rows, width, ground, ink, line)])
    if quality:
        pixels = jpeg(pixels, quality)
    found = find_data_bar(pixels)
    assert found is not None
    assert abs(height - found.top - rows) <= 2
    assert found.source == "pixels"


@pytest.mark.parametrize("dtype", ["uint16", "int32", "float32"])
def test_other_types(dtype: str) -> None:
    pixels = np.vstack([scene(700, 1024, 12, 5), bar(68, 1024, 0, 255, 0)]).astype(dtype)
    found = find_data_bar(pixels * pixels.dtype.type(100))
    assert found is not None
    assert abs(found.top - 700) <= 2


def test_floating_bar() -> None:
    image = scene(768, 1024, 60, 6)
    image[700:764] = bar(64, 1024, 0, 255, 2)
    found = find_data_bar(image)
    assert found is not None
    assert (found.top, found.bottom) == (700, 764)


def _overlay(image: np.ndarray) -> np.ndarray:
    picture = Image.fromarray(image)
    draw = ImageDraw.Draw(picture)
    for i, word in enumerate(WORDS):
        draw.text((20 + 165 * i, 730), word, fill=255, font=ImageFont.load_default(20))
    return np.array(picture)


def _half_black() -> np.ndarray:
    image = scene(768, 1024, 90, 6)
    image[384:] = 0
    return image


def _below(rows: float, level: float, noise: float, tilt: float = 0.0) -> np.ndarray:
    image = scene(768, 1024, 90, 6)
    grey = np.random.default_rng(1).normal(level, noise, image.shape).clip(0, 255).astype(np.uint8)
    edge = 768 - rows + tilt * (np.arange(1024) - 512)
    return np.where(np.arange(768)[:, None] >= edge, grey, image)


def _label() -> np.ndarray:
    image = scene(768, 1024, 90, 6)
    image[720:, 600:] = bar(48, 1024, 0, 255, 0)[:, :424]
    return image


def _lines() -> np.ndarray:
    image = scene(768, 1024, 90, 6)
    image[[660, 661, 700, 740]] = 255
    return image


NO_BAR = {
    "noise": np.random.default_rng(0).integers(0, 256, (768, 1024), dtype=np.uint8),
    "blank": np.zeros((768, 1024), np.uint8),
    "white": np.full((768, 1024), 255, np.uint8),
    "gradient": np.tile(np.linspace(0, 255, 768)[:, None], (1, 1024)).astype(np.uint8),
    "steps": np.tile((np.arange(768) // 60 * 20)[:, None], (1, 1024)).astype(np.uint8),
    "half black": _half_black(),
    "text over the image": _overlay(scene(768, 1024, 60, 6)),
    "dark image": scene(768, 1024, 0, 2),
    "mask": (scene(768, 1024, 0, 0) > 90).astype(np.uint8) * 255,
    "tiny": np.zeros((20, 20), np.uint8),
    "not a number": np.full((768, 1024), np.nan, np.float32),
    "float noise": np.random.default_rng(0).normal(size=(768, 1024)).astype(np.float32),
    "bool": scene(768, 1024, 0, 0) > 90,
    "noisy dark border": _below(90.0, 8, 3.0),
    "noisy bright border": _below(90.0, 230, 3.0),
    "flat border with a tilted edge": _below(80.0, 0, 0.0, tilt=0.06),
    "text over a flat border with a tilted edge": _overlay(_below(80.0, 0, 0.0, tilt=0.06)),
    "padding": _below(50.0, 0, 0.0),
    "label in a corner": _label(),
    "lines": _lines(),
}


@pytest.mark.parametrize("name", NO_BAR)
def test_no_bar(name: str) -> None:
    assert find_data_bar(NO_BAR[name]) is None


QUALITIES = (30, 45, 60, 75, 85, 95)
HARD = [(i, quality) for i, quality in enumerate(QUALITIES * 4)]


def _hard(seed: int, quality: int) -> tuple[np.ndarray, int]:
    """A bar of any style over any scene, and its rows; every third image has none."""
    rng = np.random.default_rng([2024, seed])
    height, width = (int(n) for n in rng.choice([(480, 640), (683, 1024), (960, 1280)]))
    image = scene(height, width, rng.uniform(10, 170), rng.uniform(2, 12), seed)
    if seed % 3 == 0:
        return jpeg(_overlay(image) if seed % 2 else image, quality), 0
    rows = int(height * rng.uniform(0.05, 0.12))
    ground = int(rng.choice([0, 255, rng.integers(20, 100)]))
    drawn = bar(rows, width, ground, 0 if ground > 128 else 255, int(rng.integers(3)))
    return jpeg(np.vstack([image, drawn]), quality), rows


def test_after_jpeg() -> None:
    exact = 0
    for seed, quality in HARD:
        pixels, rows = _hard(seed, quality)
        found = find_data_bar(pixels)
        got = 0 if found is None else len(pixels) - found.top
        assert got <= rows + 8, (seed, quality)
        exact += abs(got - rows) <= 2
    assert exact >= 0.9 * len(HARD)


def _tescan(tagged_tiff, tmp_path: Path, pixels: np.ndarray, rows: int) -> SEMImage:
    text = f"Device=MIRA3\r\nImageStripSize={rows}\r\nPixelSizeX=2e-6\r\n".encode()
    return read_sem(tagged_tiff(pixels, {50431: struct.pack("<IH", len(text) + 2, 2) + text}))


def _jeol(tagged_tiff, tmp_path: Path, pixels: np.ndarray, rows: int) -> SEMImage:
    height, width = pixels.shape
    (tmp_path / "image.txt").write_text(
        f"$CM_FORMAT JEOL-SEM\n$CM_IMAGE_SIZE {width} {height - rows}\n$CM_MAG 1000\n"
    )
    return read_sem(tagged_tiff(pixels, {}))


def _fei(tagged_tiff, tmp_path: Path, pixels: np.ndarray, rows: int) -> SEMImage:
    height, width = pixels.shape
    scan = f"[Image]\r\nResolutionX={width}\r\nResolutionY={height - rows}\r\n"
    text = scan + "[PrivateFei]\r\nDatabarHeight=0\r\n"
    return read_sem(tagged_tiff(pixels, {34682: text.encode()}))


SCANNED = scene(704, 1024, 60, 6)
WITH_BAR = np.vstack([SCANNED, bar(64, 1024, 0, 255, 0)])
CHECKED = {
    "true": (WITH_BAR, 64, 64, "metadata"),
    "0, but a bar is there": (WITH_BAR, 0, 64, "pixels"),
    "0, and none": (SCANNED, 0, 0, None),
    "cut off": (SCANNED, 64, 0, None),
    "of another height": (WITH_BAR, 160, 64, "pixels"),
    "0, a dark border": (NO_BAR["noisy dark border"], 0, 0, None),
    "blank": (np.zeros((768, 1024), np.uint8), 64, 64, "metadata"),
    "16 bits": (WITH_BAR.astype(np.uint16) * 257, 0, 64, "pixels"),
}


@pytest.mark.parametrize("vendor", [_tescan, _jeol, _fei])
@pytest.mark.parametrize("name", CHECKED)
def test_metadata_against_pixels(tagged_tiff, tmp_path: Path, vendor, name: str) -> None:
    pixels, claimed, rows, source = CHECKED[name]
    image = vendor(tagged_tiff, tmp_path, pixels, claimed)
    assert image.metadata.vendor is not None
    assert image.data_bar_rows == rows
    assert (image.data_bar and image.data_bar.source) == source


def test_fast() -> None:
    image = scene(1024, 1024, 60, 6)
    find_data_bar(image)
    seconds = []
    for _ in range(5):
        start = time.process_time()
        find_data_bar(image)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.015


REAL = [
    ("zeiss/odemis_zeiss_example_sem.tif", 60),
    ("zeiss/ks00x_merlin_nobar.tif", 0),
    ("zeiss/nist_ti64_rgb_grey.tif", 0),
    ("fei/skan_teneo_inf1.tif", 70),
    ("fei/skan_teneo_retic.tif", 70),
    ("fei/nexuslims_quanta_feg_lfd.tif", 59),
    ("fei/nexuslims_scios2_3k_multigis.tif", 140),
    ("fei/fibsem_heliosG4_ion_xml.tif", 0),
    ("tescan/odemis_mira3_16bit.tif", 120),
    ("jeol/odemis_jeol_4700F_nobar.tif", 0),
    ("hitachi/rickgummy_hitachi_nosidecar.tif", 0),
    ("openfibsem/odemis_fibsemos_json.tif", 0),
    ("control/nasa_ebc1_rgb_grey_noscale.tif", 0),
]


def test_of_a_stack_the_first_slice_tells() -> None:
    scene = masterbatch_image((300, 400), seed=3, data_bar=True)
    stack = np.stack([scene.pixels, np.zeros_like(scene.pixels)])
    assert find_data_bar(stack) == find_data_bar(scene.pixels) is not None
    assert may_be_bar(stack, scene.data_bar_rows)
    assert not may_be_bar(stack[:, : -scene.data_bar_rows], scene.data_bar_rows)


@pytest.mark.parametrize(("name", "rows"), REAL)
def test_real_bar(shared_data: Path, name: str, rows: int) -> None:
    image = read_sem(shared_data / "sem_files" / name)
    found = find_data_bar(image.pixels)
    assert abs((0 if found is None else image.height - found.top) - rows) <= 2
    assert (found is None) == (rows == 0)


@pytest.mark.parametrize("folder", ["agglomerates", "dt_segnet", "nasa"])
def test_real_images_without_bar(shared_data: Path, folder: str) -> None:
    paths = [p for p in (shared_data / folder).rglob("*") if p.suffix in (".png", ".jpg", ".tif")]
    assert paths
    assert [path.name for path in paths if read_sem(path).data_bar is not None] == []
