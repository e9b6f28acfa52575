"""A training run from a drawn viewer, click by click, with the real process."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

CODE = """
    import sys
    import napari
    import numpy as np
    from qtpy.QtTest import QTest

    def blobs(seed):
        rng = np.random.default_rng(seed)
        y, x = np.indices((96, 128))
        mask = np.zeros((96, 128), bool)
        for _ in range(6):
            cy, cx, r = rng.integers(96), rng.integers(128), rng.integers(6, 14)
            mask |= (y - cy) ** 2 + (x - cx) ** 2 < r**2
        return (60 + 110 * mask + rng.normal(0, 8, mask.shape)).astype(np.uint8), mask.astype(np.uint8)

    viewer = napari.Viewer(show=True)
    for i in range(3):
        grey, mask = blobs(i)
        place = {"scale": (0.02, 0.02), "units": ("um", "um")}
        viewer.add_image(grey, name=f"field {i}", **place)
        viewer.add_labels(mask, name=f"field {i}_mask", **place)
    _, segment = viewer.window.add_plugin_dock_widget("napari-micro-ktnet", "Segment")
    _, widget = viewer.window.add_plugin_dock_widget("napari-micro-ktnet", "Train")
    viewer.screenshot(canvas_only=False, flash=False)
    loaded = {name.split(".")[0] for name in sys.modules}
    assert not loaded & {"torch", "lightning_fabric"}
    form = widget.form
    form.start.start.setCurrentIndex(form.start.start.findData("random"))
    form.start.encoder.setCurrentText("resnet18")
    for field, value in (("length", 5), ("crop", 64), ("batch_size", 2), ("validate_every", 2)):
        getattr(form.settings, field).setValue(value)
    form.settings.device.setCurrentText("cpu")
    form.name.setText("clicked")

    def wait(what, seconds=240):
        for _ in range(20 * seconds):
            if what():
                return
            QTest.qWait(50)
        raise AssertionError(form.message.text())

    form.train.click()
    wait(lambda: widget.session.history.step >= 2)
    form.pause.click()
    wait(lambda: not widget.running)
    paused = form.message.text()
    if form.pause.isVisible():
        assert "Paused" in paused, paused
        form.pause.click()
        wait(lambda: not widget.running)
    assert "is in the list of models" in form.message.text(), form.message.text()
    assert segment.form.model.findData("clicked") >= 0
    names = [layer.name for layer in viewer.layers]
    assert "clicked [latest prediction]" in names, names
    assert viewer.layers[-1].data.shape == (96, 128)
    assert not {name.split(".")[0] for name in sys.modules} & {"torch", "lightning_fabric"}
    viewer.close()
"""


@pytest.mark.gui
@pytest.mark.slow
def test_train_pause_resume_and_find_the_model(tmp_path: Path) -> None:
    environment = os.environ | {
        "MICRO_KTNET_RUNS": str(tmp_path / "runs"),
        "MICRO_KTNET_MODELS": str(tmp_path / "models"),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CODE)],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "models" / "clicked.safetensors").is_file()
    assert (tmp_path / "runs" / "clicked" / "data" / "masks").is_dir()
