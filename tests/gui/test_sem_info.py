"""The SEM info widget: what it says, setting the pixel size by typing or by a line, and going back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels
from qtpy.QtWidgets import QApplication

from napari_micro_ktnet.cli import main
from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.gui import layers as convert
from napari_micro_ktnet.gui import pixel_size as sizes
from napari_micro_ktnet.gui.reader import read_layers
from napari_micro_ktnet.gui.sem_info.widget import SemInfoWidget
from napari_micro_ktnet.sem import DataBar, SEMImage, SEMMetadata, write_image

PIXELS = np.arange(40 * 60, dtype=np.uint8).reshape(40, 60)


def add(viewer: ViewerModel, size: Any = None, source: Any = "none", **more: Any) -> Image:
    """A layer as the reader makes it."""
    image = SEMImage(PIXELS, size, source, name="a", path=Path("/data/a.tif"), **more)
    layer = Image(*convert.image_layer_data(image)[:1], **convert.image_layer_data(image)[1])
    viewer.add_layer(layer)
    return layer


@pytest.fixture
def panel(qtbot: Any, viewer: ViewerModel) -> SemInfoWidget:
    made = SemInfoWidget(viewer)
    qtbot.addWidget(made)
    return made


def type_size(panel: SemInfoWidget, x: str, unit: str = "nm", y: str | None = None) -> None:
    form = panel.form
    form.square.setChecked(y is None)
    form.unit.setCurrentText(unit)
    form.size_x.setText(x)
    if y is not None:
        form.size_y.setText(y)
    panel.update_checks()


def units(layer: Any) -> list[str]:
    return [str(unit) for unit in layer.units]


def test_opens_without_a_layer(panel: SemInfoWidget, viewer: ViewerModel) -> None:
    assert "Open a SEM image" in panel.form.statement.text()
    panel.apply_size()
    panel.reset_size()
    panel.measure_or_cancel()
    assert len(viewer.layers) == 0


@pytest.mark.parametrize(
    ("size", "source", "statement", "warning"),
    [
        ((3.0, 3.0), "metadata", "Pixel size 3 nm, from the file's metadata.", ""),
        ((2.0, 3.0), "metadata", "Pixel size 3 x 2 nm (x, y), from the file's metadata.", ""),
        ((2000.0, 2000.0), "estimated", "Pixel size 2 um, estimated from the magnif", "several per cent"),
        (None, "none", "Pixel size unknown.", "The file does not say it. Measure"),
    ],
)
def test_statement(panel, viewer, size: Any, source: str, statement: str, warning: str) -> None:
    add(viewer, size, source)
    assert panel.form.statement.text().startswith(statement)
    assert warning in panel.form.warning.text()
    assert panel.form.warning.isVisibleTo(panel) == bool(warning)


@pytest.mark.parametrize(
    ("geometry", "statement", "warning"),
    [
        ({}, "unknown", "The layer is in pixels"),
        ({"scale": (0.1, 0.2)}, "unknown", "a scale of 0.2 but no unit"),
        ({"scale": (0.1, 0.1), "units": ("um", "um")}, "100 nm, from the layer's scale and units", ""),
    ],
)
def test_layer_of_another_reader(panel, viewer, geometry: Any, statement: str, warning: str) -> None:
    layer = viewer.add_image(PIXELS, **geometry)
    before = layer.scale.copy(), units(layer)
    assert statement in panel.form.statement.text()
    assert warning in panel.form.warning.text()
    assert [row[0] for row in panel.form.table.rows()] == ["image"]
    type_size(panel, "7")
    panel.form.apply.click()
    assert panel.form.statement.text() == "Pixel size 7 nm, set by you."
    # It is no file of ours now either: its data bar is still to be looked for.
    assert convert.sem_image_of(layer) is None
    panel.form.reset.click()
    np.testing.assert_allclose(layer.scale, before[0])
    assert units(layer) == before[1]


def test_table_and_vendor_keys(panel: SemInfoWidget, viewer: ViewerModel) -> None:
    raw = {"AP_WD": "5 mm", "AP_MAG": "100 X", "SV_SERIAL": "0\tx"}
    known = SEMMetadata(vendor="Zeiss SmartSEM", working_distance_m=0.005, raw=raw)
    add(viewer, (3.0, 3.0), "metadata", metadata=known, data_bar=DataBar(30, 40, "pixels"))
    assert panel.form.table.rows() == [
        ("vendor", "Zeiss SmartSEM"),
        ("working distance", "5 mm"),
        ("image", "60 x 40 pixels, uint8"),
        ("data bar", "last 10 rows (pixels)"),
        ("file", "a.tif"),
    ]
    assert panel.form.raw.text() == "All vendor keys (3)"
    assert panel.form.raw_table.rows() == []
    panel.form.raw.click()
    assert panel.form.raw_table.rows() == list(raw.items())
    panel.form.filter.setText("ap_")
    panel.form.copy_raw.click()
    assert QApplication.clipboard().text() == "AP_WD\t5 mm\nAP_MAG\t100 X"
    viewer.add_image(PIXELS)
    assert not panel.form.raw.isVisibleTo(panel)


def test_copied_json_is_that_of_the_command(panel, viewer, tmp_path: Path, capsys: Any) -> None:
    path = write_image(tmp_path / "a.tif", PIXELS, (12.0, 15.0))
    assert main(["info", str(path), "--json"]) == 0
    pixels, keywords, _ = read_layers(str(path))[0]
    viewer.add_image(pixels, **keywords)
    panel.form.copy_json.click()
    assert [json.loads(QApplication.clipboard().text())] == json.loads(capsys.readouterr().out)
    panel.form.copy_text.click()
    assert "Pixel size 15 x 12 nm (x, y), from the file's metadata." in QApplication.clipboard().text()


def test_follows_the_active_layer(panel: SemInfoWidget, viewer: ViewerModel) -> None:
    first, second = add(viewer), viewer.add_image(PIXELS)
    assert panel.layer is second
    viewer.layers.selection.active = first
    assert panel.layer is first
    viewer.add_labels(PIXELS)
    assert panel.layer is first


@pytest.mark.parametrize(
    ("x", "unit", "message"),
    [
        ("0", "nm", "more than 0"),
        ("-3", "nm", "more than 0"),
        ("nan", "nm", "more than 0"),
        ("inf", "nm", "more than 0"),
        ("0.009", "nm", "cannot be"),
        ("1001", "um", "cannot be"),
        ("3,5", "nm", "not a comma"),
        ("abc", "nm", "'abc' is not a number"),
    ],
)
def test_bad_sizes_are_refused_beside_the_field(panel, viewer, x: str, unit: str, message: str) -> None:
    layer = add(viewer)
    type_size(panel, x, unit)
    assert message in panel.form.problem.text()
    assert panel.form.problem.isVisibleTo(panel)
    assert not panel.form.apply.isEnabled()
    panel.apply_size()
    assert convert.pixel_size_nm(layer) is None
    type_size(panel, "")
    assert not panel.form.problem.isVisibleTo(panel)


@pytest.mark.parametrize(("nm", "fits"), [(0.01, True), (1e6, True), (0.0099, False), (1.01e6, False)])
def test_range(nm: float, fits: bool) -> None:
    if fits:
        assert sizes.check_pixel_size(nm) == nm
        return
    with pytest.raises(InputError, match=r"0\.01 nm to 1 mm"):
        sizes.check_pixel_size(nm)


def test_apply_and_reset(panel: SemInfoWidget, viewer: ViewerModel) -> None:
    layer = add(viewer, (50.0, 50.0), "estimated", data_bar=DataBar(30, 40, "metadata"))
    opened = layer.metadata["sem_image"]
    type_size(panel, "0.08", "um", y="0.04")
    panel.form.apply.click()
    np.testing.assert_allclose(layer.scale, (0.04, 0.08))
    assert units(layer) == ["micrometer", "micrometer"]
    image = layer.metadata["sem_image"]
    assert (image.pixel_size, image.pixel_size_source) == (pytest.approx((40.0, 80.0)), "user")
    assert image.pixels is opened.pixels is layer.data
    assert image.data_bar is opened.data_bar
    assert (opened.pixel_size, opened.pixel_size_source) == ((50.0, 50.0), "estimated")
    assert "80 x 40 nm (x, y), set by you; the magnification gives 50 nm." in panel.form.statement.text()
    assert not panel.form.apply.isEnabled()
    type_size(panel, "7")
    panel.form.apply.click()
    panel.form.reset.click()
    np.testing.assert_allclose(layer.scale, (0.05, 0.05))
    assert layer.metadata == {"sem_image": opened}
    assert not panel.form.reset.isEnabled()
    assert panel.form.size_x.text() == "50"


def test_scale_set_elsewhere_is_seen_and_can_be_reset(panel, viewer) -> None:
    layer = add(viewer, (50.0, 50.0), "metadata")
    layer.scale = (0.1, 0.1)
    assert "100 nm, from the layer's scale and units; the file says 50 nm" in panel.form.statement.text()
    panel.form.reset.click()
    np.testing.assert_allclose(layer.scale, (0.05, 0.05))


def test_layers_on_the_same_grid_go_along(panel: SemInfoWidget, viewer: ViewerModel) -> None:
    place = {"translate": (10.0, 20.0)}
    image = add(viewer)
    image.translate = place["translate"]
    labels = viewer.add_labels(np.zeros_like(PIXELS), name="labels", **place)
    shapes = viewer.add_shapes(name="region", **place)
    record = {convert.RESULT_KEY: {"image": "other"}}
    still = [
        viewer.add_labels(np.zeros((5, 6), int), name="smaller", **place),
        viewer.add_labels(np.zeros_like(PIXELS), name="elsewhere"),
        viewer.add_labels(np.zeros_like(PIXELS), name="of another", metadata=record, **place),
        viewer.add_image(PIXELS, name="other", **place),
    ]
    viewer.layers.selection.active = image
    assert panel.form.others.text() == "Also to 2 layers on the same grid"
    assert panel.form.others.toolTip().splitlines()[1:] == ["labels", "region"]
    type_size(panel, "500")
    panel.form.apply.click()
    for layer in (image, labels, shapes):
        np.testing.assert_allclose(layer.scale, (0.5, 0.5))
        np.testing.assert_allclose(layer.translate, (5.0, 10.0))
        assert units(layer) == ["micrometer", "micrometer"]
    for layer in still:
        np.testing.assert_allclose(layer.scale, (1, 1))
    later = viewer.add_labels(np.zeros_like(PIXELS), **convert.geometry(image))
    panel.form.reset.click()
    for layer in (image, labels, shapes, later):
        np.testing.assert_allclose(layer.scale, (1, 1))
        np.testing.assert_allclose(layer.translate, (10.0, 20.0))
        assert units(layer) == ["pixel", "pixel"]
    panel.form.others.setChecked(False)
    type_size(panel, "500")
    panel.form.apply.click()
    np.testing.assert_allclose(labels.scale, (1, 1))


def test_detectors_of_one_file_go_along(panel: SemInfoWidget, viewer: ViewerModel) -> None:
    first, second = add(viewer), add(viewer)
    type_size(panel, "5")
    panel.form.apply.click()
    for layer in (first, second):
        assert sizes.source_of(layer) == "user"
    panel.form.reset.click()
    assert [sizes.source_of(layer) for layer in (first, second)] == ["none", "none"]


def test_stack_keeps_its_z(panel: SemInfoWidget, viewer: ViewerModel) -> None:
    image = viewer.add_image(np.zeros((3, 4, 5)), scale=(7, 1, 1), units=("second", "pixel", "pixel"))
    flat = viewer.add_labels(np.zeros((3, 4, 5), int), scale=(7, 1, 1), units=("second", "pixel", "pixel"))
    viewer.layers.selection.active = image
    type_size(panel, "20")
    panel.form.apply.click()
    for layer in (image, flat):
        np.testing.assert_allclose(layer.scale, (7, 0.02, 0.02))
        assert units(layer) == ["second", "micrometer", "micrometer"]


def test_canvas_shows_the_same_pixels_after_apply(panel: SemInfoWidget, viewer: ViewerModel) -> None:
    layer = add(viewer)
    camera = getattr(viewer, "scene", viewer).camera
    camera.center, camera.zoom = (0, 10, 20), 4
    type_size(panel, "500")
    panel.form.apply.click()
    assert camera.zoom == pytest.approx(8)
    np.testing.assert_allclose(layer.world_to_data(camera.center[-2:]), (10, 20))


def test_segment_widget_follows(panel, viewer, widget) -> None:
    layer = add(viewer)
    labels = viewer.add_labels(np.zeros_like(PIXELS))
    viewer.layers.selection.active = layer
    assert not widget.form.pixel_size_note.isVisibleTo(widget)
    type_size(panel, "100")
    panel.form.apply.click()
    assert "100 nm" in widget.form.pixel_size_note.text()
    assert widget.form.request(layer).pixel_size == pytest.approx((100.0, 100.0))
    assert isinstance(labels, Labels)
    assert convert.pixel_size_nm(labels) == pytest.approx((100.0, 100.0))
