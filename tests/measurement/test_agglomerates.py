from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import regionprops_table

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.measurement.agglomerates import ObjectOptions, find_agglomerates
from napari_micro_ktnet.measurement.region import border_weights, find_region
from napari_micro_ktnet.measurement.shapes import measure_objects

EMPTY, DIAGONAL = np.zeros((4, 5), int), np.eye(4, dtype=np.uint8)


def picture(text: str) -> NDArray[np.uint8]:
    return np.array([[int(c) for c in row] for row in text.split()], np.uint8)


def random_blobs(seed: int, shape: tuple[int, int] = (120, 160)) -> NDArray[np.bool_]:
    noise = np.random.default_rng(seed).normal(size=shape)
    return ndimage.gaussian_filter(noise, 2) > 0.12


def disc(shape: tuple[int, int], y: float, x: float, diameter: float) -> NDArray[np.bool_]:
    rows, columns = np.indices(shape)
    return (rows - y) ** 2 + (columns - x) ** 2 <= diameter**2 / 4


@pytest.mark.parametrize(
    ("labels", "count"),
    [
        (EMPTY, 0),
        (DIAGONAL, 1),
        (DIAGONAL.astype(bool), 1),
        (DIAGONAL * 255, 1),
        (picture("110 011 000 101"), 3),
        (picture("1122"), 2),  # touching instances stay apart
        (picture("7077"), 2),
        (np.ones((3, 3), np.uint16), 1),
        (np.uint32([[2**32 - 1, 0, 5]]), 2),
        (np.full((1, 1), True), 1),
    ],
)
def test_objects_are_8_connected_of_one_label(labels: NDArray[np.integer], count: int) -> None:
    objects = find_agglomerates(labels)
    assert objects.max() == count
    assert sorted(np.unique(objects)) == sorted({0} & set(objects.ravel()) | set(range(1, count + 1)))
    np.testing.assert_array_equal(objects > 0, labels > 0)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((4, 4)), "float64, expected integers"),
        (np.full((2, 2), -1), "down to -1"),
        (np.zeros((0, 4), int), "empty"),
        (np.zeros((2, 3, 4), int), r"expected one image \(Y, X\)"),
        (np.zeros(4, int), r"expected one image \(Y, X\)"),
        (np.array([["a"]]), "expected integers"),
    ],
)
def test_what_are_no_labels(labels: NDArray[np.generic], message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_agglomerates(labels)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": -1.0}, "split must be"),
        ({"min_size_px": math.nan}, "min_size_px must be"),
        ({"min_size_px": 1.0, "min_size_um": 1.0}, "one of them"),
        ({"border": "cut"}, "keep, exclude or weight"),
    ],
)
def test_wrong_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ObjectOptions(**options)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("111 101 111", "111 111 111"),
        ("0100 1010 0100", "0100 1110 0100"),  # closed by diagonals
        ("111 101 101", "111 101 101"),  # open at the edge
        ("11222 10002 11222", "11222 10002 11222"),  # whose hole would it be
        ("11111 10001 10101 10001 11111", "11111 11111 11111 11111 11111"),
        ("333 303 333", "333 333 333"),
    ],
)
def test_fill_holes(before: str, after: str) -> None:
    objects = find_agglomerates(picture(before), ObjectOptions(fill_holes=True))
    np.testing.assert_array_equal(objects > 0, picture(after) > 0)


@pytest.mark.parametrize("seed", range(3))
def test_fill_holes_as_scipy(seed: int) -> None:
    mask = random_blobs(seed)
    objects = find_agglomerates(mask, ObjectOptions(fill_holes=True))
    np.testing.assert_array_equal(objects > 0, ndimage.binary_fill_holes(mask))


def test_a_hole_open_to_what_is_not_analysed_is_none() -> None:
    mask = picture("111 101 111").astype(bool)
    analysed = np.ones((3, 3), bool)
    analysed[1, 1] = False
    assert find_agglomerates(mask, ObjectOptions(fill_holes=True), analysed).astype(bool).sum() == 8


