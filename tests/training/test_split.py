from __future__ import annotations

import numpy as np
import pytest

from helpers import blobs
from napari_micro_ktnet.errors import DataError
from napari_micro_ktnet.training.config import AugmentConfig, preset
from napari_micro_ktnet.training.dataset import CropSampler, ImagePair
from napari_micro_ktnet.training.losses import IGNORE
from napari_micro_ktnet.training.split import split_pairs, split_warnings

STILL = AugmentConfig(horizontal_flip=0, brightness=0, contrast=0, gamma=0, blur=0, sharpen=0)


def pairs(count: int) -> list[ImagePair]:
    return [ImagePair(f"image-{i}", *blobs(seed=i)) for i in range(count)]


@pytest.mark.parametrize("seed", range(5))
def test_held_back_images_are_never_trained_on(seed: int) -> None:
    split = split_pairs(pairs(8), seed=seed)
    names = {p.name for p in split.training}, {p.name for p in split.validation}
    assert len(names[0]), len(names[1]) == (6, 2)
    assert not names[0] & names[1]


@pytest.mark.parametrize(("count", "share", "held"), [(2, 0.2, 1), (3, 0.9, 2), (10, 0.3, 3)])
def test_both_parts_hold_an_image(count: int, share: float, held: int) -> None:
    split = split_pairs(pairs(count), share)
    assert (len(split.training), len(split.validation)) == (count - held, held)


@pytest.mark.parametrize("seed", range(5))
def test_every_class_is_in_both_parts_where_that_is_possible(seed: int) -> None:
    # Class 2 is in images 3 and 7 only: exactly one of them must be held back.
    masks = [np.full((16, 16), 2 if i in (3, 7) else 1, np.uint8) for i in range(8)]
    split = split_pairs([ImagePair(str(i), np.zeros((16, 16)), m) for i, m in enumerate(masks)], seed=seed)
    assert len({p.name for p in split.validation} & {"3", "7"}) == 1


def test_one_image_is_cut_with_a_gap() -> None:
    pixels = np.repeat(np.arange(400, dtype=np.uint16)[:, None], 100, axis=1)
    split = split_pairs([ImagePair("one", pixels, np.ones(pixels.shape, np.uint8))])
    (training,), (validation,) = split.training, split.validation
    values = sorted([set(np.unique(p.pixels).tolist()) for p in (training, validation)], key=min)
    assert min(values[1]) - max(values[0]) > 32
    assert "Only one image" in split.warnings[0]


def test_one_image_is_cut_where_both_parts_hold_labels() -> None:
    mask = np.zeros((400, 400), np.uint8)
    mask[:100, 20:40] = mask[:100, 350:380] = 1  # only a vertical cut leaves labels on both sides
    (training,), (validation,) = (
        getattr(split_pairs([ImagePair("one", np.zeros((400, 400)), mask)]), part)
        for part in ("training", "validation")
    )
    assert training.labelled
    assert validation.labelled
    assert "columns" in validation.name


@pytest.mark.parametrize(
    ("given", "message"),
    [([ImagePair("one", *blobs((60, 60)))], "only one image"), ([], "no annotated image")],
)
def test_nothing_to_split(given: list[ImagePair], message: str) -> None:
    with pytest.raises(DataError, match=message):
        split_pairs(given)


def test_too_little_to_validate_is_said() -> None:
    few = np.zeros((64, 64), np.uint8)
    few[:4, :5] = 1
    held = [ImagePair(n, np.zeros((64, 64)), few) for n in "ab"]
    assert split_warnings(pairs(2), held) == (
        "The validation images hold 40 pixels of class 1: too few for a reliable score. Annotate more.",
    )
    assert split_warnings(pairs(2), pairs(2)) == ()


def test_crops_of_rare_classes_and_of_scribbles() -> None:
    mask = np.zeros((256, 256), np.uint8)
    mask[:128] = 1
    mask[200:204, 200:204] = 2  # 16 pixels against 32768 of class 1
    config = preset("quick", crop=32, batch_size=200, foreground=1.0, augment=STILL)
    from napari_micro_ktnet.model.spec import Normalization

    common = CropSampler([ImagePair("x", mask, mask)], Normalization(), config)
    with_rare = (common.batch(1)[1] == 2).flatten(1).any(1).float().mean()
    assert 0.35 < with_rare < 0.65
    scribbles = np.full((512, 512), IGNORE, np.uint8)
    scribbles[100, 100:140], scribbles[300, 300:340] = 0, 1
    sparse = ImagePair("s", scribbles, scribbles)
    assert sparse.sparse
    batch = CropSampler([sparse], Normalization(), config.model_copy(update={"foreground": 0.0})).batch(1)[1]
    annotated = (batch != IGNORE).flatten(1).any(1).float().mean()
    assert annotated > 0.9
    assert 0.3 < (batch == 0).flatten(1).any(1).float().mean() < 0.7
