"""Synthetic scenes: the truth is exact, the pictures follow it, and nonsense is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.synthetic import (
    MATRICES,
    SceneSpec,
    distractors,
    masterbatch_image,
    random_scene,
    render,
)
from napari_micro_ktnet.synthetic.particles import Chains, Primaries, outlines
from napari_micro_ktnet.synthetic.surface import draw

CLEAN = SceneSpec(
    matrix_texture=0.0,
    particle_spread=0.0,
    embedded_fraction=0.0,
    occlusion=0.2,
    shadow=0.0,
    blur_px=0.0,
    dose=1e9,
    detector_noise=0.0,
    noise_correlation_px=0.0,
    drift=0.0,
    mottling=0.0,
    jitter_px=0.0,
)


def _primaries(*bodies: tuple[float, ...], ratio: float = 1.0, power: float = 2.0) -> Primaries:
    """Bodies as (x, y, z, r, owner)."""
    x, y, z, r, owner = np.array(bodies, float).T
    n = len(bodies)
    return Primaries(x, y, z, r, np.full(n, ratio), np.zeros(n), np.full(n, power), owner.astype(np.int32))


def _ecd(labels: np.ndarray) -> np.ndarray:
    return np.sqrt(4 * np.bincount(labels.ravel())[1:] / np.pi)


@pytest.mark.parametrize("radius", [12.0, 30.5, 80.0])
def test_isolated_sphere_has_area_pi_r_squared(radius: float) -> None:
    surface = draw(_primaries((100.3, 99.8, 0.0, radius, 1)), (200, 200))
    assert np.count_nonzero(surface.labels) == pytest.approx(np.pi * radius**2, rel=0.02)


def test_sphere_height_and_normal_by_hand() -> None:
    surface = draw(_primaries((50.5, 50.5, 5.0, 20.0, 1)), (100, 100))
    assert surface.height[50, 50] == pytest.approx(25.0)
    assert surface.nz[50, 50] == pytest.approx(1.0)
    # 12 px off the middle of a sphere of 20: height sqrt(400 - 144) = 16, normal (0.6, 0, 0.8).
    assert surface.height[50, 62] == pytest.approx(5 + 16, rel=1e-5)
    assert surface.nx[50, 62] == pytest.approx(0.6, rel=1e-5)
    assert surface.ny[50, 62] == pytest.approx(0.0, abs=1e-6)
    assert surface.nz[50, 62] == pytest.approx(0.8, rel=1e-5)
    assert surface.labels[50, 71] == 0
    assert surface.height[50, 71] == 0


def test_ellipse_keeps_its_area() -> None:
    surface = draw(_primaries((100.2, 100.1, 0.0, 40.0, 1), ratio=0.5), (200, 200))
    rows, columns = np.nonzero(surface.labels)
    assert rows.size == pytest.approx(np.pi * 40**2, rel=0.02)
    assert np.ptp(columns) / np.ptp(rows) == pytest.approx(2.0, rel=0.03)


def test_blocky_body_covers_more_than_a_sphere() -> None:
    assert np.count_nonzero(draw(_primaries((60, 60, 0, 25, 1), power=5.0), (120, 120)).labels) > 1.1 * (
        np.pi * 25**2
    )


def test_higher_body_hides_the_lower_and_touching_bodies_keep_their_ids() -> None:
    surface = draw(_primaries((40, 50, 0, 15, 1), (60, 50, 30, 15, 2)), (100, 100))
    assert surface.labels[50, 50] == 2
    assert surface.labels[50, 30] == 1
    # Equal heights meet half way.
    level = draw(_primaries((40, 50, 0, 15, 1), (60, 50, 0, 15, 2)), (100, 100))
    assert (level.labels[50, 48], level.labels[50, 51]) == (1, 2)
    assert np.unique(level.labels).tolist() == [0, 1, 2]


def test_body_across_the_edge_is_cut_there() -> None:
    surface = draw(_primaries((0.0, 100.0, 0.0, 40.0, 1)), (200, 200))
    assert np.count_nonzero(surface.labels) == pytest.approx(np.pi * 40**2 / 2, rel=0.02)


def test_outlines_by_hand() -> None:
    found = outlines(_primaries((10, 20, 0, 5, 1), (20, 20, 0, 5, 1), (50, 60, 0, 3, 2)))
    np.testing.assert_allclose(found, [[15, 20, 10], [50, 60, 3]])


@pytest.mark.parametrize("openness", [0.0, 1.0])
def test_chain_is_connected(openness: float) -> None:
    centres = Chains(np.random.default_rng(3), openness).grow(60)
    gap = np.linalg.norm(centres[:, None] - centres[None], axis=2)
    reached = {0}
    while True:
        more = set(np.flatnonzero((gap[list(reached)] < 1.0).any(axis=0)).tolist())
        if more == reached:
            break
        reached = more
    assert len(reached) == 60


def test_openness_lowers_the_density() -> None:
    def gyration(openness: float) -> float:
        chains = Chains(np.random.default_rng(3), openness)
        return float(np.mean([np.sqrt(np.mean(np.sum(chains.grow(120) ** 2, axis=1))) for _ in range(8)]))

    assert gyration(1.0) > 1.5 * gyration(0.0)


@pytest.mark.parametrize("matrix", MATRICES)
def test_same_arguments_same_image(matrix: Any) -> None:
    spec = SceneSpec(
        matrix=matrix, holes=40, cracks=20, scratches=20, craters=20, patches=20, fibres=20, charging=0.5
    )
    first, second = render(spec, (160, 200), 7), render(spec, (160, 200), 7)
    np.testing.assert_array_equal(first.pixels, second.pixels)
    np.testing.assert_array_equal(first.labels, second.labels)
    assert not np.array_equal(first.pixels, render(spec, (160, 200), 8).pixels)


def test_shapes_types_and_record() -> None:
    image = render(SceneSpec(pixel_size_nm=12.5), (128, 192), 3)
    assert image.pixels.shape == image.labels.shape == image.mask.shape == (128, 192)
    assert (image.pixels.dtype, image.labels.dtype, image.mask.dtype) == (np.uint8, np.int32, np.bool_)
    assert image.pixel_size == (12.5, 12.5)
    assert image.seed == 3
    assert image.data_bar_rows == 0
    np.testing.assert_array_equal(image.mask, image.labels > 0)


@pytest.mark.parametrize("seed", range(6))
def test_ids_are_consecutive(seed: int) -> None:
    labels = render(random_scene(np.random.default_rng(seed)), (256, 256), seed).labels
    np.testing.assert_array_equal(np.unique(labels[labels > 0]), np.arange(1, labels.max() + 1))


@pytest.mark.parametrize("optics", [{"dose": 20.0}, {"blur_px": 3.0}, {"gamma": 2.0}, {"matrix_level": 0.1}])
def test_optics_leave_the_truth_alone(optics: dict[str, float]) -> None:
    image, other = render(SceneSpec(), (200, 200), 1), render(replace(SceneSpec(), **optics), (200, 200), 1)
    np.testing.assert_array_equal(image.labels, other.labels)
    assert not np.array_equal(image.pixels, other.pixels)


@pytest.mark.parametrize("irregularity", [0.0, 0.8])
@pytest.mark.parametrize("matrix", ["smooth", "dark_support"])
def test_pixels_follow_the_truth(matrix: Any, irregularity: float) -> None:
    spec = replace(CLEAN, matrix=matrix, irregularity=irregularity, matrix_level=0.25, edge_brightening=0.3)
    image = render(spec, (400, 400), 2)
    assert image.pixels[~image.mask].std() == 0
    grey = int(image.pixels[~image.mask][0])
    assert grey == round(0.25 * 255)
    assert np.mean(image.pixels[image.mask] > grey) > 0.97
    # The picture's own threshold gives the truth back: the outline is where the contrast is.
    seen = image.pixels > grey
    assert np.count_nonzero(seen & image.mask) / np.count_nonzero(seen | image.mask) > 0.97


def test_particle_level_is_the_mean_grey_level() -> None:
    image = render(replace(CLEAN, particle_level=0.6, edge_brightening=0.2), (400, 400), 4)
    assert image.pixels[image.mask].mean() / 255 == pytest.approx(0.6, abs=0.06)


def test_embedded_agglomerates_have_low_contrast() -> None:
    bare = render(CLEAN, (400, 400), 5)
    buried = render(replace(CLEAN, embedded_fraction=1.0), (400, 400), 5)
    np.testing.assert_array_equal(bare.labels, buried.labels)
    contrast = [float(i.pixels[i.mask].mean()) - float(i.pixels[~i.mask].mean()) for i in (bare, buried)]
    assert 0 < contrast[1] < 0.8 * contrast[0]


def test_occlusion_makes_crevices_as_dark_as_the_ground() -> None:
    spec = replace(
        CLEAN, area_fraction=0.4, ecd_median_px=120, ecd_max_px=200, primary_px=14, compactness=1.0
    )
    dark = {o: render(replace(spec, occlusion=o), (400, 400), 6) for o in (0.0, 2.0)}
    share = {o: float(np.mean(i.pixels[i.mask] < 0.38 * 255)) for o, i in dark.items()}
    assert share[2.0] > share[0.0] + 0.05


@pytest.mark.parametrize("wanted", [0.03, 0.12, 0.3])
def test_mean_area_fraction_is_near_the_spec(wanted: float) -> None:
    found = [
        float(render(SceneSpec(area_fraction=wanted, ecd_max_px=120), (400, 400), seed).mask.mean())
        for seed in range(10)
    ]
    assert np.mean(found) == pytest.approx(wanted, rel=0.2)


def test_median_size_is_near_the_spec() -> None:
    spec = SceneSpec(ecd_median_px=16, ecd_sigma=0.4, primary_px=4, area_fraction=0.15, clustering=0.0)
    found = np.concatenate([_ecd(render(spec, (512, 512), seed).labels) for seed in range(3)])
    assert np.median(found) == pytest.approx(16, rel=0.15)


def test_sizes_span_two_orders_of_magnitude() -> None:
    spec = SceneSpec(
        ecd_median_px=10, ecd_sigma=1.4, ecd_min_px=2, ecd_max_px=500, area_fraction=0.3, primary_px=4
    )
    ecd = np.concatenate([_ecd(render(spec, (960, 1280), seed).labels) for seed in range(2)])
    assert ecd.max() / np.percentile(ecd, 1) > 100
    assert np.mean(ecd < 15) > 0.4


def test_no_agglomerates() -> None:
    image = render(SceneSpec(area_fraction=0.0, holes=100, craters=30, glow=0.2), (200, 200), 1)
    assert not image.mask.any()
    assert image.pixels.std() > 0


def test_holes_and_cracks_are_dark_and_not_labelled() -> None:
    plain = replace(CLEAN, area_fraction=0.0)
    image = render(replace(plain, holes=300, cracks=50), (300, 300), 1)
    assert not image.mask.any()
    assert np.mean(image.pixels < 0.6 * 0.38 * 255) > 0.005


def test_lit_walls_of_cavities_are_bright_and_not_labelled(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = replace(CLEAN, area_fraction=0.0, matrix_level=0.2, craters=60)
    bright = []
    for share in (0.0, 1.0):
        monkeypatch.setattr(distractors, "_LIT_WALLS", share)
        images = [render(spec, (400, 400), seed) for seed in range(3)]
        assert not any(image.mask.any() for image in images)
        bright.append(np.mean([image.pixels > 2 * 0.2 * 255 for image in images]))
    assert bright[1] > 2 * bright[0] > 0


def test_data_bar_holds_no_truth() -> None:
    image = render(SceneSpec(data_bar=True, area_fraction=0.3, pixel_size_nm=10), (480, 640), 2)
    rows = image.data_bar_rows
    assert rows == 31
    assert image.pixels.shape == (480, 640)
    assert not image.labels[-rows:].any()
    assert image.labels[-rows - 40 : -rows].any()
    # A bar is two-valued: paper and ink.
    assert np.unique(image.pixels[-rows:]).size == 2


def test_scale_bar_has_its_true_length() -> None:
    lengths = set()
    for seed in range(5):
        image = render(SceneSpec(data_bar=True, pixel_size_nm=10), (480, 640), seed)
        bar = image.pixels[-image.data_bar_rows :]
        ink = bar != np.bincount(bar.ravel()).argmax()
        runs = [len(run) for row in ink for run in "".join("x" if i else " " for i in row).split()]
        lengths.update(n for n in runs if 40 < n < 600)
    # 1 um or 2 um are 100 px or 200 px at 10 nm a pixel.
    assert lengths
    assert lengths <= {50, 100, 200}


@pytest.mark.parametrize(("shape", "seeds"), [((32, 32), 20), ((200, 300), 12), ((960, 1280), 2)])
def test_caption_is_drawn_over_the_sample(shape: tuple[int, int], seeds: int) -> None:
    spec = SceneSpec(particle_level=0.6, contrast=0.8)
    for seed in range(seeds):
        plain, written = (render(replace(spec, caption=c), shape, seed) for c in (False, True))
        np.testing.assert_array_equal(written.labels, plain.labels)
        changed = written.pixels != plain.pixels
        assert changed.any()
        rows = np.flatnonzero(changed.any(axis=1))
        # Near one edge: text is at most 42 px or a quarter of the image high; the scale bar adds to that.
        assert min(rows[-1] + 1, shape[0] - rows[0]) <= 2.6 * min(42, shape[0] / 4) + 1


def test_random_scenes_have_a_caption_or_a_data_bar_but_not_both() -> None:
    specs = [random_scene(np.random.default_rng(seed)) for seed in range(300)]
    assert 20 < sum(spec.caption for spec in specs) < 70
    assert not any(spec.caption and spec.data_bar for spec in specs)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"area_fraction": -0.1}, "area_fraction is -0.1; expected a number from 0 to 0.7"),
        ({"area_fraction": 0.9}, "from 0 to 0.7"),
        ({"dose": 0.0}, "dose"),
        ({"dose": float("nan")}, "dose is nan"),
        ({"blur_px": float("inf")}, "blur_px is inf"),
        ({"primary_px": "6"}, "primary_px is '6'"),
        ({"contrast": True}, "contrast is True"),
        ({"matrix": "steel"}, "matrix is 'steel'; choose one of smooth"),
        ({"data_bar": 1}, "data_bar is 1"),
        ({"pixel_size_nm": 0.0}, "pixel_size_nm"),
        ({"ecd_min_px": 50.0, "ecd_median_px": 20.0}, "must not decrease"),
        ({"ecd_max_px": 10.0}, "must not decrease"),
    ],
)
def test_nonsense_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SceneSpec(**values)


@pytest.mark.parametrize("shape", [(10, 100), (100, 100000), (100,), (100.5, 100)])
def test_impossible_shape_is_refused(shape: Any) -> None:
    with pytest.raises(InputError, match="shape is"):
        render(SceneSpec(), shape, 0)


@pytest.mark.parametrize("seed", [-1, 1.5, True])
def test_impossible_seed_is_refused(seed: Any) -> None:
    with pytest.raises(InputError, match="seed is"):
        render(SceneSpec(), (64, 64), seed)


def test_masterbatch_image() -> None:
    image = masterbatch_image((240, 320), seed=4, area_fraction=0.2, data_bar=True)
    assert image.pixels.shape == (240, 320)
    assert image.spec.area_fraction == 0.2
    assert image.data_bar_rows > 0
    with pytest.raises(InputError, match=r"Unknown scene value.*colour"):
        masterbatch_image((64, 64), colour=3)


def test_random_scenes_are_diverse_and_repeatable() -> None:
    scenes = [random_scene(np.random.default_rng(seed)) for seed in range(400)]
    assert scenes[:5] == [random_scene(np.random.default_rng(seed)) for seed in range(5)]
    assert {s.matrix for s in scenes} == set(MATRICES)
    empty = np.mean([s.area_fraction == 0 for s in scenes])
    assert 0.02 < empty < 0.1
    assert np.mean([s.matrix_level < 0.2 for s in scenes]) > 0.15
    assert np.mean([s.data_bar for s in scenes]) > 0.1
    assert np.mean([s.area_fraction > 0.3 for s in scenes]) > 0.1
    assert np.mean([s.ecd_median_px < 15 for s in scenes]) > 0.25
    assert max(s.primary_px for s in scenes) > 45


@pytest.mark.parametrize("seed", range(12))
def test_random_scene_renders(seed: int) -> None:
    image = render(random_scene(np.random.default_rng(1000 + seed)), (192, 256), seed)
    assert image.pixels.shape == (192, 256)
    assert image.pixels.std() > 0.5
