from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers import blobs
from napari_micro_ktnet.errors import DataError
from napari_micro_ktnet.training.config import DataConfig
from napari_micro_ktnet.training.folders import pair_files, read_folder
from napari_micro_ktnet.training.losses import IGNORE
from napari_micro_ktnet.training.sources import load_data


def fill(folder: Path, names: dict[str, np.ndarray]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, pixels in names.items():
        Image.fromarray(pixels).save(folder / name)
    return folder


GREY, MASK = blobs()


@pytest.mark.parametrize("mask_name", ["a.png", "a_mask.png", "a_Masks.tif", "a_labels.tif", "a_label.bmp"])
def test_pairs_by_stem(tmp_path: Path, mask_name: str) -> None:
    images = fill(tmp_path / "i", {"a.png": GREY})
    masks = fill(tmp_path / "m", {mask_name: MASK})
    assert [(i.name, m.name) for i, m in pair_files(images, masks)] == [("a.png", mask_name)]


@pytest.mark.parametrize("value", [1, 7, 255])
def test_two_valued_masks(tmp_path: Path, value: int) -> None:
    images = fill(tmp_path / "i", {"a.png": GREY, "b.png": GREY})
    masks = fill(tmp_path / "m", {"a.png": MASK * np.uint8(value), "b.png": MASK * 0})
    folder = read_folder(images, masks)
    assert [c.name for c in folder.classes] == ["agglomerate"]
    assert np.array_equal(folder.pairs[0].mask, MASK)
    assert not folder.pairs[1].mask.any()


def test_class_numbers_and_colours(tmp_path: Path) -> None:
    numbers = MASK.copy()
    numbers[:10] = 2
    images = fill(tmp_path / "i", {"a.png": GREY})
    folder = read_folder(images, fill(tmp_path / "m", {"a.png": numbers}))
    assert len(folder.classes) == 2
    assert np.array_equal(folder.pairs[0].mask, numbers)
    table = np.array([[9, 9, 9], [0, 0, 255], [255, 0, 0]], np.uint8)
    colored = fill(tmp_path / "c", {"a.png": table[numbers]})
    named = read_folder(images, colored, {"secondary": (0, 0, 255), "tertiary": (255, 0, 0)})
    assert [c.name for c in named.classes] == ["secondary", "tertiary"]
    assert np.array_equal(named.pairs[0].mask, numbers)
    with pytest.raises(DataError, match="--mask-colors"):
        read_folder(images, colored)


def test_the_data_bar_is_not_annotated(tmp_path: Path) -> None:
    from napari_micro_ktnet.synthetic import masterbatch_image

    scene = masterbatch_image((300, 400), seed=3, data_bar=True)
    images = fill(tmp_path / "i", {"a.png": scene.pixels})
    masks = fill(tmp_path / "m", {"a.png": scene.mask.astype(np.uint8)})
    (pair,) = read_folder(images, masks).pairs
    assert (pair.mask[-scene.data_bar_rows + 2 :] == IGNORE).all()
    assert not (pair.mask[: -scene.data_bar_rows - 2] == IGNORE).any()


@pytest.mark.parametrize(
    ("images", "masks", "message"),
    [
        ({"a.png": GREY, "b.png": GREY}, {"a.png": MASK, "c.png": MASK}, "b.png.*without an image: c.png"),
        ({}, {}, "no image in"),
        ({"a.png": GREY}, {"a.png": MASK[:-1]}, r"\(96, 128\).*\(95, 128\)"),
        ({"a.png": GREY}, {"a.png": GREY}, "holds .* values"),
        ({"a.png": GREY, "a.tif": GREY}, {"a.png": MASK}, "same stem"),
    ],
    ids=["unpaired", "empty", "shapes", "grey mask", "twice"],
)
def test_bad_folders(
    tmp_path: Path, images: dict[str, np.ndarray], masks: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_folder(fill(tmp_path / "i", images), fill(tmp_path / "m", masks))


SCRIBBLES = np.zeros((96, 128), np.uint8)
SCRIBBLES[3, 10:90] = 1
SCRIBBLES[50, 10:90] = 2


def test_scribbles(tmp_path: Path) -> None:
    images = fill(tmp_path / "i", {"a.png": GREY})
    masks = fill(tmp_path / "m", {"a.png": SCRIBBLES})
    folder = read_folder(images, masks, annotation="scribbles")
    (pair,) = folder.pairs
    assert [c.name for c in folder.classes] == ["agglomerate"]
    assert (pair.mask[3, 10:90] == 0).all()
    assert (pair.mask[50, 10:90] == 1).all()
    assert np.count_nonzero(pair.mask != IGNORE) == 160


def test_scribbles_in_colour(tmp_path: Path) -> None:
    rgb = np.zeros((96, 128, 3), np.uint8)
    rgb[3, :50], rgb[50, :50] = (0, 0, 255), (255, 0, 0)
    images, masks = fill(tmp_path / "i", {"a.png": GREY}), fill(tmp_path / "m", {"a.png": rgb})
    colors = {"oxide": (255, 0, 0), "matrix": (0, 0, 255)}
    folder = read_folder(images, masks, colors, "scribbles")
    assert [c.name for c in folder.classes] == ["oxide"]
    assert (folder.pairs[0].mask[3, :50] == 0).all()
    assert (folder.pairs[0].mask[50, :50] == 1).all()
    with pytest.raises(DataError, match="must be named 'matrix'"):
        read_folder(images, masks, {"oxide": (255, 0, 0)}, "scribbles")


@pytest.mark.parametrize("values", [(0, 1), (0, 2), (0,)])
def test_full_masks_taken_for_scribbles(tmp_path: Path, values: tuple[int, ...]) -> None:
    mask = np.resize(np.array(values, np.uint8), (96, 128))
    images, masks = fill(tmp_path / "i", {"a.png": GREY}), fill(tmp_path / "m", {"a.png": mask})
    with pytest.raises(DataError, match="--annotation full"):
        read_folder(images, masks, annotation="scribbles")


def test_class_names(tmp_path: Path) -> None:
    images = fill(tmp_path / "i", {"a.png": GREY, "b.png": GREY})
    # Together these hold two classes, though each mask has two values only.
    masks = fill(tmp_path / "m", {"a.png": MASK, "b.png": MASK * np.uint8(2)})
    folder = read_folder(images, masks, class_names=["oxide", "pore"])
    assert [c.name for c in folder.classes] == ["oxide", "pore"]
    assert folder.pairs[1].mask.max() == 2
    with pytest.raises(DataError, match="hold 2 classes"):
        read_folder(images, masks, class_names=["oxide"])


def test_validation_folder_means_the_same_classes(tmp_path: Path) -> None:
    three = MASK.copy()
    three[:10] = 2
    fill(tmp_path / "i", {"a.png": GREY})
    fill(tmp_path / "m", {"a.png": three})
    fill(tmp_path / "vi", {"a.png": GREY[::-1]})
    fill(tmp_path / "vm", {"a.png": MASK * np.uint8(2)})
    folders = {n: tmp_path / n for n in ("i", "m", "vi", "vm")}
    config = DataConfig(
        images=folders["i"], masks=folders["m"], val_images=folders["vi"], val_masks=folders["vm"]
    )
    data = load_data(config)
    assert set(np.unique(data.split.validation[0].mask)) <= {0, 2, IGNORE}
    with pytest.raises(DataError, match="hold 2 classes"):
        load_data(config.model_copy(update={"masks": folders["vm"], "val_masks": folders["m"]}))


@pytest.mark.parametrize("held", [False, True])
def test_an_image_under_two_names_is_refused(tmp_path: Path, held: bool) -> None:
    folders = [tmp_path / n for n in ("images", "masks", "val_images", "val_masks")]
    for folder, pixels in zip(folders, (GREY, MASK, GREY, MASK), strict=True):
        fill(folder, {"b.png": pixels} if held else {"a.png": pixels, "b.png": pixels})
    images, masks, val_images, val_masks = folders
    config = DataConfig(images=images, masks=masks)
    if held:
        config = DataConfig(images=images, masks=masks, val_images=val_images, val_masks=val_masks)
    with pytest.raises(DataError, match="are the same image"):
        load_data(config)


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be looked into"):
        read_folder(tmp_path / "nothing", tmp_path)


@pytest.mark.parametrize(
    ("images", "masks", "colors", "count"),
    [
        ("agglomerates/images", "agglomerates/masks", None, 8),
        ("dt_segnet/images", "dt_segnet/masks", {"particle": (0, 128, 0)}, 15),
        ("nasa/EBC2/train", "nasa/EBC2/train_annot", None, 4),
        ("nasa/Super1/val", "nasa/Super1/val_annot", {"s": (0, 0, 255), "t": (255, 0, 0)}, 4),
    ],
)
def test_real_folders(
    shared_data: Path, images: str, masks: str, colors: dict[str, tuple[int, int, int]] | None, count: int
) -> None:
    folder = read_folder(shared_data / images, shared_data / masks, colors)
    assert len(folder.pairs) == count
    top = max(int(p.mask[p.mask != IGNORE].max()) for p in folder.pairs)
    assert top == len(folder.classes)
