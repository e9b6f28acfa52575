"""Start, weights, estimate, crops and curves of the Train widget."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shutil import copyfile
from typing import Any

import numpy as np
import pytest

from blobs import blobs
from napari_micro_ktnet.errors import FetchError, TrainingError
from napari_micro_ktnet.gui import settings as gui_settings
from napari_micro_ktnet.gui.train import jobs as train_jobs
from napari_micro_ktnet.gui.train import start as train_start
from napari_micro_ktnet.gui.train.curves import Curve, CurvePlot
from napari_micro_ktnet.gui.train.jobs import describe_estimate
from napari_micro_ktnet.gui.train.run import TrainRequest
from napari_micro_ktnet.gui.train.widget import TrainWidget
from napari_micro_ktnet.model.cache import CACHE_VARIABLE
from napari_micro_ktnet.model.download import FetchReport
from napari_micro_ktnet.model.encoders import LITE0
from napari_micro_ktnet.model.fetch import micronet_path
from napari_micro_ktnet.model.micronet import find_micronet
from napari_micro_ktnet.training.config import preset
from napari_micro_ktnet.training.run_config import RunConfig


@pytest.fixture
def train(
    qtbot: Any, viewer: Any, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> TrainWidget:
    monkeypatch.setenv("MICRO_KTNET_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("MICRO_KTNET_CACHE", str(tmp_path / "cache"))
    copyfile(models / "one.safetensors", tmp_path / "starter.safetensors")
    for i in range(2):
        grey, mask = blobs((160, 240), seed=i)
        viewer.add_image(grey, name=f"field {i}")
        viewer.add_labels(mask, name=f"field {i}_mask")
    made = TrainWidget(viewer)
    qtbot.addWidget(made)
    return made


def choose(train: TrainWidget, start: str) -> None:
    combo = train.form.start.start
    combo.setCurrentIndex(combo.findData(start))


@pytest.mark.parametrize(
    ("start", "encoder", "choices"),
    [
        ("starter", LITE0, 1),
        ("imagenet", LITE0, 1),
        ("micronet", "se_resnext50_32x4d", 36),
        ("imagenet-micronet", "se_resnext50_32x4d", 38),
        ("random", LITE0, 39),
        ("two", LITE0, 1),
    ],
)
def test_start_decides_the_encoders(start, encoder, choices, train) -> None:
    choose(train, start)
    assert train.form.start.encoder.currentText() == encoder
    assert train.form.start.encoder.count() == choices
    fields = train.form.start.fields()
    assert (fields["init"], fields["encoder"]) == (start, encoder)


def test_model_file_can_be_the_start(train, models) -> None:
    train.form.start.add_file(str(models / "two.safetensors"))
    assert train.form.start.init == str(models / "two.safetensors")
    assert train.form.train.isEnabled()
    (models / "two.safetensors").unlink()
    train.update_checks()
    assert "two.safetensors" in train.form.message.text()


def test_micronet_weights_are_fetched_with_progress(train, qtbot, monkeypatch) -> None:
    place = micronet_path(find_micronet("se_resnext50_32x4d", "imagenet-micronet"))

    def fetch(encoder: str, variant: str) -> Iterator[FetchReport]:
        assert (encoder, variant) == ("se_resnext50_32x4d", "imagenet-micronet")
        for received in (0, 50_000_000, 100_000_000):
            yield FetchReport(received, 100_000_000)
        place.parent.mkdir(parents=True)
        place.write_bytes(b"x")

    monkeypatch.setattr(train_start, "iter_fetch", fetch)
    choose(train, "imagenet-micronet")
    start = train.form.start
    assert "Not on this computer" in start.about.text()
    assert "MIT" in start.about.text()
    assert "press Fetch" in train.form.message.text()
    assert not train.form.train.isEnabled()
    start.fetch.click()
    assert start.fetch.text() == "Cancel"
    qtbot.waitUntil(lambda: train.form.train.isEnabled(), timeout=10_000)
    assert start.bar.maximum() == 100_000
    assert str(place) in start.about.text()
    assert not start.fetch.isEnabled()


def test_another_cache_folder_in_the_preferences_holds_at_once(
    train, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    chosen = {"cache_folder": str(tmp_path / "a")}
    # So that what is set is taken back after the test.
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "environment"))
    monkeypatch.setattr(gui_settings, "_replaced", {})
    monkeypatch.setattr(gui_settings, "_setting", lambda key, default: chosen.get(key, default))
    choose(train, "imagenet-micronet")
    assert "Not on this computer" in train.form.start.about.text()
    chosen["cache_folder"] = str(tmp_path / "b")
    place = tmp_path / "b" / "micronet" / find_micronet("se_resnext50_32x4d", "micronet").file_name
    place.parent.mkdir(parents=True)
    place.write_bytes(b"x")
    choose(train, "micronet")
    assert str(place) in train.form.start.about.text()
    assert not train.form.start.fetch.isEnabled()
    assert train.form.train.isEnabled()


def test_fetch_that_fails_says_why(train, qtbot, monkeypatch) -> None:
    def fetch(*_: str) -> Iterator[FetchReport]:
        yield FetchReport(0, None)
        raise FetchError("No connection to the server.")

    monkeypatch.setattr(train_start, "iter_fetch", fetch)
    choose(train, "micronet")
    train.form.start.fetch.click()
    qtbot.waitUntil(lambda: "No connection" in train.form.start.about.text(), timeout=10_000)
    assert not train.form.train.isEnabled()


def test_import_goes_through_the_core(train, qtbot, monkeypatch) -> None:
    calls: list[tuple[str, ...]] = []
    monkeypatch.setattr(
        "napari_micro_ktnet.model.weights.import_weights", lambda *values: calls.append(values)
    )
    choose(train, "micronet")
    train.form.start.import_weights("/some/file.pth.tar")
    qtbot.waitUntil(lambda: train.form.start._job is None, timeout=60_000)
    assert calls == [("/some/file.pth.tar", "se_resnext50_32x4d", "micronet")]


def test_estimate_is_a_sentence(train, qtbot, monkeypatch) -> None:
    seen: list[RunConfig] = []

    def measure(config: RunConfig, folder: Path) -> Iterator[None]:
        seen.append(config)
        assert len(list((folder / "data" / "masks").iterdir())) == 2
        yield
        return {"step_s": 1.5, "validation_s": 4.0, "total_s": 632.0, "memory_bytes": 2**31, "steps": 400}

    monkeypatch.setattr(train_jobs, "iter_estimate", measure)
    train.form.estimate.click()
    assert train.form.estimate.text() == "Cancel the estimate"
    qtbot.waitUntil(lambda: not train.side.estimating, timeout=10_000)
    expected = "About 11 min for 400 steps: 1.5 s a step, 4 s a validation, 2.0 GB of memory."
    assert train.form.estimated.text() == expected
    assert not seen[0].data.images.exists(), "nothing is left behind"


def test_estimate_that_fails_says_why(train, qtbot, monkeypatch) -> None:
    def measure(config: RunConfig, folder: Path) -> Iterator[None]:
        yield
        raise TrainingError("Memory ran out.")

    monkeypatch.setattr(train_jobs, "iter_estimate", measure)
    train.form.estimate.click()
    qtbot.waitUntil(lambda: not train.side.estimating, timeout=10_000)
    assert train.form.estimated.text() == "Memory ran out."


def test_estimate_in_minutes_says_how_many_steps_fit() -> None:
    values = {"step_s": 1.0, "validation_s": 10.0, "total_s": 0.0, "memory_bytes": 0, "steps": 400}
    request = TrainRequest("x", preset("quick", validate_every=50), minutes=2)
    assert describe_estimate(values, request) == "About 100 steps in 2 min: 1 s a step, 10 s a validation."


def test_varied_crops_are_shown(train, qtbot) -> None:
    train.form.settings.crop.setValue(64)
    train.form.settings.show_augment.click()
    qtbot.waitUntil(lambda: train.side.dialog is not None, timeout=60_000)
    picture = train.side.dialog.picture.pixmap()
    assert picture.width() == 1000
    assert len(train.viewer.layers) == 4
    train.side.dialog.close()


def test_curves_are_drawn_where_they_belong(qtbot) -> None:
    plot = CurvePlot("IoU", top=1.0)
    qtbot.addWidget(plot)
    plot.resize(400, 120)
    plot.show_curves([Curve("a", "#ff0000", [(0, 0.5), (100, 0.5)]), Curve("", "#00ff00", [])], 100)
    image = plot.grab().toImage()
    middle = 20 + (120 - 20 - 18) // 2
    assert image.pixelColor(200, middle).red() > 200
    assert image.pixelColor(200, middle - 20).red() == image.pixelColor(200, middle - 20).green()
    plot.show_curves([Curve("a", "#ff0000", [(1, float("nan"))])], 0)
    plot.grab()


def test_labels_with_one_number_per_object_colour_their_row(train, viewer) -> None:
    viewer.layers["field 1_mask"].data = np.arange(160 * 240).reshape(160, 240)
    train.update_checks()
    assert "its own number" in train.form.message.text()
    assert not train.form.train.isEnabled()
    table = train.form.pairs
    assert table.item(1, 0).foreground().color().name() == "#e5534b"
    from qtpy.QtCore import Qt

    table.item(1, 0).setCheckState(Qt.CheckState.Unchecked)
    assert train.form.train.isEnabled()
