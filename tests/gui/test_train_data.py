"""Annotated layers: what is suggested, what is refused and why, what is written; and the history of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from napari.layers import Image, Labels

from napari_micro_ktnet.gui import layers as convert
from napari_micro_ktnet.gui.train.data import (
    LayerPair,
    check_pair,
    check_together,
    encode,
    label_counts,
    read_classes,
    suggest_annotation,
    suggest_image,
    take_pixels,
    write_pairs,
)
from napari_micro_ktnet.gui.train.history import History, describe_seconds
from napari_micro_ktnet.model.spec import LabelClass
from napari_micro_ktnet.sem import read_sem

SHAPE = (200, 300)


def labels_of(data: Any, name: str = "x", **keywords: Any) -> Labels:
    return Labels(np.asarray(data), name=name, **keywords)


def sparse(*values: int) -> np.ndarray:
    """A few pixels of each value, on 0."""
    data = np.zeros(SHAPE, np.uint8)
    for number, value in enumerate(values):
        data[10 * number : 10 * number + 5, :20] = value
        data[-10 * number - 6 : -10 * number - 1, -20:] = value
    return data


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (sparse(1), "full"),
        (sparse(1, 2), "scribbles"),
        (sparse(2, 3), "full"),
        (np.ones(SHAPE, np.uint8), "full"),
        (np.where(np.indices(SHAPE)[1] < 150, 1, 2), "full"),
        (np.zeros(SHAPE, np.uint8), "full"),
    ],
)
def test_annotation_kind_is_suggested(data, kind) -> None:
    layer = labels_of(data)
    assert suggest_annotation(layer, label_counts(layer)) == kind


@pytest.mark.parametrize("name", ["b.tif", "b.JPG", "b", "b [5 nm]"])
def test_image_with_a_file_name_is_suggested(name: str) -> None:
    images = [Image(np.zeros(SHAPE), name="a.tif"), Image(np.zeros(SHAPE), name=name)]
    assert suggest_image(labels_of(np.zeros(SHAPE, int), "b_mask.tif"), images) is images[1]


@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.int64])
def test_labels_are_counted(kind) -> None:
    assert label_counts(labels_of(np.array([[0, 0, 3], [5, 3, 0]], kind))) == {0: 3, 3: 2, 5: 1}


def test_image_of_the_same_grid_and_name_is_suggested() -> None:
    images = [Image(np.zeros(SHAPE), name=n) for n in ("a", "b")] + [Image(np.zeros((5, 6)), name="c_mask")]
    assert suggest_image(labels_of(np.zeros(SHAPE, int), "b_mask"), images) is images[1]
    assert suggest_image(labels_of(np.zeros(SHAPE, int), "other"), images) is None
    assert suggest_image(labels_of(np.zeros(SHAPE, int), "other"), images[1:]) is images[1]
    assert suggest_image(labels_of(np.zeros((7, 7), int), "a"), images) is None


@pytest.mark.parametrize(
    ("image", "labels", "part"),
    [
        ({}, {"data": sparse(1)[:-1]}, "have the shape (199, 300)"),
        ({"scale": (0.02, 0.02), "units": ("um", "um")}, {}, "another scale"),
        ({"scale": (20, 20), "units": ("nm", "nm")}, {"scale": (0.02, 0.02), "units": ("um", "um")}, ""),
        (
            {"scale": (20, 20), "units": ("nm", "nm")},
            {"scale": (30, 30), "units": ("nm", "nm")},
            "30 nm a pixel",
        ),
        ({"scale": (2, 2)}, {}, "another scale"),
        ({}, {"translate": (3, 0)}, "shifted"),
        ({}, {"data": np.zeros(SHAPE, int)}, "no label yet"),
        ({}, {"data": np.arange(60_000).reshape(SHAPE)}, "its own number"),
        ({}, {"data": sparse(1).astype(int) - 1}, "negative"),
        ({}, {}, ""),
    ],
)
def test_pairs_that_cannot_be_used_are_explained(image, labels, part) -> None:
    pair = LayerPair(
        Image(np.zeros(SHAPE, np.uint8), name="i", **image),
        labels_of(**{"data": sparse(1), **labels}),
        "full",
    )
    problem = check_pair(pair, label_counts(pair.labels))
    assert part in problem if part else not problem


def pair(data: np.ndarray, kind: str = "full", pixels: np.ndarray | None = None) -> LayerPair:
    return LayerPair(
        Image(np.zeros(data.shape, np.uint8) if pixels is None else pixels), labels_of(data), kind
    )


half = np.zeros(SHAPE, np.uint8)
half[:30, :30] = 1
spread = np.zeros(SHAPE, np.uint8)
spread[::7] = 1


@pytest.mark.parametrize(
    ("pairs", "part"),
    [
        ([], "Annotate an image first"),
        ([pair(np.ones(SHAPE, np.uint8)), pair(np.ones(SHAPE, np.uint8))], "No matrix"),
        ([pair(sparse(2), "scribbles"), pair(sparse(2), "scribbles")], "No matrix"),
        ([pair(sparse(1), "scribbles"), pair(sparse(1), "scribbles")], "Only matrix"),
        ([pair(half)], "nothing to validate"),
        ([pair(spread)], ""),
        ([pair(half), pair(half)], ""),
        ([pair(half)] * 2, "both annotate"),
        ([pair(half), pair(sparse(2), "scribbles")], ""),
        ([pair(spread[:60, :60])], "nothing to validate"),
        ([pair(np.stack([half, half]))], ""),
        ([pair(np.stack([sparse(1, 2), 0 * half]), "scribbles")], ""),
        ([pair(np.stack([1 + half * (half > 0), 0 * half]), "scribbles")], "nothing to validate"),
    ],
)
def test_too_little_to_train_on_is_explained(pairs, part) -> None:
    problem = check_together(pairs, [label_counts(p.labels) for p in pairs])
    assert part in problem if part else not problem


def test_encoding_is_always_that_of_scribbles() -> None:
    data = np.array([[0, 1, 2], [2, 1, 0]], np.int32)
    np.testing.assert_array_equal(encode(data, "full", None), [[1, 2, 3], [3, 2, 1]])
    np.testing.assert_array_equal(encode(data, "scribbles", None), data)
    np.testing.assert_array_equal(encode(data, "full", 1), [[1, 2, 3], [0, 0, 0]])
    assert encode(data, "full", None).dtype == np.uint8


def test_slices_with_labels_become_images(tmp_path: Path) -> None:
    pixels = np.arange(3 * 40 * 50, dtype=np.uint16).reshape(3, 40, 50)
    data = np.zeros(pixels.shape, np.uint8)
    data[2, 5:9, 5:9] = 2
    image = Image(pixels, name="a/b: c", scale=(1, 0.01, 0.02), units=("pixel", "um", "um"))
    layer = LayerPair(image, labels_of(data), "scribbles")
    assert list(write_pairs([take_pixels(layer)], tmp_path)) == ["Copying a/b: c z2"]
    assert [p.name for p in (tmp_path / "masks").iterdir()] == ["000_a_b_c_z2.tif"]
    written = read_sem(tmp_path / "images" / "000_a_b_c_z2.tif")
    np.testing.assert_array_equal(written.pixels, pixels[2])
    assert written.pixel_size == pytest.approx((10.0, 20.0))
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "masks" / "000_a_b_c_z2.tif"), data[2])
    full = LayerPair(image, labels_of(data), "full")
    assert len(list(write_pairs([take_pixels(full)], tmp_path / "full"))) == 3


@pytest.mark.parametrize(
    "pixels", [np.zeros((40, 50), np.int64), np.zeros((40, 50)), np.zeros((40, 50, 3), np.uint8)]
)
def test_every_kind_of_image_can_be_written(pixels, tmp_path: Path) -> None:
    layer = LayerPair(
        Image(pixels, rgb=pixels.ndim == 3, name="i"), labels_of(np.ones((40, 50), np.uint8)), "full"
    )
    assert list(write_pairs([take_pixels(layer)], tmp_path))
    assert read_sem(tmp_path / "images" / "000_i.tif").pixels.shape[:2] == (40, 50)


def test_classes_come_from_the_layer() -> None:
    classes = [LabelClass(name="oxide", color="#102030"), LabelClass(name="pore", color="#405060")]
    made = labels_of(
        sparse(1, 2), features=convert.class_features(classes), colormap=convert.class_colours(classes)
    )
    assert read_classes(made, "full", label_counts(made)) == tuple(classes)
    plain = labels_of(sparse(1, 2, 3))
    assert [c.name for c in read_classes(plain, "full", label_counts(plain))] == [
        "agglomerate",
        "class 2",
        "class 3",
    ]
    assert len(read_classes(plain, "scribbles", label_counts(plain))) == 2


def test_history_counts_time_and_forgets_what_is_done_again() -> None:
    history = History(100, validate_every=10)
    history.add([{"event": "started", "step": 0, "steps": 100, "time": 1000.0}])
    assert history.remaining_s is None
    history.add([{"event": "step", "step": s, "loss": 1.0, "time": 1000.0 + 2 * s} for s in range(1, 26)])
    history.add(
        [{"event": "validation", "step": s, "score": s / 100, "time": 0, "best": True} for s in (10, 20)]
    )
    assert history.remaining_s == pytest.approx(150)
    assert history.epochs == (2, 10)
    assert history.epoch_share == pytest.approx(0.5)
    assert history.best == 0.2
    history.add([{"event": "started", "step": 10, "steps": 100, "time": 9000.0}])
    assert (history.step, max(history.losses), list(history.validations)) == (10, 10, [10])
    history.add([{"event": "step", "step": s, "loss": 2.0, "time": 9000.0 + s - 10} for s in range(11, 20)])
    assert history.remaining_s == pytest.approx(81), "the night between two sessions is not counted"


@pytest.mark.parametrize(("seconds", "text"), [(0.1, "1 s"), (89, "89 s"), (600, "10 min"), (9000, "2.5 h")])
def test_times_are_said_roughly(seconds, text) -> None:
    assert describe_seconds(seconds) == text
