"""The Metrics widget in a drawn viewer, click by click."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from helpers import blobs


@pytest.mark.gui
def test_compare_click_an_object_and_close(make_napari_viewer: Callable[..., Any], qtbot: Any) -> None:
    viewer = make_napari_viewer(show=True)
    _, first = viewer.window.add_plugin_dock_widget("napari-micro-ktnet", "Metrics")
    viewer.window.remove_dock_widget(first)
    start = time.perf_counter()
    _, widget = viewer.window.add_plugin_dock_widget("napari-micro-ktnet", "Metrics")
    assert time.perf_counter() - start < 1
    grey, truth = blobs((200, 300), seed=1)
    viewer.add_image(grey, name="field", scale=(0.02, 0.02), units=("um", "um"))
    place = {"scale": (0.02, 0.02), "units": ("um", "um")}
    viewer.add_labels((truth > 0).astype(np.uint8), name="field_mask", **place)
    viewer.add_labels(np.roll(truth > 0, 2, axis=0).astype(np.uint8), name="field", **place)
    form = widget.form
    qtbot.mouseClick(form.compare, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not widget.running, timeout=60_000)
    assert form.results.isVisible()
    assert viewer.layers[-1].name.endswith("[errors]")
    form.results.tabs.setCurrentIndex(1)
    table = form.results.object_table
    qtbot.wait(50)
    where = table.visualRect(table.rows.index(0, 0)).center()
    qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=where)
    top, left, bottom, right = form.results.objects.boxes[0]
    camera = getattr(viewer, "scene", viewer).camera
    middle = np.array([top + bottom - 1, left + right - 1]) / 2 * 0.02
    np.testing.assert_allclose(camera.center[-2:], middle)
    assert "chosen object" in viewer.layers
    for page in range(form.results.tabs.count()):
        form.results.tabs.setCurrentIndex(page)
        viewer.screenshot(canvas_only=False, flash=False)
    viewer.window.remove_dock_widget(widget)
    viewer.layers.clear()
