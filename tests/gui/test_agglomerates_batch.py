"""The batch tab of the Agglomerates widget."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from agglomerates_data import LABELS, NM

from helpers import small_model_file
from napari_micro_ktnet import measure
from napari_micro_ktnet.gui.agglomerates import batch as agglomerates_batch
from napari_micro_ktnet.gui.agglomerates.batch import BatchTab
from napari_micro_ktnet.gui.agglomerates.batch_run import BatchOutcome, BatchRequest, BatchStep, batch_steps
from napari_micro_ktnet.gui.agglomerates.run import Options
from napari_micro_ktnet.gui.agglomerates.widget import AgglomeratesWidget
from napari_micro_ktnet.sem import write_image

LIMITS = "d_star_um = 0.4\n[limits]\nlargest_ecd_um = 0.5\n"


@pytest.fixture
def widget(qtbot: Any, viewer: Any, models: Path) -> AgglomeratesWidget:
    made = AgglomeratesWidget(viewer)
    qtbot.addWidget(made)
    return made


@pytest.fixture
def tab(widget: AgglomeratesWidget) -> BatchTab:
    return widget.batch


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in "ab":
        write_image(folder / f"{name}.tif", 40 + 160 * LABELS, (NM, NM))
    (folder / "broken.tif").write_bytes(b"II*\0nothing")
    return folder


@pytest.fixture
def ready(tab: BatchTab, images: Path, tmp_path: Path) -> BatchTab:
    tab.form.folder.setText(str(images))
    tab.form.output.setText(str(tmp_path / "out"))
    return tab


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[BatchRequest]:
    """What was asked for; three files are done at once, the second fails."""
    found: list[BatchRequest] = []

    def steps(request: BatchRequest) -> Any:
        found.append(request)
        yield BatchStep(0, 0, "Loading…")
        yield BatchStep(0, 3, "a.tif: tile 1 of 1")
        yield BatchStep(1, 3, "a.tif", reused=1)
        yield BatchStep(2, 3, "b.tif", "b.tif: no image", 1)
        yield BatchStep(3, 3, "c.tif", reused=1)
        request.output.mkdir()
        found_by_measure = measure([LABELS, LABELS], NM, limits=request.limits)
        result = SimpleNamespace(measurement=found_by_measure, errors=("b.tif: no image",), files=3)
        return BatchOutcome(result, request.output / "report.html" if request.report else None)

    monkeypatch.setattr(agglomerates_batch, "batch_steps", steps)
    return found


@pytest.fixture
def press(qtbot: Any) -> Callable[[BatchTab], None]:
    def press(tab: BatchTab) -> None:
        assert tab.form.run.isEnabled(), tab.form.message.text()
        tab.form.run.click()
        qtbot.waitUntil(lambda: not tab.running, timeout=30_000)

    return press


def test_bad_input(tab, images, tmp_path) -> None:
    form = tab.form
    assert "Choose the folder" in form.message.text()
    for text, problem in (
        (tmp_path / "nowhere", "There is no folder"),
        (tmp_path / "models", "holds no image"),
        (images, "Choose a folder for the results"),
    ):
        form.folder.setText(str(text))
        assert problem in form.message.text()
        assert not form.run.isEnabled()
    form.output.setText(str(images / "a.tif"))
    assert "is a file" in form.message.text()
    assert "border" in form.output.styleSheet()
    form.output.setText(str(tmp_path / "out"))
    assert form.run.isEnabled()
    form.pixel_size.setText("1e9")
    assert "cannot be" in form.message.text()
    form.pixel_size.setText("")
    form.earlier.setText(str(tmp_path / "no.json"))
    assert "There is no file" in form.message.text()
    form.earlier.setText("")
    (tmp_path / "l.toml").write_text("[limits]\nlargest = 3\n")
    form.limits.path.setText(str(tmp_path / "l.toml"))
    assert "line 2" in form.message.text()


def test_request_and_outcome(ready, widget, asked, press, tmp_path, monkeypatch) -> None:
    form = ready.form
    (tmp_path / "l.toml").write_text(LIMITS)
    form.limits.path.setText(str(tmp_path / "l.toml"))
    form.model.setCurrentIndex(form.model.findData("two"))
    form.threshold.set_value(0.4)
    form.pixel_size.setText("25")
    form.lot.setText(" L1 ")
    widget.measure.form.min_size.setValue(3)
    widget.measure.form.fill_holes.setChecked(True)
    widget.tabs.setCurrentIndex(1)
    assert "holes filled, smaller than 3 px left out" in form.how.text()
    assert "d* = 0.4 µm" in form.how.text()
    press(ready)
    request = asked[0]
    assert (request.model, request.threshold, request.pixel_size, request.lot) == ("two", 0.4, 25.0, "L1")
    assert request.options == Options(min_size=3.0, fill_holes=True, d_star_um=0.4)
    assert [form.errors.item(i).text() for i in range(form.errors.count())] == ["b.tif: no image"]
    assert (
        "1 of 3 files failed. 1 files were finished before. 14 agglomerates in 2 fields"
        in form.message.text()
    )
    assert "FAIL" in form.verdict.text()
    opened: list[Any] = []
    monkeypatch.setattr(
        "napari_micro_ktnet.gui.agglomerates.batch.QDesktopServices.openUrl",
        lambda u: opened.append(u.fileName()),
    )
    form.open_report.click()
    form.open_folder.click()
    assert opened == ["report.html", "out"]


def test_without_report(ready, asked, press) -> None:
    ready.form.report.setChecked(False)
    press(ready)
    assert ready.form.open_report.isHidden()
    assert not ready.form.open_folder.isHidden()


def test_cancel_and_failure(ready, qtbot, monkeypatch, notes) -> None:
    def slow(request: BatchRequest) -> Any:
        for _ in range(1000):
            time.sleep(0.01)
            yield BatchStep(1, 3, "b.tif")

    monkeypatch.setattr(agglomerates_batch, "batch_steps", slow)
    ready.form.run.click()
    qtbot.waitUntil(lambda: ready.form.progress.value() == 1)
    assert ready.form.run.text() == "Cancel"
    ready.form.run.click()
    qtbot.waitUntil(lambda: not ready.running)
    assert "1 of 3 files are finished: Run goes on from there" in ready.form.message.text()

    def fail(request: BatchRequest) -> Any:
        yield BatchStep(0, 0)
        measure(np.zeros((2, 2), float))

    monkeypatch.setattr(agglomerates_batch, "batch_steps", fail)
    ready.form.run.click()
    qtbot.waitUntil(lambda: not ready.running)
    assert "expected integers" in ready.form.message.text()
    assert len(notes) == 1


def test_closed_widget_hears_nothing(viewer, models, images, tmp_path, qtbot, monkeypatch) -> None:
    def slow(request: BatchRequest) -> Any:
        for _ in range(1000):
            time.sleep(0.01)
            yield BatchStep(1, 3, "b.tif")

    monkeypatch.setattr(agglomerates_batch, "batch_steps", slow)
    widget = AgglomeratesWidget(viewer)
    widget.batch.form.folder.setText(str(images))
    widget.batch.form.output.setText(str(tmp_path / "out"))
    widget.batch.form.run.click()
    task = widget.batch.task
    widget.deleteLater()
    qtbot.waitUntil(lambda: not task.running)


def drain(request: BatchRequest) -> tuple[list[BatchStep], Any]:
    steps, found = batch_steps(request), []
    while True:
        try:
            found.append(next(steps))
        except StopIteration as stop:
            return found, stop.value


def test_steps_are_those_of_the_core(images, tmp_path) -> None:
    model = small_model_file(tmp_path / "m.safetensors")
    request = BatchRequest(images, tmp_path / "out", str(model), device="cpu", lot="L1")
    steps, outcome = drain(request)
    assert [step.done for step in steps if step.error] == [3]
    assert "broken.tif" in outcome.result.errors[0]
    assert (steps[-1].done, steps[-1].total, steps[-1].reused) == (3, 3, 0)
    assert outcome.report == tmp_path / "out" / "report.html"
    assert "L1" in outcome.report.read_text()
    labels = [tmp_path / "out" / f"{name}_labels.tif" for name in "ab"]
    expected = measure(labels, image=[images / f"{name}.tif" for name in "ab"]).pooled
    assert outcome.result.measurement.pooled.count == expected.count
    again, _ = drain(request)
    assert max(step.reused for step in again) == 2
