"""The Segment widget on a viewer model with a network that is done at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.predict.tiles import OVERLAP

GEOMETRY = {
    "scale": (0.02, 0.03),
    "translate": (1.0, 2.0),
    "rotate": 10.0,
    "shear": [0.1],
    "units": ("um", "um"),
    "axis_labels": ("y", "x"),
}


def names(viewer: Any) -> list[str]:
    return [layer.name for layer in viewer.layers]


def test_labels_appear_with_the_image_s_geometry(widget, viewer, grey, run) -> None:
    before = grey.copy()
    image = viewer.add_image(grey, name="sample", **GEOMETRY)
    run(widget)
    assert names(viewer) == ["sample", "sample [agglomerate]"]
    labels = viewer.layers[1]
    np.testing.assert_array_equal(labels.data, (grey / np.float32(255) >= 0.5).astype(np.uint8))
    assert labels.data.dtype == np.uint8
    for name in ("scale", "translate", "rotate", "shear"):
        np.testing.assert_allclose(getattr(labels, name), getattr(image, name))
    np.testing.assert_allclose(labels.affine.affine_matrix, image.affine.affine_matrix)
    assert labels.units == image.units
    assert labels.axis_labels == image.axis_labels
    assert labels.editable
    np.testing.assert_array_equal(image.data, before)
    assert image.data is grey


def test_result_layer_carries_classes_and_record(widget, viewer, grey, run) -> None:
    viewer.add_image(grey, name="sample")
    widget.form.model.setCurrentText("two")
    run(widget)
    labels = viewer.layers[-1]
    assert labels.name == "sample [agglomerate, pore]"
    assert list(labels.features["class"]) == ["agglomerate", "pore"]
    assert list(labels.features["index"]) == [1, 2]
    np.testing.assert_allclose(labels.colormap.map(1), (1, 0, 0, 1))
    assert None in labels.colormap.color_dict
    record = labels.metadata["micro_ktnet"]
    assert (record["model"], record["threshold"], record["image"]) == ("two", 0.5, "sample")
    assert record["model_sha256"] == "0" * 64
    assert record["parameters"]["device"] == "cpu"
    assert record["analysed"].all()


def test_network_runs_in_another_thread_and_gets_the_options(widget, viewer, grey, run, network) -> None:
    import threading

    viewer.add_image(grey, scale=(20, 20), units=("nm", "nm"))
    widget.form.tile.setValue(64)
    widget.form.device.setCurrentText("cpu")
    run(widget)
    image, options = network.calls[0]
    assert network.threads[0] != threading.get_ident()
    assert image.pixel_size == (20.0, 20.0)
    assert options["model"] == "one"
    assert (options["tile"], options["device"], options["overlap"]) == (64, "cpu", OVERLAP)
    assert options["match_pixel_size"] is False
    assert options["orientations"] is None
    widget.form.orientations.setCurrentText("8")
    run(widget)
    assert network.calls[1][1]["orientations"] == 8


def test_what_labels_need_is_loaded_in_another_thread(widget, viewer, grey, run, monkeypatch) -> None:
    import threading

    from napari_micro_ktnet.gui import session

    threads = []
    monkeypatch.setattr(session, "prepare_labels", lambda spec: threads.append((threading.get_ident(), spec)))
    viewer.add_image(grey)
    run(widget)
    (thread, spec), *more = threads
    assert thread != threading.get_ident()
    assert not more
    assert [each.name for each in spec.classes] == [each.name for each in widget.result.spec.classes]


def test_tiles_appear_one_by_one(widget, viewer, grey, network, qtbot) -> None:
    viewer.add_image(grey)
    network.hold()
    widget.form.run.click()
    network.let(1)
    qtbot.waitUntil(lambda: len(viewer.layers) == 2)
    qtbot.waitUntil(lambda: widget.form.progress.value() == 1)
    assert widget.form.progress.maximum() == 2
    assert widget.form.run.text() == "Cancel"
    labels = viewer.layers[1]
    assert not labels.data[:, 30:].any()
    assert not labels.editable
    network.let(1)
    qtbot.waitUntil(lambda: not widget.running)
    assert labels.data[:, 32:].all()
    assert widget.form.run.text() == "Run"


def test_threshold_moves_the_labels_without_a_run(widget, viewer, grey, run, network, qtbot) -> None:
    viewer.add_image(grey)
    run(widget)
    labels = viewer.layers[1]
    widget.form.threshold.slider.setValue(80)
    expected = (grey / np.float32(255) >= 0.8).astype(np.uint8)
    qtbot.waitUntil(lambda: np.array_equal(labels.data, expected))
    assert len(network.calls) == 1
    assert labels.metadata["micro_ktnet"]["threshold"] == 0.8
    assert f"{expected.mean():.2%}" in widget.form.message.text()


def test_edits_survive_the_threshold(widget, viewer, grey, run, qtbot) -> None:
    viewer.add_image(grey, name="sample")
    run(widget)
    edited = viewer.layers[1]
    edited.paint((5, 5), 1)
    painted = edited.data.copy()
    widget.form.threshold.slider.setValue(80)
    qtbot.waitUntil(lambda: len(viewer.layers) == 3)
    np.testing.assert_array_equal(edited.data, painted)
    assert not edited.visible
    assert "kept" in widget.form.message.text()
    new = viewer.layers[2]
    np.testing.assert_array_equal(new.data, (grey / np.float32(255) >= 0.8).astype(np.uint8))
    widget.form.threshold.slider.setValue(30)
    qtbot.waitUntil(lambda: new.data.sum() > 40 * 30)
    np.testing.assert_array_equal(edited.data, painted)
    assert len(viewer.layers) == 3


def test_cancel_restores_layers_and_selection(widget, viewer, grey, network, qtbot) -> None:
    first = viewer.add_image(grey, name="a")
    other = viewer.add_points(np.zeros((1, 2)), name="b")
    widget.form.image.choose(first)
    viewer.layers.selection = [first, other]
    network.hold()
    widget.form.run.click()
    network.let(1)
    qtbot.waitUntil(lambda: len(viewer.layers) == 3)
    widget.form.run.click()
    assert widget.form.run.text() == "Cancelling…"
    assert not widget.form.run.isEnabled()
    network.let(1)
    qtbot.waitUntil(lambda: not widget.running)
    assert names(viewer) == ["a", "b"]
    assert set(viewer.layers.selection) == {first, other}
    assert network.closed.wait(5)
    assert widget.form.run.text() == "Run"
    assert widget.form.run.isEnabled()
    assert "Cancelled" in widget.form.message.text()


def test_cancel_keeps_an_earlier_result_as_it_was(widget, viewer, grey, network, run, qtbot) -> None:
    viewer.add_image(grey)
    run(widget)
    earlier = viewer.layers[1]
    data = earlier.data.copy()
    network.hold()
    widget.form.run.click()
    network.let(1)
    qtbot.waitUntil(lambda: len(viewer.layers) == 3)
    assert not earlier.visible
    widget.form.run.click()
    network.let(1)
    qtbot.waitUntil(lambda: not widget.running)
    assert earlier.visible
    np.testing.assert_array_equal(earlier.data, data)
    assert widget.result is not None
    assert widget.result.labels is earlier


def test_second_run_hides_the_first_result(widget, viewer, grey, run) -> None:
    viewer.add_image(grey)
    run(widget)
    run(widget)
    assert [layer.visible for layer in viewer.layers] == [True, False, True]


@pytest.mark.parametrize("which", ["image", "labels"])
def test_deleting_a_layer_ends_the_run(which, widget, viewer, grey, network, qtbot, notes) -> None:
    viewer.add_image(grey)
    network.hold()
    widget.form.run.click()
    network.let(1)
    qtbot.waitUntil(lambda: len(viewer.layers) == 2)
    viewer.layers.pop(0 if which == "image" else 1)
    network.let(1)
    qtbot.waitUntil(lambda: not widget.running)
    assert len(viewer.layers) == (0 if which == "image" else 1)
    assert notes == []
    assert not widget.results


def test_deleted_widget_ends_the_run(qtbot, viewer, models, network, grey) -> None:
    from qtpy.QtWidgets import QApplication

    from napari_micro_ktnet.gui.segment.widget import SegmentWidget

    image = viewer.add_image(grey)
    widget = SegmentWidget(viewer)
    network.hold()
    widget.form.run.click()
    network.let(1)
    qtbot.waitUntil(lambda: len(viewer.layers) == 2)
    session = widget.session
    widget.deleteLater()
    QApplication.processEvents()
    qtbot.wait(20)
    network.let(1)
    qtbot.waitUntil(lambda: not session.running)
    assert list(viewer.layers) == [image]
    image.name = "still no error"
    viewer.add_image(grey)


def test_own_error_is_one_sentence_and_nothing_is_left(widget, viewer, grey, network, run, notes) -> None:
    viewer.add_image(grey)
    network.error = InputError("The device 'cuda' is not on this machine.")
    run(widget)
    assert notes == ["The device 'cuda' is not on this machine."]
    assert len(viewer.layers) == 1
    assert "cuda" in widget.form.message.text()
    assert widget.form.run.isEnabled()


@pytest.mark.parametrize("error", [RuntimeError("convolution broke"), ZeroDivisionError("surprise")])
def test_foreign_error_goes_to_napari_with_its_traceback(
    error, widget, viewer, grey, network, run, notes, monkeypatch
) -> None:
    raised: list[Any] = []
    monkeypatch.setattr(
        "napari_micro_ktnet.gui.jobs.notification_manager.receive_error",
        lambda kind, value, traceback: raised.append((value, traceback)),
    )
    viewer.add_image(grey)
    network.error = error
    run(widget)
    assert notes == []
    assert raised[0][0] is error
    assert raised[0][1] is not None
    assert len(viewer.layers) == 1


def test_probability_layer_on_demand(widget, viewer, grey, run) -> None:
    image = viewer.add_image(grey, name="sample", **GEOMETRY)
    run(widget)
    widget.form.probability.click()
    assert names(viewer) == ["sample", "sample [agglomerate]", "sample [probability of agglomerate]"]
    probability = viewer.layers[-1]
    np.testing.assert_allclose(probability.data, grey / 255, atol=1e-6)
    assert probability.units == image.units
    # It is no new image to segment.
    assert widget.form.image.layer is image
    assert widget.form.image.count() == 1
    widget.form.probability.click()
    assert names(viewer) == ["sample", "sample [agglomerate]"]


def test_rescaling_is_offered_where_the_pixel_size_is_far_off(widget, viewer, grey, run, network) -> None:
    image = viewer.add_image(grey, scale=(0.1, 0.1), units=("um", "um"))
    assert widget.form.pixel_size_note.isVisibleTo(widget)
    assert "100 nm" in widget.form.pixel_size_note.text()
    assert "20 nm" in widget.form.pixel_size_note.text()
    widget.form.rescale.setChecked(True)
    run(widget)
    assert network.calls[0][1]["match_pixel_size"] is True
    assert viewer.layers[-1].data.shape == grey.shape
    image.scale = (0.022, 0.022)
    assert not widget.form.pixel_size_note.isVisibleTo(widget)
    run(widget)
    assert network.calls[1][1]["match_pixel_size"] is False


def test_model_file_can_be_chosen(widget, viewer, grey, models: Path, tmp_path: Path) -> None:
    viewer.add_image(grey)
    path = tmp_path / "mine.safetensors"
    path.write_bytes((models / "two.safetensors").read_bytes())
    widget.add_model_file(str(path))
    assert widget.form.model.currentText() == "mine"
    assert "agglomerate, pore" in widget.form.about.text()
    widget.refresh_models()
    assert widget.form.model.currentText() == "mine"
    assert [widget.form.model.itemText(i) for i in range(widget.form.model.count())].count("mine") == 1
    (tmp_path / "bad.safetensors").write_bytes(b"\x80\x04 a pickle")
    widget.add_model_file(str(tmp_path / "bad.safetensors"))
    assert "pickle" in widget.form.message.text()
    assert not widget.form.run.isEnabled()


def test_a_model_with_a_dot_in_its_name_is_listed_once(widget, models: Path) -> None:
    path = models / "v1.2.safetensors"
    path.write_bytes((models / "two.safetensors").read_bytes())
    for count in (1, 1, 0):
        if not count:
            path.unlink()
        widget.refresh_models()
        listed = [widget.form.model.itemText(i) for i in range(widget.form.model.count())]
        assert listed.count("v1.2") == count


def test_settings_choose_the_device_and_the_cache_folder(
    qtbot, viewer, models, network, monkeypatch, tmp_path: Path
) -> None:
    from napari_micro_ktnet.gui import settings
    from napari_micro_ktnet.gui.segment.widget import SegmentWidget
    from napari_micro_ktnet.model.cache import cache_folder

    chosen = {"device": "cuda", "cache_folder": str(tmp_path / "cache")}
    monkeypatch.delenv("MICRO_KTNET_CACHE", raising=False)
    monkeypatch.setattr(settings, "_replaced", {})
    monkeypatch.setattr(settings, "_setting", lambda key, default: chosen.get(key, default))
    widget = SegmentWidget(viewer)
    qtbot.addWidget(widget)
    assert widget.form.device.currentText() == "cuda"
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.setenv("MICRO_KTNET_CACHE", str(tmp_path / "environment"))
    settings.apply_cache_folder()
    assert cache_folder() == tmp_path / "cache"
    chosen["cache_folder"] = str(tmp_path / "other")
    settings.apply_cache_folder()
    assert cache_folder() == tmp_path / "other"


def test_without_a_cache_folder_in_the_preferences_the_environment_holds_again(
    monkeypatch, tmp_path: Path
) -> None:
    from napari_micro_ktnet.gui import settings
    from napari_micro_ktnet.model.cache import cache_folder

    chosen = {"cache_folder": str(tmp_path / "cache")}
    monkeypatch.setenv("MICRO_KTNET_CACHE", str(tmp_path / "environment"))
    monkeypatch.setattr(settings, "_replaced", {})
    monkeypatch.setattr(settings, "_setting", lambda key, default: chosen.get(key, default))
    settings.apply_cache_folder()
    assert cache_folder() == tmp_path / "cache"
    del chosen["cache_folder"]
    for _ in range(2):
        settings.apply_cache_folder()
        assert cache_folder() == tmp_path / "environment"


def test_settings_are_those_of_the_manifest() -> None:
    from napari_micro_ktnet.gui import settings

    assert settings.preferred_device() in ("auto", "cpu", "cuda", "mps")
    assert settings.devices()[:2] == ["auto", "cpu"]


def test_an_image_that_got_another_size_has_no_result_any_more(widget, viewer, grey, run) -> None:
    image = viewer.add_image(grey)
    run(widget)
    before = viewer.layers[-1].data.copy()
    image.data = grey[:40, :50]
    widget.form.threshold.set_value(0.7)
    widget._relabel()
    np.testing.assert_array_equal(viewer.layers[1].data, before)
    assert widget.form.message.text() == ""
    run(widget)
    assert viewer.layers[-1].data.shape == (40, 50)


@pytest.mark.parametrize("when", ["tile", "end"])
def test_a_layer_that_cannot_be_shown_ends_the_run(
    when, widget, viewer, grey, run, notes, monkeypatch
) -> None:
    viewer.add_image(grey, name="sample")
    real = viewer.layers.insert

    def insert(index: int, layer: Any) -> None:
        real(index, layer)
        raise InputError("no more textures")

    def finish(*_: object) -> None:
        raise InputError("no more textures")

    if when == "tile":
        monkeypatch.setattr(viewer.layers, "insert", insert)
    else:
        monkeypatch.setattr("napari_micro_ktnet.gui.live_result.LiveResult.finish", finish)
    run(widget)
    assert names(viewer) == ["sample"]
    assert widget.form.run.text() == "Run"
    assert widget.form.message.text() == "no more textures"
    assert notes == ["no more textures"]
    monkeypatch.undo()
