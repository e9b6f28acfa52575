"""The Agglomerates widget in a drawn viewer, click by click."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from agglomerates_data import LABELS, NM, PLACE
from qtpy.QtCore import Qt


@pytest.mark.gui
def test_measure_click_an_object_and_close(make_napari_viewer: Callable[..., Any], qtbot: Any) -> None:
    viewer = make_napari_viewer(show=True)
    _, first = viewer.window.add_plugin_dock_widget("napari-micro-ktnet", "Agglomerates")
    viewer.window.remove_dock_widget(first)
    start = time.process_time()
    _, widget = viewer.window.add_plugin_dock_widget("napari-micro-ktnet", "Agglomerates")
    assert time.process_time() - start < 1
    viewer.add_image(np.tile(np.arange(160, dtype=np.uint8), (120, 1)), name="field", **PLACE)
    viewer.add_labels(LABELS, name="field mask", **PLACE)
    tab = widget.measure
    qtbot.mouseClick(tab.form.measure, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not tab.running, timeout=60_000)
    results = tab.form.results
    assert results.isVisible()
    results.tabs.setCurrentIndex(2)
    table = results.object_table
    qtbot.wait(50)
    where = table.visualRect(table.rows.index(1, 0)).center()
    qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=where)
    camera = getattr(viewer, "scene", viewer).camera
    np.testing.assert_allclose(camera.center[-2:], (20 * NM / 1000, 110 * NM / 1000))
    for page in range(results.tabs.count()):
        results.tabs.setCurrentIndex(page)
        viewer.screenshot(canvas_only=False, flash=False)
    tab.form.split.setChecked(True)
    qtbot.waitUntil(lambda: tab.preview.shown, timeout=60_000)
    viewer.window.remove_dock_widget(widget)
    viewer.layers.clear()


@pytest.mark.gui
def test_viewer_closes_while_measuring(make_napari_viewer: Callable[..., Any], qtbot: Any) -> None:
    viewer = make_napari_viewer(show=True)
    _, widget = viewer.window.add_plugin_dock_widget("napari-micro-ktnet", "Agglomerates")
    viewer.add_labels(np.tile(LABELS, (8, 8)), name="field", **PLACE)
    widget.measure.form.ripley.setChecked(True)
    widget.measure.form.measure.click()
    task = widget.measure.task
    viewer.close()
    qtbot.waitUntil(lambda: not task.running, timeout=60_000)


@pytest.mark.gui
def test_sem_info_is_opened(make_napari_viewer: Callable[..., Any]) -> None:
    viewer = make_napari_viewer(show=True)
    _, widget = viewer.window.add_plugin_dock_widget("napari-micro-ktnet", "Agglomerates")
    viewer.add_labels(LABELS, name="field")
    widget.measure.form.sem_info.click()
    docks = viewer.window.dock_widgets
    assert any("SEM info" in name for name in docks)
