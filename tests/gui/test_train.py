"""The Train widget on a viewer model; the training process is made up, its events are not."""

from __future__ import annotations

import threading
from shutil import copyfile
from typing import Any

import numpy as np
import pytest
import tifffile

from blobs import blobs
from fake_training import FakeProcess
from napari_micro_ktnet.gui.segment.widget import SegmentWidget
from napari_micro_ktnet.gui.train import run as train_run
from napari_micro_ktnet.gui.train import runs as train_runs
from napari_micro_ktnet.gui.train.widget import TrainWidget
from napari_micro_ktnet.model.registry import model_info
from napari_micro_ktnet.model.spec import AGGLOMERATE, LabelClass
from napari_micro_ktnet.sem import read_sem
from napari_micro_ktnet.training.manifest import Manifest
from napari_micro_ktnet.training.process import Ending
from napari_micro_ktnet.training.run import Run, RunSummary
from napari_micro_ktnet.training.run_config import RunConfig, parse_config

UM = {"scale": (0.02, 0.02), "units": ("um", "um")}
SHAPE = (160, 240)


pytestmark = pytest.mark.usefixtures("runs")


def names(viewer: Any) -> list[str]:
    return [layer.name for layer in viewer.layers]


def test_training_writes_data_follows_and_lists_the_model(
    train, annotated, press, viewer, runs, qtbot
) -> None:
    segment = SegmentWidget(viewer)
    qtbot.addWidget(segment)
    train.form.name.setText("mine")
    press(train)
    process = FakeProcess.started[0]
    assert process.path == runs / "mine"
    assert process.config.data.annotation == "scribbles"
    files = sorted(p.name for p in (runs / "mine" / "data" / "images").iterdir())
    assert files == ["000_field_0.tif", "001_field_1.tif"]
    image = read_sem(runs / "mine" / "data" / "images" / files[0])
    np.testing.assert_array_equal(image.pixels, annotated[0].data)
    assert image.pixel_size == pytest.approx((20.0, 20.0))
    mask = tifffile.imread(runs / "mine" / "data" / "masks" / files[0])
    np.testing.assert_array_equal(mask, annotated[1].data + 1)
    assert model_info("mine").name == "mine"
    assert "'mine' is in the list of models" in train.form.message.text()
    assert segment.form.model.findData("mine") >= 0
    assert train.form.start.start.findData("mine") >= 0
    assert train.form.name.text() == "mine-2"
    assert train.form.train.isEnabled()
    assert names(viewer)[-2:] == ["mine [validation]", "mine [latest prediction]"]
    assert viewer.layers[-1].data.max() == 1
    assert train.form.pairs.rowCount() == 2, "a preview is no annotation"


def test_settings_reach_the_process(train, annotated, press) -> None:
    form = train.form
    form.settings.preset.setCurrentText("thorough")
    form.settings.length.setValue(77)
    form.settings.crop.setValue(128)
    form.settings.lr_encoder.setText("1e-5")
    form.settings.augment.setCurrentText("none")
    form.settings.freeze_batchnorm.setChecked(True)
    form.settings.seed.setValue(5)
    form.start.start.setCurrentIndex(form.start.start.findData("random"))
    form.start.encoder.setCurrentText("resnet18")
    form.classes.set_color(0, "#00ff00")
    press(train)
    config = FakeProcess.started[0].config.training
    assert (config.steps, config.crop, config.lr_encoder, config.seed) == (77, 128, 1e-5, 5)
    assert (config.init, config.encoder) == ("random", "resnet18")
    assert config.augment.blur == config.augment.contrast == 0
    assert config.freeze_batchnorm
    assert config.ema == 0.995, "what has no field comes from the preset"
    assert config.classes == (LabelClass(name="agglomerate", color="#00ff00"),)
    text = (FakeProcess.started[0].path / "run.toml").read_text()
    assert "#00ff00" in text
    assert parse_config(FakeProcess.started[0].path / "run.toml").training == config


def test_minutes_are_handed_over(train, annotated, press) -> None:
    train.form.settings.unit.setCurrentText("minutes")
    train.form.settings.length.setValue(3)
    press(train)
    assert FakeProcess.started[0].minutes == 3


