"""Checks before Run: the bad field is marked, one sentence says why, Run cannot be pressed."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from napari_micro_ktnet.gui import inputs
from napari_micro_ktnet.model.spec import ModelSpec

COLOURED = np.zeros((8, 8, 3), np.uint8) + np.array([0, 10, 20], np.uint8)


@pytest.mark.parametrize(
    ("pixels", "keywords", "says"),
    [
        (COLOURED, {"rgb": True}, "coloured"),
        (np.zeros((2, 8, 8, 3), np.uint8), {"rgb": True}, "stack"),
        (np.zeros((2, 2, 8, 8)), {}, "stack"),
    ],
)
def test_images_that_cannot_be_segmented(pixels, keywords, says, widget, viewer) -> None:
    viewer.add_image(pixels, **keywords)
    assert says in widget.form.message.text()
    assert says in widget.form.image.toolTip()
    assert widget.form.image.styleSheet()
    assert not widget.form.run.isEnabled()


@pytest.mark.parametrize(
    ("pixels", "says"), [(np.zeros((8, 8), complex), "complex128"), (np.zeros((0, 8)), "empty")]
)
def test_pixels_that_napari_itself_hardly_shows(pixels: np.ndarray, says: str) -> None:
    layer = SimpleNamespace(data=pixels, rgb=False, multiscale=False)
    assert says in inputs.check_image(layer)


def test_no_image_and_then_one(widget, viewer, grey) -> None:
    assert "Open a SEM image" in widget.form.message.text()
    assert not widget.form.run.isEnabled()
    image = viewer.add_image(grey)
    assert widget.form.run.isEnabled()
    assert not widget.form.image.styleSheet()
    assert widget.form.message.text() == ""
    viewer.layers.remove(image)
    assert not widget.form.run.isEnabled()


def test_no_model(qtbot, viewer, models, network, grey) -> None:
    from napari_micro_ktnet.gui.segment.widget import SegmentWidget

    for path in models.iterdir():
        path.unlink()
    viewer.add_image(grey)
    widget = SegmentWidget(viewer)
    qtbot.addWidget(widget)
    assert "No model" in widget.form.message.text()
    assert widget.form.model.styleSheet()
    assert not widget.form.run.isEnabled()


def test_model_deleted_while_the_widget_is_open(widget, viewer, grey, models) -> None:
    viewer.add_image(grey)
    for path in models.iterdir():
        path.unlink()
    widget.refresh_models()
    assert "No model" in widget.form.message.text()


def test_empty_shapes_layer(widget, viewer, grey) -> None:
    viewer.add_image(grey, name="i")
    shapes = viewer.add_shapes(name="roi")
    widget.form.region.choose(shapes)
    assert "'roi' has no rectangle" in widget.form.message.text()
    assert widget.form.region.styleSheet()
    assert not widget.form.run.isEnabled()
    shapes.add_rectangles([[[0, 0], [0, 9], [9, 9], [9, 0]]])
    assert widget.form.run.isEnabled()


@pytest.mark.parametrize(("tile", "bad"), [(0, False), (16, True), (31, True), (32, False)])
def test_tile_too_small(tile: int, bad: bool, widget, viewer, grey) -> None:
    viewer.add_image(grey)
    widget.form.tile.setValue(tile)
    assert widget.form.run.isEnabled() is not bad
    assert bool(widget.form.tile.styleSheet()) is bad


def test_field_of_view_needs_a_flat_view_on_the_image(widget, viewer, grey) -> None:
    image = viewer.add_image(np.stack([grey] * 3))
    image.corner_pixels = np.array([[0, 0, 0], [0, 9, 9]])
    widget.form.field.setCurrentIndex(1)
    assert widget.form.run.isEnabled()
    viewer.dims.ndisplay = 3
    assert "2D" in widget.form.message.text()
    viewer.dims.ndisplay = 2
    viewer.dims.order = (1, 0, 2)
    assert "2D" in widget.form.message.text()


def test_rescaling_that_cannot_be_afforded(widget, viewer) -> None:
    viewer.add_image(np.zeros((1000, 1000), np.uint8), scale=(1, 1), units=("um", "um"))
    widget.form.rescale.setChecked(True)
    assert "50000 x 50000" in widget.form.message.text()
    assert not widget.form.run.isEnabled()
    widget.form.rescale.setChecked(False)
    assert widget.form.run.isEnabled()


@pytest.mark.parametrize(
    ("size", "trained", "far"),
    [
        ((20, 20), (20, 20), False),
        ((29, 29), (20, 20), False),
        ((31, 31), (20, 20), True),
        ((13, 13), (20, 20), True),
        ((20, 31), (20, 20), True),
        ((31, 31), None, False),
    ],
)
def test_far_pixel_sizes(size, trained, far: bool) -> None:
    from napari.layers import Image

    image = Image(np.zeros((9, 9)), scale=size, units=("nm", "nm"))
    factors = inputs.pixel_size_factors(image, ModelSpec(pixel_size_nm=trained))
    assert (factors is not None) is far
    assert inputs.pixel_size_factors(Image(np.zeros((9, 9))), ModelSpec(pixel_size_nm=(20, 20))) is None


def test_layer_choice_follows_the_viewer(widget, viewer, grey) -> None:
    first = viewer.add_image(grey, name="first")
    second = viewer.add_image(grey, name="second")
    assert widget.form.image.layer is second
    widget.form.image.choose(first)
    second.name = "renamed"
    assert widget.form.image.layer is first
    assert [widget.form.image.itemText(i) for i in range(2)] == ["renamed", "first"]
    viewer.layers.remove(first)
    assert widget.form.image.layer is second


def test_each_image_keeps_its_own_threshold(widget, viewer, grey, run, qtbot) -> None:
    first, second = viewer.add_image(grey), viewer.add_image(grey[:, ::-1])
    run(widget)
    widget.form.image.choose(first)
    run(widget)
    widget.form.threshold.number.setValue(0.9)
    qtbot.waitUntil(lambda: widget.result.threshold == 0.9)
    widget.form.image.choose(second)
    assert widget.form.threshold.value == 0.5
    widget.form.image.choose(first)
    assert widget.form.threshold.value == 0.9
