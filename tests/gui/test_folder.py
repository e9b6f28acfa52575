"""A folder opened in napari."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels
from PIL import Image as PillowImage

from napari_micro_ktnet.errors import ReadError
from napari_micro_ktnet.gui.reader import get_reader, read_layers
from napari_micro_ktnet.sem import write_image

PLUGIN = "napari-micro-ktnet"
SIDECAR = """$SEM_DATA_VERSION 1
$CM_FORMAT JEOL-SEM
$CM_FULL_SIZE 30 20
$$SM_MICRON_BAR 50
$$SM_MICRON_MARKER 10um
"""


def noise(seed: int, shape: tuple[int, int] = (20, 30)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, shape, dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two calibrated images of different size, one with a sidecar, labels, and what is no image."""
    made = tmp_path / "fields"
    write_image(made / "field_10.tif", noise(0), (10.0, 12.0))
    write_image(made / "field_9.tif", noise(1, (40, 50)), (5.0, 5.0))
    write_image(made / "field_9_labels.tif", noise(2, (40, 50)), (5.0, 5.0))
    write_image(made / "deeper" / "field_1.tif", noise(3))
    PillowImage.fromarray(noise(4)).save(made / "field_2.png")
    (made / "field_2.txt").write_text(SIDECAR, encoding="ascii")
    (made / "notes.csv").write_text("1")
    (made / ".hidden.tif").write_bytes(b"II*\0")
    (made / "name_of_a_folder.tif").mkdir()
    return made


def test_dropped_folder_opens_every_image_as_its_own_layer(folder: Path, warned: list[str]) -> None:
    viewer = ViewerModel()
    viewer.open(folder, plugin=PLUGIN)
    assert [layer.name for layer in viewer.layers] == ["field_2", "field_9", "field_9_labels", "field_10"]
    png, nine, labels, ten = viewer.layers
    assert [type(layer) for layer in viewer.layers] == [Image, Image, Labels, Image]
    np.testing.assert_array_equal(ten.data, noise(0))
    np.testing.assert_array_equal(nine.data, noise(1, (40, 50)))
    np.testing.assert_array_equal(labels.data, noise(2, (40, 50)))
    np.testing.assert_allclose(ten.scale, (0.01, 0.012))
    np.testing.assert_allclose(labels.scale, nine.scale)
    assert labels.units == nine.units
    np.testing.assert_allclose(png.scale, (0.2, 0.2))
    assert png.metadata["sem_image"].metadata.vendor == "JEOL"
    assert warned == []


def test_images_of_one_size_are_not_stacked(tmp_path: Path) -> None:
    for i in range(3):
        write_image(tmp_path / f"{i}.tif", noise(i))
    viewer = ViewerModel()
    viewer.open(tmp_path, plugin=PLUGIN)
    assert [layer.data.shape for layer in viewer.layers] == [(20, 30)] * 3


def test_unreadable_files_of_a_folder_are_named_once(folder: Path, warned: list[str]) -> None:
    (folder / "broken.tif").write_bytes((folder / "field_9.tif").read_bytes()[:300])
    (folder / "text.jpg").write_text("hello")
    viewer = ViewerModel()
    viewer.open(folder, plugin=PLUGIN)
    assert len(viewer.layers) == 4
    (message,) = warned
    assert message.startswith("2 of 6 images of fields cannot be read:\n")
    assert "broken.tif: " in message
    assert "text.jpg: the file begins with b'hello'" in message


def test_many_unreadable_files_are_counted(folder: Path, warned: list[str]) -> None:
    for i in range(20):
        (folder / f"bad{i}.tif").write_text("hello")
    ViewerModel().open(folder, plugin=PLUGIN)
    (message,) = warned
    assert "bad4.tif" in message
    assert "bad5.tif" not in message
    assert message.endswith("and 15 more")


def test_folder_without_a_readable_image_is_an_error(tmp_path: Path, warned: list[str]) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(ReadError, match="holds no image"):
        read_layers(str(tmp_path))
    (tmp_path / "a.tif").write_text("hello")
    with pytest.raises(ReadError, match=r"1 of 1 images .*\n.*a\.tif: "):
        ViewerModel().open(tmp_path, plugin=PLUGIN)
    assert warned == []


def test_folders_that_are_left_to_other_readers(tmp_path: Path) -> None:
    (tmp_path / "image.zarr").mkdir()
    (tmp_path / "image.zarr" / "thumbnail.png").touch()
    (tmp_path / "empty").mkdir()
    for folder in ("image.zarr", "empty"):
        assert get_reader(str(tmp_path / folder)) is None
    with pytest.raises(ValueError, match="refused"):
        ViewerModel().open(tmp_path / "empty", plugin=PLUGIN)


def test_a_folder_is_claimed_without_opening_its_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(Path, "open", never)
    monkeypatch.setattr("builtins.open", never)
    assert get_reader(str(folder)) is read_layers
    assert get_reader([str(folder), str(folder / "field_9.tif")]) is read_layers


def test_only_integers_called_labels_are_labels(tmp_path: Path) -> None:
    names = ["a_labels.tif", "stack_labels.tif", "real_labels.tif", "labels.tif"]
    pixels = [noise(0), np.zeros((3, 20, 30), np.uint16), np.ones((20, 30), np.float32), noise(1)]
    for name, data in zip(names, pixels, strict=True):
        write_image(tmp_path / name, data, (3.0, 3.0))
    viewer = ViewerModel()
    for name in names:
        viewer.open(tmp_path / name, plugin=PLUGIN)
    assert [type(layer) for layer in viewer.layers] == [Labels, Labels, Image, Image]
    for layer in viewer.layers:
        np.testing.assert_allclose(layer.scale[-2:], (0.003, 0.003))