@pytest.mark.parametrize(
    ("options", "pixel_size", "areas"),
    [
        ({}, None, [1, 4, 9]),
        ({"min_size_px": 2.0}, None, [4, 9]),  # ECD of 4 pixels is 2.257
        ({"min_size_px": 2.26}, None, [9]),
        ({"min_size_um": 0.2}, (100.0, 100.0), [4, 9]),
        ({"min_size_um": 0.2}, (50.0, 200.0), [4, 9]),
        ({"min_size_um": 9.0}, (100.0, 100.0), []),
    ],
)
def test_least_size(
    options: dict[str, float], pixel_size: tuple[float, float] | None, areas: list[int]
) -> None:
    labels = picture("1011000 0011000 0000000 1110000 1110000 1110000")
    objects = find_agglomerates(labels, ObjectOptions(**options), pixel_size=pixel_size)
    assert sorted(np.bincount(objects.ravel())[1:].tolist()) == areas


def test_least_size_in_um_needs_a_pixel_size() -> None:
    with pytest.raises(InputError, match="pixel size is not known"):
        find_agglomerates(EMPTY, ObjectOptions(min_size_um=1.0))


# Two discs of 30 and 20 px whose centres are 22 apart: radii 15 and 10, and half the neck is
# sqrt(15^2 - 13.84^2) = 5.8 wide, since the chord lies 13.84 from the first centre.
@pytest.mark.parametrize(("depth", "count"), [(None, 1), (1.0, 2), (3.0, 2), (5.0, 1), (20.0, 1)])
def test_split_by_depth_of_the_neck(depth: float | None, count: int) -> None:
    mask = disc((50, 70), 25, 20, 30) | disc((50, 70), 25, 42, 20)
    objects = find_agglomerates(mask, ObjectOptions(split=depth))
    assert objects.max() == count
    np.testing.assert_array_equal(objects > 0, mask)
    if count == 2:
        parts = np.sort(np.bincount(objects.ravel())[1:])
        assert parts == pytest.approx([math.pi * 100, math.pi * 225], rel=0.08)


