"""Reader, writer and sample data, as napari calls them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from napari.layers import Image, Labels
from npe2 import PluginManager, PluginManifest

from napari_micro_ktnet.errors import ReadError
from napari_micro_ktnet.gui.reader import get_reader
from napari_micro_ktnet.gui.samples import masterbatch
from napari_micro_ktnet.gui.writer import write_image_layer, write_labels_layer
from napari_micro_ktnet.sem import read_sem, write_image

PLUGIN = "napari-micro-ktnet"


def test_manifest_is_valid_and_every_command_exists() -> None:
    manifest = PluginManifest.from_distribution(PLUGIN)
    manifest.validate_imports()
    assert manifest.display_name == "Micro-KTNet"
    assert all(command.id.startswith(f"{PLUGIN}.") for command in manifest.contributions.commands)
    if hasattr(manifest.contributions, "configurations"):  # npe2 0.10
        general = manifest.contributions.configurations["general"]
        assert set(general.properties) == {"device", "cache_folder"}
    assert PluginManager.instance().get_manifest(PLUGIN).name == PLUGIN


def test_viewer_opens_a_file_with_its_pixel_size(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 50), dtype=np.uint8)
    write_image(tmp_path / "a.tif", pixels, (10.0, 12.0))
    viewer = ViewerModel()
    viewer.open(tmp_path / "a.tif", plugin=PLUGIN)
    (layer,) = viewer.layers
    assert layer.name == "a"
    np.testing.assert_array_equal(layer.data, pixels)
    np.testing.assert_allclose(layer.scale, (0.01, 0.012))
    assert layer.metadata["sem_image"].pixel_size_source == "metadata"


@pytest.mark.parametrize("name", ["x.png", "X.TIF", "x.jpeg", "x.bmp"])
def test_reader_takes_image_suffixes(name: str) -> None:
    assert get_reader(name) is not None
    assert get_reader([name, name]) is not None


@pytest.mark.parametrize("path", ["x.csv", "x", ["x.tif", "x.npy"], []])
def test_reader_leaves_the_rest(path: str | list[str]) -> None:
    assert get_reader(path) is None


def test_text_renamed_to_tif_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "notes.tif"
    path.write_text("not an image")
    with pytest.raises(ReadError, match=r"notes\.tif.*expected a TIFF"):
        ViewerModel().open(path, plugin=PLUGIN)


@pytest.mark.parametrize(
    "labels",
    [
        np.random.default_rng(1).integers(0, 2, (30, 40)).astype(np.uint8),
        np.random.default_rng(2).integers(0, 900, (30, 40)),
        np.random.default_rng(3).integers(0, 9, (3, 30, 40)).astype(np.uint16),
    ],
)
def test_saved_labels_keep_values_and_pixel_size(labels: np.ndarray, tmp_path: Path) -> None:
    viewer = ViewerModel()
    scale = (1, 0.02, 0.03)[-labels.ndim :]
    units = ("pixel", "um", "um")[-labels.ndim :]
    viewer.add_labels(labels, scale=scale, units=units)
    assert viewer.layers.save(str(tmp_path / "l.tif"), plugin=PLUGIN) == [str(tmp_path / "l.tif")]
    back = read_sem(tmp_path / "l.tif")
    np.testing.assert_array_equal(back.pixels, labels)
    assert back.pixel_size == pytest.approx((20.0, 30.0))


@pytest.mark.parametrize(
    "labels", [np.arange(2 * 2 * 3 * 4).reshape(2, 2, 3, 4), np.array([[-1, 0], [3, 2]], np.int32)]
)
def test_labels_that_have_no_format_here_are_still_saved(labels: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "l.tif"
    data, meta, _ = Labels(labels).as_layer_data_tuple()
    assert write_labels_layer(str(path), data, meta) == [str(path)]
    np.testing.assert_array_equal(tifffile.imread(path), labels)


def test_uncalibrated_and_multiscale_labels(tmp_path: Path) -> None:
    labels = np.eye(64, dtype=np.uint8)
    layer = Labels([labels, labels[::2, ::2]], multiscale=True, scale=(3, 3))
    data, meta, _ = layer.as_layer_data_tuple()
    write_labels_layer(str(tmp_path / "l.tif"), data, meta)
    back = read_sem(tmp_path / "l.tif")
    np.testing.assert_array_equal(back.pixels, labels)
    assert back.pixel_size is None


def test_sample_has_an_image_and_its_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_micro_ktnet.gui import samples
    from napari_micro_ktnet.synthetic import masterbatch_image

    monkeypatch.setattr(samples, "masterbatch_image", lambda **kw: masterbatch_image((160, 200), **kw))
    (image, image_keywords, kind), (truth, truth_keywords, truth_kind) = masterbatch()
    assert (kind, truth_kind) == ("image", "labels")
    viewer = ViewerModel()
    first = viewer.add_image(image, **image_keywords)
    second = viewer.add_labels(truth, **truth_keywords)
    np.testing.assert_allclose(first.scale, second.scale)
    assert first.units == second.units
    assert second.data.max() > 0
    bar = first.metadata["sem_image"].data_bar
    assert bar is not None
    assert not second.data[bar.top :].any()


@pytest.mark.parametrize(
    ("pixels", "rgb"),
    [
        (np.random.default_rng(1).integers(0, 255, (30, 40), dtype=np.uint8), False),
        (np.random.default_rng(2).random((30, 40)), False),
        (np.random.default_rng(3).random((3, 30, 40)).astype(np.float32), False),
        (np.random.default_rng(4).integers(0, 255, (30, 40, 3), dtype=np.uint8), True),
        (np.random.default_rng(5).integers(0, 999, (30, 40, 4), dtype=np.uint16), True),
    ],
)
def test_saved_image_keeps_pixels_and_pixel_size(
    pixels: np.ndarray, rgb: bool, tmp_path: Path, warned: list[str]
) -> None:
    viewer = ViewerModel()
    ndim = 2 if rgb else pixels.ndim
    scale, units = (1, 0.02, 0.03)[-ndim:], ("pixel", "um", "um")[-ndim:]
    viewer.add_image(pixels, rgb=rgb, scale=scale, units=units)
    path = tmp_path / "i.tif"
    assert viewer.layers.save(str(path), plugin=PLUGIN) == [str(path)]
    (ours,) = viewer.open(path, plugin=PLUGIN)
    (builtin,) = viewer.open(path, plugin="napari")
    for layer in (ours, builtin):
        assert layer.data.dtype == pixels.dtype
        np.testing.assert_array_equal(layer.data, pixels)
    np.testing.assert_allclose(ours.scale, scale)
    assert read_sem(path).pixel_size == pytest.approx((20.0, 30.0))
    assert warned == []


@pytest.mark.parametrize("dtype", ["uint8", "int64"])
def test_images_that_have_no_format_here_are_still_saved(
    dtype: str, tmp_path: Path, warned: list[str]
) -> None:
    shape = (2, 3, 4, 5) if dtype == "uint8" else (4, 5)
    pixels = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    layer = Image(pixels, scale=(20,) * len(shape), units=("nm",) * len(shape))
    data, meta, _ = layer.as_layer_data_tuple()
    path = tmp_path / "i.tif"
    assert write_image_layer(str(path), data, meta) == [str(path)]
    np.testing.assert_array_equal(tifffile.imread(path), pixels)
    (message,) = warned
    assert "without its pixel size" in message


def test_uncalibrated_and_multiscale_image(tmp_path: Path, warned: list[str]) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    layer = Image([pixels, pixels[::2, ::2]], multiscale=True, scale=(3, 3))
    data, meta, _ = layer.as_layer_data_tuple()
    write_image_layer(str(tmp_path / "i.tif"), data, meta)
    back = read_sem(tmp_path / "i.tif")
    np.testing.assert_array_equal(back.pixels, pixels)
    assert back.pixel_size is None
    assert warned == []
