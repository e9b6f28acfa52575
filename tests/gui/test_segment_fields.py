"""Which pixels a run looks at: data bar, field of view, regions, stacks, lazy and multiscale images."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest

from napari_micro_ktnet.sem import DataBar, SEMImage
from napari_micro_ktnet.synthetic import masterbatch_image


def test_data_bar_of_the_file_is_left_out(widget, viewer, grey, run, network) -> None:
    sem = SEMImage(grey, (20.0, 20.0), "metadata", data_bar=DataBar(30, 40, "metadata"))
    viewer.add_image(grey, metadata={"sem_image": sem})
    run(widget)
    labels = viewer.layers[-1]
    assert labels.data[:30].any()
    assert not labels.data[30:].any()
    assert not labels.metadata["micro_ktnet"]["analysed"][30:].any()
    assert "10 rows" in widget.form.message.text()


@pytest.mark.parametrize("wrap", [lambda p: p, da.from_array, lambda p: da.stack([p, p])])
def test_a_data_bar_is_looked_for_in_layers_without_a_file(wrap, widget, viewer, run, network) -> None:
    scene = masterbatch_image((300, 400), seed=3, data_bar=True)
    viewer.add_image(wrap(scene.pixels))
    run(widget)
    analysed = viewer.layers[-1].metadata["micro_ktnet"]["analysed"].reshape(-1, 300, 400)
    last = np.flatnonzero(analysed.any(axis=(0, 2)))[-1]
    assert abs(last + 1 - (300 - scene.data_bar_rows)) <= 2


def test_field_of_view_reads_and_labels_only_what_is_seen(widget, viewer, grey, run, network) -> None:
    image = viewer.add_image(grey)
    image.corner_pixels = np.array([[10, 20], [29, 49]])
    widget.form.field.setCurrentIndex(1)
    run(widget)
    seen = np.zeros(grey.shape, bool)
    seen[10:30, 20:50] = True
    assert network.calls[0][0].pixels.shape == (20, 30)
    labels = viewer.layers[-1]
    np.testing.assert_array_equal(labels.data, ((grey / np.float32(255) >= 0.5) & seen).astype(np.uint8))
    np.testing.assert_array_equal(labels.metadata["micro_ktnet"]["analysed"], seen)
    widget.form.probability.click()
    assert viewer.layers[-1].data.shape == grey.shape
    assert viewer.layers[-1].data[~seen].max() == 0


@pytest.mark.parametrize(("mode", "inside"), [("inside", True), ("outside", False)])
def test_shapes_are_a_region_in_their_own_coordinates(
    mode, inside, widget, viewer, grey, run, network
) -> None:
    image = viewer.add_image(grey, scale=(0.5, 0.5), translate=(3, 0))
    # Rows 10..19 and columns 40..49 of the image, in a layer of another scale.
    corners = np.array([[9.5, 39.5], [9.5, 49.5], [19.5, 49.5], [19.5, 39.5]])
    world = np.array([image.data_to_world(corner) for corner in corners])
    shapes = viewer.add_shapes([world / 2], shape_type="rectangle", scale=(2, 2))
    widget.form.region.choose(shapes)
    widget.form.region_mode.setCurrentText(mode)
    run(widget)
    expected = np.zeros(grey.shape, bool)
    expected[10:20, 40:50] = True
    np.testing.assert_array_equal(network.calls[0][1]["region"], expected if inside else ~expected)


def test_stack_is_segmented_slice_by_slice(widget, viewer, grey, run) -> None:
    stack = np.stack([grey, grey[:, ::-1], grey // 2])
    viewer.add_image(stack, scale=(1, 0.5, 0.5))
    run(widget)
    labels = viewer.layers[-1]
    np.testing.assert_array_equal(labels.data, (stack / np.float32(255) >= 0.5).astype(np.uint8))
    assert labels.metadata["micro_ktnet"]["analysed"].shape == stack.shape


def test_grey_stored_as_rgb_works(widget, viewer, grey, run) -> None:
    viewer.add_image(np.dstack([grey] * 3), rgb=True, scale=(0.5, 0.5))
    run(widget)
    assert viewer.layers[-1].data.shape == grey.shape
    assert viewer.layers[-1].ndim == 2


def test_lazy_image_is_read_only_where_it_is_seen(widget, viewer, run, network) -> None:
    da = pytest.importorskip("dask.array")
    read: list[Any] = []

    def block(block_info: Any = None) -> np.ndarray:
        read.append(tuple(block_info[None]["chunk-location"]))
        return np.full((50, 50), 200, np.uint8)

    lazy = da.map_blocks(
        block, chunks=((50,) * 4, (50,) * 4), dtype=np.uint8, meta=np.empty((0, 0), np.uint8)
    )
    image = viewer.add_image(lazy, contrast_limits=(0, 255))
    image.corner_pixels = np.array([[0, 0], [39, 39]])
    widget.form.field.setCurrentIndex(1)
    read.clear()
    run(widget)
    assert set(read) <= {(0, 0)} or len(set(read)) < 16
    assert network.calls[0][0].pixels.shape == (40, 40)
    assert viewer.layers[-1].data.shape == (200, 200)
    assert viewer.layers[-1].data.sum() == 1600


def test_multiscale_image_takes_its_full_resolution(widget, viewer, grey, run) -> None:
    viewer.add_image([grey, grey[::2, ::2]], multiscale=True, scale=(0.1, 0.1))
    run(widget)
    np.testing.assert_array_equal(viewer.layers[-1].data, (grey / np.float32(255) >= 0.5).astype(np.uint8))