def test_split_leaves_convex_objects_whole() -> None:
    mask = np.zeros((200, 200), bool)
    for i, size in enumerate(range(4, 40, 5)):
        mask |= disc(mask.shape, 20 + 45 * (i // 4), 20 + 45 * (i % 4), size)
    mask[140:150, 10:190] = True
    before = find_agglomerates(mask)
    assert find_agglomerates(mask, ObjectOptions(split=1.0)).max() == before.max() == 9


def test_analysed_region() -> None:
    labels = np.ones((6, 6), np.uint8)
    analysed = np.zeros((6, 6), bool)
    analysed[1:4, 2:6] = True
    assert np.count_nonzero(find_agglomerates(labels, analysed=analysed)) == 12
    region = find_region(labels.shape, analysed)
    assert (region.top, region.bottom, region.left, region.right) == (1, 4, 2, 6)
    assert region.is_rectangle
    with pytest.raises(InputError, match="same"):
        find_agglomerates(labels, analysed=analysed[:3])
    with pytest.raises(InputError, match="No pixel is analysed"):
        find_region(labels.shape, np.zeros((6, 6), bool))


@pytest.mark.parametrize("seed", range(4))
def test_equals_scikit_image(seed: int) -> None:
    objects = find_agglomerates(random_blobs(seed))
    grey = np.random.default_rng(seed).integers(0, 256, objects.shape)
    names = ("area", "centroid", "bbox", "equivalent_diameter_area", "perimeter_crofton", "orientation")
    expected = regionprops_table(objects, grey, properties=(*names, "intensity_mean"))
    table = measure_objects(objects, grey=grey)
    pairs = {
        "area_px": "area",
        "y_px": "centroid-0",
        "x_px": "centroid-1",
        **dict(zip(("top", "left", "bottom", "right"), (f"bbox-{i}" for i in range(4)), strict=True)),
        "ecd_px": "equivalent_diameter_area",
        "perimeter_px": "perimeter_crofton",
        "mean_grey": "intensity_mean",
    }
    for ours, theirs in pairs.items():
        np.testing.assert_allclose(table[ours], expected[theirs], rtol=1e-12, atol=1e-12)
    # Theirs is from the rows, ours from the columns.
    turned = np.degrees(expected["orientation"]) + 90 - table["orientation_deg"]
    assert np.nanmax(np.abs((turned + 90) % 180 - 90)) < 1e-6


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("pixel_size", [None, (30.0, 50.0)])
def test_feret_equals_all_angles(seed: int, pixel_size: tuple[float, float] | None) -> None:
    objects = find_agglomerates(random_blobs(seed, (60, 60)))
    table = measure_objects(objects, pixel_size=pixel_size)
    scale = np.array(pixel_size or (1000.0, 1000.0)) / 1000
    angles = np.linspace(0, np.pi, 2000, endpoint=False)
    direction = np.stack([np.sin(angles), np.cos(angles)])
    unit = "px" if pixel_size is None else "um"
    for number in range(1, len(table) + 1):
        y, x = np.nonzero(objects == number)
        corners = np.concatenate([np.stack([y + i, x + j], 1) for i in (0, 1) for j in (0, 1)]) * scale
        width = np.ptp(corners @ direction, axis=0)
        assert table[f"feret_max_{unit}"][number - 1] == pytest.approx(width.max(), rel=2e-6)
        least = table[f"feret_min_{unit}"][number - 1]
        assert width.min() * 0.995 < least <= width.min() * (1 + 1e-12)


@pytest.mark.parametrize(
    ("height", "width", "angle"),
    [(1, 1, math.nan), (1, 6, 0.0), (6, 1, 90.0), (10, 24, 0.0), (7, 7, math.nan)],
)
def test_rectangles_by_hand(height: int, width: int, angle: float) -> None:
    mask = np.zeros((40, 40), np.uint8)
    mask[5 : 5 + height, 8 : 8 + width] = 3
    table = measure_objects(find_agglomerates(mask), mask, pixel_size=(200.0, 200.0))
    (row,) = table.rows()
    sides = sorted((height, width))
    crofton = math.pi / 4 * (height + width + 2 * (height + width - 1) / math.sqrt(2))
    expected = {
        "label": 3,
        "area_px": height * width,
        "area_um2": height * width * 0.04,
        "ecd_um": 0.2 * math.sqrt(4 * height * width / math.pi),
        "feret_min_px": sides[0],
        "feret_max_px": math.hypot(*sides),
        "feret_max_um": 0.2 * math.hypot(*sides),
        "aspect_ratio": sides[0] / math.hypot(*sides),
        "perimeter_px": crofton,
        "circularity": 4 * math.pi * height * width / crofton**2,
        "solidity": 1.0,
        "y_px": 5 + (height - 1) / 2,
        "y_um": 0.2 * (5 + (height - 1) / 2),
        "x_um": 0.2 * (8 + (width - 1) / 2),
        "orientation_deg": None if math.isnan(angle) else angle,
        "border": False,
        "weight": 1.0,
    }
    assert {name: row[name] for name in expected} == pytest.approx(expected)


def test_l_shape_by_hand() -> None:
    (row,) = measure_objects(find_agglomerates(picture("0000 0100 0110 0000"))).rows()
    assert row["solidity"] == pytest.approx(3 / 3.5)
    assert row["feret_min_px"] == pytest.approx(2)
    assert row["feret_max_px"] == pytest.approx(math.sqrt(8))


@pytest.mark.parametrize(("text", "angle"), [("001 010 100", 45.0), ("100 010 001", 135.0)])
def test_orientation_is_counter_clockwise_on_screen(text: str, angle: float) -> None:
    assert measure_objects(find_agglomerates(picture(text)))["orientation_deg"] == pytest.approx([angle])


def test_disc() -> None:
    (row,) = measure_objects(find_agglomerates(disc((120, 120), 60, 60, 100)), pixel_size=(10.0, 10.0)).rows()
    assert row["ecd_um"] == pytest.approx(1.0, rel=0.002)
    assert row["perimeter_um"] == pytest.approx(math.pi, rel=0.01)
    assert row["circularity"] == pytest.approx(1, abs=0.02)
    assert row["solidity"] > 0.97


def test_pixels_that_are_not_square() -> None:
    # A disc of 2 um on pixels of 20 x 50 nm.
    rows, columns = np.indices((140, 60))
    mask = ((rows - 70) * 0.02) ** 2 + ((columns - 30) * 0.05) ** 2 <= 1
    (row,) = measure_objects(find_agglomerates(mask), pixel_size=(20.0, 50.0)).rows()
    assert row["ecd_um"] == pytest.approx(2, rel=0.005)
    assert row["feret_max_um"] == pytest.approx(2, rel=0.03)
    assert row["feret_min_um"] == pytest.approx(2, rel=0.03)
    assert row["perimeter_um"] == pytest.approx(2 * math.pi, rel=0.03)
    assert row["circularity"] == pytest.approx(1, abs=0.05)


BORDER = picture("11000000 00000000 00011000 00011000 00000000 00000001")


@pytest.mark.parametrize(
    ("rule", "weights"),
    [("keep", [1, 1, 1]), ("exclude", [0, 1, 0]), ("weight", [0, 8 * 6 / ((8 - 2) * (6 - 2)), 0])],
)
def test_border_rules(rule: str, weights: list[float]) -> None:
    table = measure_objects(find_agglomerates(BORDER), border=rule)
    assert table["border"].tolist() == [True, False, True]
    assert table["weight"] == pytest.approx(weights)


def test_border_of_the_analysed_region() -> None:
    analysed = np.zeros(BORDER.shape, bool)
    analysed[:4] = True  # a data bar begins below the middle object
    objects = find_agglomerates(BORDER, analysed=analysed)
    assert measure_objects(objects, analysed=analysed)["border"].tolist() == [True, True]
    analysed[4, 0] = True
    objects = find_agglomerates(BORDER, analysed=analysed)
    assert measure_objects(objects, analysed=analysed)["border"].tolist() == [True, True]
    with pytest.raises(InputError, match="rectangular"):
        measure_objects(objects, analysed=analysed, border="weight")


def test_weights_undo_the_loss_at_the_border() -> None:
    # Squares of three sizes at random places of a large plane, seen through windows.
    rng = np.random.default_rng(0)
    window, density = 100, {4: 2000, 20: 500, 40: 200}
    found = dict.fromkeys(density, 0.0)
    seen = dict.fromkeys(density, 0)
    for size, number in density.items():
        first = rng.integers(-50, window, (number, 40, 2))
        inside = ((first > 0) & (first + size < window)).all(-1)
        box = (first[..., 0], first[..., 1], first[..., 0] + size, first[..., 1] + size)
        weights = border_weights(~inside, box, find_region((window, window), None), "weight")
        found[size], seen[size] = weights.sum(), inside.sum()
    for size, number in density.items():
        expected = number * 40 * (window / 150) ** 2
        assert found[size] == pytest.approx(expected, rel=0.06)
    assert seen[40] < 0.5 * density[40] * 40 * (window / 150) ** 2


def test_no_objects_and_wrong_image() -> None:
    table = measure_objects(find_agglomerates(EMPTY), pixel_size=(1.0, 1.0), grey=EMPTY)
    assert (len(table), table.rows()) == (0, [])
    assert all(len(column) == 0 for column in table.columns.values())
    with pytest.raises(InputError, match="same"):
        measure_objects(find_agglomerates(DIAGONAL), grey=EMPTY)


def test_table_cannot_be_changed_and_travels() -> None:
    table = measure_objects(find_agglomerates(DIAGONAL))
    with pytest.raises(TypeError):
        table.columns["area_px"] = np.zeros(1)  # type: ignore[index]
    assert pickle.loads(pickle.dumps(table)).rows() == table.rows()
