"""Synthetic fields, whose truth is exact, measured from their true labels and masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from skimage.measure import label, regionprops_table

from napari_micro_ktnet.measurement.measuring import measure
from napari_micro_ktnet.synthetic import SyntheticSEM, masterbatch_image

SHAPE, FIELDS = (384, 512), 3
# Particles larger than most agglomerates, none next to another: every agglomerate is in one piece.
WHOLE = {
    "irregularity": 0.0,
    "compactness": 1.0,
    "clustering": 0.0,
    "area_fraction": 0.05,
    "primary_px": 30.0,
    "ecd_median_px": 20.0,
    "ecd_sigma": 0.4,
}


def lot(**knobs: float) -> list[SyntheticSEM]:
    return [masterbatch_image(SHAPE, seed, **knobs) for seed in range(FIELDS)]


def pieces(scene: SyntheticSEM) -> list[int]:
    """Areas of the pieces of every agglomerate, counted one agglomerate at a time."""
    areas: list[int] = []
    for number in range(1, int(scene.labels.max()) + 1):
        found = label(scene.labels == number, connectivity=2)
        areas += regionprops_table(found, properties=("area",))["area"].astype(int).tolist()
    return areas


def check(labels: Sequence[np.ndarray], areas: Sequence[int], pixel_size: float) -> None:
    ecd = np.sqrt(4 * np.array(areas) / np.pi) * pixel_size / 1e3
    found = measure(list(labels), pixel_size).pooled
    assert found.count == pytest.approx(len(areas), rel=0.01)
    assert found.area_fraction == pytest.approx(sum(areas) / (FIELDS * SHAPE[0] * SHAPE[1]), rel=0.01)
    assert found.ecd_um.number.d50 == pytest.approx(np.median(ecd), rel=0.01)
    # Half of the area lies in agglomerates up to this one, which D50 by area interpolates around.
    ordered = np.sort(ecd)
    half = int(np.searchsorted(np.cumsum(ordered**2), (ecd**2).sum() / 2))
    assert ordered[half - 1] <= found.ecd_um.area.d50 <= ordered[half + 1]
    assert found.largest.ecd_um == pytest.approx(ecd.max())


def test_whole_agglomerates_from_labels_and_from_the_mask() -> None:
    scenes = lot(**WHOLE)
    areas = [int(a) for s in scenes for a in np.bincount(s.labels.ravel())[1:]]
    assert len(areas) > 40
    check([s.labels for s in scenes], areas, scenes[0].pixel_size[0])
    check([s.mask for s in scenes], areas, scenes[0].pixel_size[0])


def test_typical_fields_with_touching_and_broken_agglomerates() -> None:
    scenes = lot()
    areas = [area for s in scenes for area in pieces(s)]
    assert len(areas) > int(sum(s.labels.max() for s in scenes))
    check([s.labels for s in scenes], areas, scenes[0].pixel_size[0])
