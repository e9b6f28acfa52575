"""With scribbles the whole image is looked at, as in a prediction, although only a part is annotated."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import pixel_model
from napari_micro_ktnet.model.spec import Normalization
from napari_micro_ktnet.predict.intensity import find_stretch
from napari_micro_ktnet.training.config import TrainingConfig
from napari_micro_ktnet.training.dataset import ImagePair
from napari_micro_ktnet.training.losses import IGNORE
from napari_micro_ktnet.training.split import split_pairs
from napari_micro_ktnet.training.trainer import make_fabric
from napari_micro_ktnet.training.validation import validate


def scribbled(rows: int | None) -> ImagePair:
    """A ramp from 0 to 236 of which two strokes are annotated, both bright."""
    grey = np.tile((np.arange(240)).astype(np.uint8), (200, 1))
    mask = np.full(grey.shape, IGNORE, np.uint8)
    mask[20:24, 150:180] = 0
    mask[120:124, 180:230] = 1
    return ImagePair("ramp", grey, mask, rows=rows)


@pytest.mark.parametrize(("rows", "expected"), [(None, 200), (180, 180)])
def test_grey_values_are_stretched_as_in_a_prediction(rows, expected) -> None:
    pair = scribbled(rows)
    assert pair.sparse
    np.testing.assert_array_equal(
        pair.analysed, (np.arange(200) < expected)[:, None] & np.ones((1, 240), bool)
    )
    whole = find_stretch(pair.pixels[:expected], Normalization())
    np.testing.assert_array_equal(pair.stretched(Normalization()), whole(pair.pixels).astype(np.float16))


def test_full_annotation_counts_as_it_is() -> None:
    mask = np.zeros((50, 60), np.uint8)
    mask[:, 40:] = IGNORE
    pair = ImagePair("x", np.zeros((50, 60), np.uint8), mask)
    np.testing.assert_array_equal(pair.analysed, mask != IGNORE)


def test_preview_shows_more_than_the_scribbles() -> None:
    fabric = make_fabric(TrainingConfig(device="cpu", precision="float32"))
    pair = scribbled(180)
    found = validate(fabric, pixel_model(), [pair], TrainingConfig(device="cpu", precision="float32"))
    assert found.preview is not None
    assert found.preview[:180, 130:].all()
    assert not found.preview[:, :110].any()
    assert not found.preview[180:].any()
    (scores,) = found.pooled
    # Both strokes are bright: 4 x 50 pixels are right, 4 x 30 wrong, and nothing else counts.
    assert scores.iou == pytest.approx(200 / 320)


def test_data_bar_stays_where_it_is_when_an_image_is_cut() -> None:
    pair = scribbled(180)
    pair.mask[30:34, 100:200] = 1
    pair.mask[90:94, 100:200] = 1
    split = split_pairs([pair])
    for part in (*split.training, *split.validation):
        assert part.rows is not None
        rows, columns = part.mask.shape
        if rows == 200:
            assert part.rows == 180
        else:
            first = int(part.name.split("(rows ")[1].split(" ")[0])
            assert part.rows == min(max(180 - first, 0), rows)
        assert part.analysed.sum() == part.rows * columns or not part.sparse
