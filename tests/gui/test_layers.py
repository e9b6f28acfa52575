"""Core objects to layers and back: pixel sizes, contrast, regions, views."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from napari.layers import Image, Labels, Shapes

from napari_micro_ktnet.gui import layers as convert
from napari_micro_ktnet.sem import DataBar, SEMImage


def test_calibrated_image_is_in_micrometres() -> None:
    sem = SEMImage(np.arange(12.0).reshape(3, 4), (20.0, 25.0), "metadata", name="a")
    pixels, keywords, kind = convert.image_layer_data(sem)
    layer = Image(pixels, **keywords)
    assert kind == "image"
    np.testing.assert_allclose(layer.scale, (0.02, 0.025))
    assert [str(unit) for unit in layer.units] == ["micrometer", "micrometer"]
    assert layer.axis_labels == ("y", "x")
    assert layer.metadata["sem_image"] is sem
    assert convert.pixel_size_nm(layer) == pytest.approx((20.0, 25.0))
    assert convert.sem_image_of(layer) is sem


def test_uncalibrated_image_is_in_pixels() -> None:
    pixels, keywords, _ = convert.image_layer_data(SEMImage(np.eye(4)))
    layer = Image(pixels, **keywords)
    np.testing.assert_array_equal(layer.scale, (1, 1))
    assert [str(unit) for unit in layer.units] == ["pixel", "pixel"]
    assert convert.pixel_size_nm(layer) is None


def test_stack_and_colour_get_their_own_axes() -> None:
    stack = convert.image_layer_data(SEMImage(np.zeros((2, 3, 4)), (5.0, 6.0), "metadata"))[1]
    assert stack["axis_labels"] == ("z", "y", "x")
    assert stack["scale"] == pytest.approx((1.0, 0.005, 0.006))
    colour = convert.image_layer_data(SEMImage(np.zeros((3, 4, 3), np.uint8), (5.0, 6.0), rgb=True))
    layer = Image(colour[0], **colour[1])
    assert layer.rgb
    assert layer.axis_labels == ("y", "x")


def test_contrast_limits_come_from_above_the_data_bar() -> None:
    pixels = np.random.default_rng(0).integers(90, 111, (100, 80)).astype(np.uint16)
    pixels[80:, ::2], pixels[80:, 1::2] = 0, 65535
    bar = DataBar(80, 100, "metadata")
    assert convert.contrast_limits(SEMImage(pixels, data_bar=bar)) == (90, 110)
    assert convert.contrast_limits(SEMImage(pixels)) == (0, 65535)


def test_contrast_limits_of_a_dask_array_take_some_blocks_only() -> None:
    pixels = np.random.default_rng(0).integers(90, 111, (700, 900)).astype(np.uint16)
    pixels[600:] = 65535
    seen: list[tuple[int, int]] = []

    def block(block_info=None) -> np.ndarray:
        place = tuple(slice(*each) for each in block_info[None]["array-location"])
        seen.append((place[0].start, place[1].start))
        return pixels[place]

    lazy = da.map_blocks(block, chunks=((100,) * 7, (100,) * 9), dtype=pixels.dtype, meta=pixels[:0, :0])
    assert convert.contrast_limits(SEMImage(lazy, data_bar=DataBar(600, 700, "metadata"))) == (90, 110)
    assert sorted(seen) == [(y, x) for y in (0, 200, 500) for x in (0, 400, 800)]


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("shape", [(40, 9000), (9001, 30), (2, 20, 20_000), (10, 8300, 3)], ids=str)
def test_long_images_have_coarser_copies(shape: tuple[int, ...], lazy: bool) -> None:
    rgb = shape[-1] == 3
    longest = max(shape)
    pixels = np.broadcast_to(np.arange(longest).reshape([-1 if n == longest else 1 for n in shape]), shape)
    pixels = pixels.astype(np.uint16)
    sem = SEMImage(da.from_array(pixels) if lazy else pixels, (5.0, 6.0), "metadata", rgb=rgb)
    levels, keywords, _ = convert.image_layer_data(sem)
    layer = Image(levels, **keywords)
    assert layer.multiscale
    assert convert.full_data(layer) is sem.pixels
    assert convert.sem_image_of(layer) is sem
    assert convert.pixel_size_nm(layer) == pytest.approx((5.0, 6.0))
    assert convert.grid_shape(layer) == (shape[:-1] if rgb else shape)
    axis = shape.index(longest)
    for number, level in enumerate(levels):
        assert level.shape[axis] == pytest.approx(longest / 2**number, abs=1)
        # A coarse pixel stands in the middle of the pixels that it stands for.
        along = np.moveaxis(np.asarray(level), axis, 0).reshape(level.shape[axis], -1)[:, 0].astype(int)
        assert along[0] == 2**number // 2
        assert set(np.diff(along)) == {2**number}
    assert 2048 <= levels[-1].shape[axis] <= 4096
    assert isinstance(levels[-1], np.ndarray) or len(shape) == 3


def test_usual_images_are_not_split_into_levels() -> None:
    pixels = np.zeros((10, 8192), np.uint8)
    assert convert.image_layer_data(SEMImage(pixels))[0] is pixels


@pytest.mark.parametrize("pixels", [np.full((4, 4), 7), np.full((4, 4), np.nan), np.ones((4, 4), bool)])
def test_no_contrast_limits_without_contrast(pixels: np.ndarray) -> None:
    assert convert.contrast_limits(SEMImage(pixels)) is None
    data, keywords, _ = convert.image_layer_data(SEMImage(pixels))
    Image(data, **keywords)


@pytest.mark.parametrize(
    ("scale", "units", "expected"),
    [
        ((2, 3), ("nm", "nm"), (2, 3)),
        ((0.5, 0.25), ("um", "um"), (500, 250)),
        ((1, 1e-3, 2e-3), ("pixel", "mm", "mm"), (1000, 2000)),
        ((2, 3), ("pixel", "pixel"), None),
        ((2, 3), ("s", "nm"), None),
    ],
)
def test_pixel_size_of_a_layer(scale: tuple[float, ...], units: tuple[str, ...], expected) -> None:
    layer = Labels(np.zeros((2,) * len(scale), int), scale=scale, units=units)
    found = convert.pixel_size_nm(layer)
    assert found == (None if expected is None else pytest.approx(expected))
    state = layer.as_layer_data_tuple()[1]
    assert convert.pixel_size_from_meta(state) == (None if expected is None else pytest.approx(expected))


def test_sem_image_of_other_pixels_is_ignored() -> None:
    sem = SEMImage(np.zeros((4, 4)))
    assert convert.sem_image_of(Image(np.zeros((4, 5)), metadata={"sem_image": sem})) is None
    assert convert.sem_image_of(Image(np.zeros((4, 5)))) is None


def test_ellipse_covers_the_area_of_an_ellipse() -> None:
    image = Image(np.zeros((100, 100)))
    corners = np.array([[20, 10], [20, 90], [80, 90], [80, 10]])
    mask = convert.polygons_mask(
        convert.outlines(Shapes([corners], shape_type="ellipse"), image), image.data.shape
    )
    assert mask.sum() == pytest.approx(np.pi * 30 * 40, rel=0.01)
    assert mask[50, 50]
    assert not mask[22, 12]


def test_only_closed_shapes_are_regions() -> None:
    square = np.array([[0, 0], [0, 5], [5, 5], [5, 0]])
    shapes = Shapes([square, square[:2]], shape_type=["path", "line"])
    assert not convert.has_area(shapes)
    assert convert.outlines(shapes, Image(np.zeros((9, 9)))) == ()
    shapes.add(square, shape_type="polygon")
    assert convert.has_area(shapes)


@pytest.mark.parametrize("shapes_ndim", [2, 3])
def test_shapes_on_a_stack_count_for_every_slice(shapes_ndim: int) -> None:
    image = Image(np.zeros((3, 20, 20)), scale=(1, 0.5, 0.5))
    square = np.array([[2, 2], [2, 4], [4, 4], [4, 2]], float)
    if shapes_ndim == 3:
        square = np.column_stack([np.full(4, 2.0), square])
    (outline,) = convert.outlines(Shapes([square], shape_type="polygon"), image)
    np.testing.assert_allclose(outline, square[:, -2:] * 2)


def test_view_box_of_plain_and_multiscale_images() -> None:
    image = Image(np.zeros((50, 60)))
    image.corner_pixels = np.array([[5, 6], [9, 59]])
    assert convert.view_box(image) == (slice(5, 10), slice(6, 60))
    pyramid = Image([np.zeros((50, 60)), np.zeros((25, 30))], multiscale=True)
    pyramid.data_level = 1
    pyramid.corner_pixels = np.array([[5, 6], [9, 29]])
    assert convert.view_box(pyramid) == (slice(10, 20), slice(12, 60))


def test_shapes_in_another_unit_of_length() -> None:
    image = Image(np.zeros((20, 20)), scale=(0.02, 0.02), units=("um", "um"))
    square = np.array([[40, 40], [40, 80], [80, 80], [80, 40]], float)
    (outline,) = convert.outlines(Shapes([square], shape_type="polygon", units=("nm", "nm")), image)
    np.testing.assert_allclose(outline, square / 20)