def test_bars_curves_and_remaining_time(train, annotated, qtbot) -> None:
    FakeProcess.gate = threading.Semaphore(3)
    train.form.train.click()
    assert not train.form.fields.isVisibleTo(train)
    qtbot.waitUntil(lambda: train.session.history.step == 3, timeout=20_000)
    part = train.form.progress
    assert (part.steps.value(), part.steps.maximum()) == (3, 4)
    assert part.steps.format().startswith("step 3 of 4")
    assert part.epochs.format().startswith("epoch ")
    assert "IoU 0.250" in train.form.message.text()
    assert part.loss._curves[0].points == [(1, 1.0), (2, 0.5), (3, pytest.approx(1 / 3))]
    assert part.score._curves[0].points == [(2, 0.25)]
    FakeProcess.gate.release(10)
    qtbot.waitUntil(lambda: not train.running, timeout=20_000)
    assert train.form.fields.isVisibleTo(train)


def test_pause_and_resume(train, annotated, qtbot, runs) -> None:
    FakeProcess.gate = threading.Semaphore(2)
    train.form.name.setText("mine")
    train.form.train.click()
    qtbot.waitUntil(lambda: train.session.history.step == 2, timeout=20_000)
    train.form.pause.click()
    qtbot.waitUntil(lambda: not train.running, timeout=20_000)
    assert "Paused after step 2" in train.form.message.text()
    assert train.form.pause.text() == "Resume"
    assert train.form.runs.currentText().startswith("mine · stopped")
    FakeProcess.gate.release(10)
    train.form.pause.click()
    assert train.form.pause.text() == "Pause"
    qtbot.waitUntil(lambda: not train.running, timeout=20_000)
    assert [p.first for p in FakeProcess.started] == [0, 2]
    assert FakeProcess.started[1].name == "mine"
    assert "Done after 4 steps" in train.form.message.text()
    assert not train.form.pause.isVisibleTo(train)


def test_cancel_gives_back_what_was_there(train, annotated, qtbot, viewer, runs) -> None:
    before = names(viewer)
    FakeProcess.gate = threading.Semaphore(2)
    train.form.name.setText("mine")
    train.form.train.click()
    qtbot.waitUntil(lambda: len(viewer.layers) == len(before) + 2, timeout=20_000)
    train.form.cancel.click()
    assert not train.form.cancel.isEnabled()
    qtbot.waitUntil(lambda: not train.running, timeout=20_000)
    assert names(viewer) == before
    assert str(runs / "mine" / "model.safetensors") in train.form.message.text()
    assert train.form.fields.isVisibleTo(train)
    assert not train.form.progress.isVisibleTo(train)
    assert not train.form.pause.isVisibleTo(train)
    assert train.form.train.isEnabled()


def test_failure_is_said_and_can_be_resumed(train, annotated, press, notes) -> None:
    FakeProcess.fail_at = 3
    FakeProcess.ending = Ending("failed", "The loss became nan at step 3.")
    press(train)
    assert "The loss became nan at step 3." in train.form.message.text()
    assert train.form.pause.isVisibleTo(train)
    assert train.form.pause.text() == "Resume"


def test_layers_deleted_while_training_break_nothing(train, annotated, qtbot, viewer, notes) -> None:
    FakeProcess.gate = threading.Semaphore(2)
    train.form.train.click()
    qtbot.waitUntil(lambda: len(viewer.layers) == 6, timeout=20_000)
    viewer.layers.clear()
    FakeProcess.gate.release(10)
    qtbot.waitUntil(lambda: not train.running, timeout=20_000)
    assert len(viewer.layers) == 0, "what a user deleted does not come back"
    assert "Done" in train.form.message.text()
    assert notes == []


def test_deleted_widget_leaves_the_process_alone(qtbot, viewer, models, runs) -> None:
    from qtpy.QtWidgets import QApplication

    copyfile(models / "one.safetensors", models.parent / "starter.safetensors")
    widget = TrainWidget(viewer)
    for i in range(2):
        grey, mask = blobs(SHAPE, seed=i)
        viewer.add_image(grey, name=f"f{i}")
        viewer.add_labels(mask, name=f"f{i}_mask")
    FakeProcess.gate = threading.Semaphore(1)
    widget.form.train.click()
    qtbot.waitUntil(lambda: widget.session.history.step == 1, timeout=20_000)
    session = widget.session
    widget.deleteLater()
    QApplication.processEvents()
    qtbot.wait(20)
    FakeProcess.gate.release(10)
    qtbot.waitUntil(lambda: not session.running, timeout=20_000)
    assert not FakeProcess.started[0].stopped.is_set()
    viewer.layers[1].paint((3, 3), 1)
    viewer.add_image(np.zeros((5, 5)))


