"""Measuring a burnt-in scale bar with a line, whose layer leaves nothing behind."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_micro_ktnet.gui import layers as convert
from napari_micro_ktnet.gui.sem_info.widget import SemInfoWidget

PIXELS = np.arange(40 * 60, dtype=np.uint8).reshape(40, 60)


@pytest.fixture
def panel(qtbot: Any, viewer: ViewerModel) -> SemInfoWidget:
    made = SemInfoWidget(viewer)
    qtbot.addWidget(made)
    return made


def draw(panel: SemInfoWidget, *ends: tuple[float, float]) -> None:
    assert panel.line is not None
    panel.line.layer.add_lines(np.array(ends))


@pytest.mark.parametrize(
    ("ends", "pixels"), [(((35, 10), (35, 50)), 40.0), (((5, 10), (35, 50)), 50.0)], ids=["level", "slanted"]
)
def test_measuring(panel, viewer, ends: Any, pixels: float) -> None:
    layer = viewer.add_image(PIXELS, scale=(0.05, 0.05), units=("um", "um"))
    panel.form.measure.click()
    line = viewer.layers[-1]
    assert viewer.layers.selection.active is line
    assert line.mode == "add_line"
    np.testing.assert_allclose(line.scale, layer.scale)
    assert line.units == layer.units
    assert panel.layer is layer
    assert "draw a line" in panel.form.measured.text()
    draw(panel, *ends)
    assert f"{pixels:.1f} pixels long" in panel.form.measured.text()
    assert not panel.form.apply.isEnabled()
    panel.form.length.setText("-1")
    panel.update_checks()
    assert "more than 0" in panel.form.problem.text()
    panel.form.length.setText("2")
    panel.form.length_unit.setCurrentText("um")
    assert f"one pixel is {2000 / pixels:.6g} nm" in panel.form.measured.text()
    assert panel.form.size_x.text() == f"{2000 / pixels:.6g}"
    assert not panel.form.others.isVisibleTo(panel)
    panel.form.apply.click()
    assert convert.pixel_size_nm(layer) == pytest.approx((2000 / pixels, 2000 / pixels))
    assert list(viewer.layers) == [layer]
    assert viewer.layers.selection.active is layer
    assert panel.line is None
    assert panel.form.size_x.isEnabled()


def test_last_line_counts_and_must_be_long_enough(panel: SemInfoWidget, viewer: ViewerModel) -> None:
    viewer.add_image(PIXELS)
    panel.form.measure.click()
    panel.line.layer.add_rectangles(np.array([[0, 0], [5, 5]]))
    assert panel.line.pixels is None
    draw(panel, (0, 0), (0, 30))
    draw(panel, (0, 0), (0, 1))
    assert "too short" in panel.form.problem.text()
    panel.line.layer.data = [(np.array([[0, 0], [0, 20]]), "line")]
    assert "20.0 pixels" in panel.form.measured.text()


def test_line_stays_on_the_pixels(panel: SemInfoWidget, viewer: ViewerModel) -> None:
    layer = viewer.add_image(PIXELS)
    panel.form.measure.click()
    draw(panel, (0, 0), (0, 30))
    layer.scale = (3, 3)
    np.testing.assert_allclose(panel.line.layer.scale, (3, 3))
    assert panel.line.pixels == 30


@pytest.mark.parametrize("end", ["cancel", "line", "image", "both", "clear", "other"])
def test_line_leaves_nothing_behind(panel, viewer, qtbot: Any, end: str) -> None:
    kept = viewer.add_image(PIXELS, name="kept")
    layer = viewer.add_image(PIXELS)
    panel.form.measure.click()
    line = panel.line.layer
    if end == "cancel":
        panel.form.measure.click()
    elif end == "line":
        viewer.layers.remove(line)
    elif end == "image":
        viewer.layers.remove(layer)
    elif end == "both":
        viewer.layers.selection = [layer, line]
        viewer.layers.remove_selected()
    elif end == "clear":
        viewer.layers.clear()
    else:
        panel.form.image.choose(kept)
    qtbot.waitUntil(lambda: line not in viewer.layers)
    assert panel.line is None
    assert panel.form.measure.text() == "Measure scale bar"
    assert panel.layer is {"cancel": layer, "line": layer, "clear": None}.get(end, kept)


def test_deleted_widget_takes_its_line_away_and_hears_nothing(qtbot: Any, viewer: ViewerModel) -> None:
    panel = SemInfoWidget(viewer)
    layer = viewer.add_image(PIXELS)
    panel.form.measure.click()
    panel.deleteLater()
    qtbot.waitUntil(lambda: list(viewer.layers) == [layer])
    layer.scale = (2, 2)
    viewer.layers.selection.active = viewer.add_image(PIXELS)


@pytest.mark.gui
def test_in_a_drawn_viewer(make_napari_viewer: Any, qtbot: Any) -> None:
    viewer = make_napari_viewer(show=True)
    start = time.perf_counter()
    _, panel = viewer.window.add_plugin_dock_widget("napari-micro-ktnet", "SEM info")
    print(f"opened in {time.perf_counter() - start:.2f} s")  # noqa: T201
    layer = viewer.add_image(PIXELS, name="sample")
    panel.form.measure.click()
    draw(panel, (20, 10), (20, 50))
    qtbot.keyClicks(panel.form.length, "4")
    qtbot.wait(50)
    panel.form.apply.click()
    assert convert.pixel_size_nm(layer) == pytest.approx((100.0, 100.0))
    assert [x.name for x in viewer.layers] == ["sample"]
    panel.form.measure.click()
    viewer.window.remove_dock_widget(panel)
    panel.deleteLater()
    qtbot.waitUntil(lambda: len(viewer.layers) == 1)


@pytest.mark.gui
def test_viewer_closes_while_measuring(make_napari_viewer: Any, qtbot: Any) -> None:
    viewer = make_napari_viewer()
    _, panel = viewer.window.add_plugin_dock_widget("napari-micro-ktnet", "SEM info")
    viewer.add_image(PIXELS)
    panel.form.measure.click()
    viewer.close()
    qtbot.wait(50)
