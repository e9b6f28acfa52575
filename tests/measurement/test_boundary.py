from __future__ import annotations

import numpy as np
import pytest
import surface_distance
from monai.metrics import compute_hausdorff_distance, compute_surface_dice
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, from_numpy

from napari_micro_ktnet.measurement.boundary import (
    BoundaryCounts,
    boundary_width,
    compare_boundaries,
    distances,
    outlines,
)
from napari_micro_ktnet.measurement.object_boundaries import with_boundary_scores
from napari_micro_ktnet.measurement.objects import compare_objects, number_objects


def texture(seed: int, smooth: float = 2, shape: tuple[int, int] = (60, 75)) -> NDArray[np.bool_]:
    """Random islands, many of them cut by the edge."""
    noise = np.random.default_rng(seed).normal(size=shape)
    field = ndimage.gaussian_filter(noise, smooth)
    return np.asarray(field > 0.5 * field.std())


def square(top: int, left: int, side: int = 20) -> NDArray[np.bool_]:
    mask = np.zeros((60, 75), bool)
    mask[top : top + side, left : left + side] = True
    return mask


CHECKERS = np.indices((60, 75)).sum(axis=0) % 2 == 0
PAIRS = [
    (square(10, 10), square(10, 13)),
    (square(0, 0, 60), square(0, 0, 59)),
    (square(5, 5, 1), square(50, 70, 1)),
    (np.ones((60, 75), bool), ~square(30, 30, 1)),
    (CHECKERS, ~CHECKERS),
    (square(20, 0, 1) | square(40, 55), square(0, 74, 1)),
    *((texture(seed), texture(seed + 10)) for seed in range(3)),
    (texture(0), ndimage.binary_dilation(texture(0))),
    (texture(5, 0.1), texture(6, 0.1)),
]


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.5, 1.3)])
@pytest.mark.parametrize("tolerance", [0.0, 1.0, 2.5])
def test_distances_equal_surface_distance(
    pair: tuple[NDArray[np.bool_], NDArray[np.bool_]], spacing: tuple[float, float], tolerance: float
) -> None:
    truth, prediction = pair
    found = compare_boundaries(truth, prediction, tolerance, 2, spacing)
    expected = surface_distance.compute_surface_distances(truth, prediction, spacing)
    assert found.nsd == pytest.approx(
        surface_distance.compute_surface_dice_at_tolerance(expected, tolerance), abs=1e-6
    )
    assert found.hd95 == pytest.approx(surface_distance.compute_robust_hausdorff(expected, 95), abs=1e-6)


def one_hot(mask: NDArray[np.bool_]) -> Tensor:
    return from_numpy(np.stack([~mask, mask])[None].astype(np.float32))


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.5, 1.3)])
@pytest.mark.parametrize("tolerance", [1.0, 2.5])
def test_surface_distance_equals_monai(
    pair: tuple[NDArray[np.bool_], NDArray[np.bool_]], spacing: tuple[float, float], tolerance: float
) -> None:
    truth, prediction = pair
    found = compare_boundaries(truth, prediction, tolerance, 2, spacing)
    # MONAI counts edge pixels unless it is told to measure the outline.
    expected = compute_surface_dice(
        one_hot(prediction), one_hot(truth), [tolerance], spacing=spacing, use_subvoxels=True
    )
    assert found.nsd == pytest.approx(float(expected), abs=1e-6)


@pytest.mark.parametrize("shift", [(0, 3), (4, 0), (-2, 5)])
def test_hausdorff_distance_of_moved_objects_equals_monai(shift: tuple[int, int]) -> None:
    truth, prediction = square(15, 20, 24), square(15 + shift[0], 20 + shift[1], 24)
    # MONAI's is between edge pixels, each counting once, so that only the largest distance is the same.
    expected = compute_hausdorff_distance(one_hot(prediction), one_hot(truth))
    points = [outlines(mask)[0] for mask in (truth, prediction)]
    found = max(distances(*points).max(), distances(*points[::-1]).max())
    assert found == pytest.approx(float(expected), abs=1e-6)


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("width", [1, 3, 40])
def test_boundary_iou_equals_erosion_step_by_step(
    pair: tuple[NDArray[np.bool_], NDArray[np.bool_]], width: int
) -> None:
    bands = [m & ~ndimage.binary_erosion(m, np.ones((3, 3)), iterations=width) for m in pair]
    expected = (bands[0] & bands[1]).sum() / (bands[0] | bands[1]).sum()
    assert compare_boundaries(*pair, 1, width).boundary_iou == pytest.approx(expected, abs=1e-12)


def test_by_hand() -> None:
    truth, prediction = np.zeros((2, 40, 40), bool)
    truth[10:20, 10:20] = True
    prediction[10:20, 13:23] = True
    found = compare_boundaries(truth, prediction, 0, 1)
    # Frames of 36 pixels: they share the rows 10 and 19 from column 13 to 19.
    assert (found.intersection, found.union) == (14, 72 - 14)
    assert found.hd95 == 3
    assert compare_boundaries(truth, prediction, 3, 1).nsd == 1
    assert compare_boundaries(truth, truth, 0, 1) == BoundaryCounts(36, 36, found.length, found.length, 0.0)


def test_length_of_an_outline() -> None:
    mask = np.zeros((30, 30), bool)
    mask[5:15, 4:24] = True
    # Marching squares cut the four corners.
    assert outlines(mask)[1].sum() == pytest.approx(2 * (9 + 19) + 4 * np.sqrt(0.5))
    points, lengths, _ = outlines(mask, (2.0, 3.0))
    assert lengths.sum() == pytest.approx(2 * (9 * 2 + 19 * 3) + 4 * np.hypot(2, 3) / 2)
    assert points.min(axis=0).tolist() == [10, 12]
    assert outlines(np.zeros((3, 3), bool))[0].shape == (0, 2)


def test_one_or_both_empty() -> None:
    nothing, something = np.zeros((9, 9), bool), np.eye(9, dtype=bool)
    both = compare_boundaries(nothing, nothing, 1, 1)
    assert np.isnan([both.boundary_iou, both.nsd, both.hd95]).all()
    one = compare_boundaries(nothing, something, 1, 1)
    assert (one.boundary_iou, one.nsd) == (0, 0)
    assert np.isnan(one.hd95)


def test_width_follows_the_paper() -> None:
    assert boundary_width((960, 1280)) == 32
    assert boundary_width((10, 10)) == 1


def test_each_matched_pair_is_compared_as_if_alone() -> None:
    truth = number_objects(texture(1, 3))
    prediction = number_objects(ndimage.shift(truth > 0, (1, 0), order=0))
    table = with_boundary_scores(compare_objects(truth, prediction), truth, prediction, 0.5)
    matched = np.flatnonzero(table.in_truth & (table.matched > 0))
    assert len(matched) > 3
    for row in matched:
        masks = truth == table.label[row], prediction == table.matched[row]
        expected = compare_boundaries(*masks, 0.5, boundary_width(truth.shape))
        assert table.nsd[row] == pytest.approx(expected.nsd)
        assert table.hd95[row] == expected.hd95
        assert table.boundary_iou[row] == expected.boundary_iou
        (other,) = np.flatnonzero(~table.in_truth & (table.label == table.matched[row]))
        assert table.nsd[other] == table.nsd[row]
    assert np.isnan(table.nsd[table.matched == 0]).all()