def test_two_widgets_cannot_train_at_once(train, annotated, viewer, qtbot) -> None:
    other = TrainWidget(viewer)
    qtbot.addWidget(other)
    FakeProcess.gate = threading.Semaphore(1)
    train.form.name.setText("first")
    train.form.train.click()
    qtbot.waitUntil(lambda: train.session.history.step == 1, timeout=20_000)
    train.train()
    other.form.name.setText("second")
    other.form.train.click()
    assert len(FakeProcess.started) == 1
    assert "'first' is training" in other.form.message.text()
    FakeProcess.gate.release(10)
    qtbot.waitUntil(lambda: not train.running, timeout=20_000)


@pytest.mark.parametrize(("status", "button"), [("running", "Attach"), ("interrupted", "Resume")])
def test_unfinished_runs_are_offered(status, button, qtbot, viewer, models, runs, monkeypatch, train) -> None:
    config = RunConfig(training=train.form.settings.config())
    Run.create(runs / "old", config, Manifest(images=()))
    summary = RunSummary(runs / "old", status, 30, 400, 0.5)
    monkeypatch.setattr(train_runs, "list_runs", lambda: [summary])
    monkeypatch.setattr(train_runs, "running_runs", lambda: ["old"] if status == "running" else [])
    widget = TrainWidget(viewer)
    qtbot.addWidget(widget)
    assert "'old'" in widget.form.offer.text()
    assert "30 of 400" in widget.form.offer.text()
    assert widget.form.attach.text() == button
    widget.form.attach.click()
    qtbot.waitUntil(lambda: not widget.running, timeout=20_000)
    assert FakeProcess.started[0].path == runs / "old"
    assert FakeProcess.started[0].name == "old"


def test_corrupt_run_is_listed_and_not_offered(qtbot, viewer, models, runs) -> None:
    (runs / "bad").mkdir(parents=True)
    (runs / "bad" / "run.toml").write_text("nonsense [")
    widget = TrainWidget(viewer)
    qtbot.addWidget(widget)
    assert widget.form.runs.currentText() == "bad · corrupt"
    assert not widget.form.attach.isEnabled()
    assert not widget.form.offer.isVisibleTo(widget)


def test_a_folder_of_the_name_is_not_touched(train, annotated, runs) -> None:
    (runs / "mine").mkdir(parents=True)
    (runs / "mine" / "keep.txt").write_text("x")
    train.form.name.setText("mine")
    assert not train.form.train.isEnabled()
    assert "run named 'mine'" in train.form.message.text()
    assert (runs / "mine" / "keep.txt").exists()


def test_start_that_fails_leaves_no_folder(train, annotated, press, runs, notes, monkeypatch) -> None:
    def no_disk(*args: object, **keywords: object) -> None:
        raise train_run.OutputError("The disk is full.")

    monkeypatch.setattr(FakeProcess, "start", no_disk)
    train.form.name.setText("mine")
    press(train)
    assert "The disk is full." in train.form.message.text()
    assert notes == ["The disk is full."]
    assert not (runs / "mine").exists()
    assert train.form.train.isEnabled()


def test_folders_instead_of_layers(train, press, tmp_path) -> None:
    train.form.source.setCurrentIndex(1)
    assert "folder of images" in train.form.message.text()
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
        getattr(train.form, name).setText(str(tmp_path / name))
    train.form.annotation.setCurrentText("scribbles")
    press(train)
    data = FakeProcess.started[0].config.data
    assert (data.images, data.masks) == (tmp_path / "images", tmp_path / "masks")
    assert data.annotation == "scribbles"
    assert data.class_names == ()


@pytest.mark.parametrize(
    ("field", "value", "part"),
    [
        ("lr_encoder", "fast", "learning rate"),
        ("lr_decoder", "-1", "learning rate"),
        ("crop", 100, "multiple of 32"),
    ],
)
def test_wrong_setting_is_marked(field, value, part, train, annotated) -> None:
    widget = getattr(train.form.settings, field)
    widget.setText(value) if isinstance(value, str) else widget.setValue(value)
    assert part in train.form.message.text()
    assert part in widget.toolTip()
    assert widget.styleSheet()
    assert not train.form.train.isEnabled()
    train.form.settings.take_preset()
    assert train.form.train.isEnabled()
    assert not widget.styleSheet()


@pytest.mark.parametrize("name", ["", "one", "starter", "a b", "../x"])
def test_wrong_name_is_marked(name, train, annotated) -> None:
    train.form.name.setText(name)
    assert not train.form.train.isEnabled()
    assert train.form.name.styleSheet()


def test_default_class_is_the_agglomerate(train) -> None:
    assert [c.name for c in train.form.classes.classes] == [AGGLOMERATE.name]
    assert "Annotate an image first" in train.form.message.text()
    assert not train.form.train.isEnabled()
