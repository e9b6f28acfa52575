"""The Metrics widget on a viewer that is not drawn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from napari_micro_ktnet.gui.metrics import run as metrics_run
from napari_micro_ktnet.gui.metrics import session as metrics_session
from napari_micro_ktnet.gui.metrics.layers import is_error_layer
from napari_micro_ktnet.gui.metrics.widget import MetricsWidget
from napari_micro_ktnet.gui.tables import Column, ColumnTable

RECORD = {"image": "a", "classes": ["agglomerate"], "threshold": 0.4}


@pytest.fixture
def masks() -> tuple[np.ndarray, np.ndarray]:
    """Prediction and truth: one object is found, one missed, one false."""
    prediction, truth = np.zeros((2, 40, 60), np.uint8)
    truth[5:15, 5:15], prediction[5:15, 5:14] = 1, 1
    truth[25:30, 10:15] = 1
    prediction[25:31, 40:50] = 1
    return prediction, truth


@pytest.fixture
def metrics(qtbot: Any, viewer: Any) -> MetricsWidget:
    made = MetricsWidget(viewer)
    qtbot.addWidget(made)
    return made


@pytest.fixture
def two(viewer, masks, metrics) -> MetricsWidget:
    """With an image, a prediction as Segment makes it, and the truth."""
    place = {"scale": (0.02, 0.02), "units": ("um", "um"), "translate": (1.0, 2.0)}
    viewer.add_image(np.zeros((40, 60), np.uint8), name="a", **place)
    viewer.add_labels(masks[0], name="a [agglomerate]", metadata={"micro_ktnet": dict(RECORD)}, **place)
    viewer.add_labels(masks[1], name="a_mask", **place)
    return metrics


@pytest.fixture
def compare(qtbot: Any) -> Callable[[MetricsWidget], None]:
    def press(widget: MetricsWidget) -> None:
        assert widget.form.compare.isEnabled(), widget.form.message.text()
        widget.form.compare.click()
        qtbot.waitUntil(lambda: not widget.running, timeout=20_000)

    return press


def test_opens_without_layers(metrics) -> None:
    assert not metrics.form.compare.isEnabled()
    assert "no prediction" in metrics.form.message.text()
    assert metrics.form.prediction.toolTip() == metrics.form.message.text()


def test_layers_and_classes_are_suggested(two) -> None:
    form = two.form
    assert (form.prediction.layer.name, form.truth.layer.name) == ("a [agglomerate]", "a_mask")
    assert form.class_names == ("agglomerate",)
    assert not form.instances
    assert form.compare.isEnabled()


def test_choice_of_the_user_stays(two, viewer) -> None:
    two.form.truth.choose(viewer.layers["a [agglomerate]"])
    two.form.truth.activated.emit(two.form.truth.currentIndex())
    viewer.add_labels(np.ones((40, 60), np.uint8), name="better truth")
    assert two.form.truth.layer.name == "a [agglomerate]"
    assert "same layer" in two.form.message.text()
    assert not two.form.compare.isEnabled()


def test_compare_shows_scores_errors_and_objects(two, viewer, masks, compare) -> None:
    before = [layer.data.copy() for layer in viewer.layers]
    compare(two)
    results = two.form.results
    scores = results.comparison.evaluation.pooled["agglomerate"]
    assert scores.pixels.iou == pytest.approx(90 / (100 + 25 + 60))
    assert "1 of 2 objects found, 1 false" in two.form.message.text()
    assert results.objects.counts() == {"missed": 1, "false": 1, "split": 0, "merged": 0, "found": 1}
    errors = viewer.layers[-1]
    assert is_error_layer(errors)
    prediction, truth = masks
    # Found 1, missed 2, false 3.
    np.testing.assert_array_equal(errors.data, np.array([[0, 2], [3, 1]])[prediction, truth])
    for name in ("scale", "translate"):
        np.testing.assert_allclose(getattr(errors, name), getattr(viewer.layers["a"], name))
    assert errors.units == viewer.layers["a"].units
    assert not errors.editable
    for layer, data in zip(viewer.layers, before, strict=False):
        np.testing.assert_array_equal(layer.data, data)
    assert results.comparison.evaluation.unit == "um"


def test_second_compare_takes_the_place_of_the_first(two, viewer, compare) -> None:
    compare(two)
    errors = viewer.layers[-1]
    errors.opacity = 0.3
    viewer.layers["a_mask"].data = np.zeros((40, 60), np.uint8)
    compare(two)
    assert viewer.layers[-1] is errors
    assert len(viewer.layers) == 4
    assert set(np.unique(errors.data)) == {0, 3}
    assert errors.opacity == 0.3
    viewer.layers.remove(errors)
    compare(two)
    assert is_error_layer(viewer.layers[-1])


def test_click_on_an_object_goes_there(two, viewer, compare) -> None:
    compare(two)
    table = two.form.results.object_table
    two.form.results.verdict.setCurrentIndex(1)
    assert table.rows.rowCount() == 1
    selected = set(viewer.layers.selection)
    table.clicked.emit(table.rows.index(0, 0))
    camera = getattr(viewer, "scene", viewer).camera
    np.testing.assert_allclose(camera.center[-2:], (1 + 27 * 0.02, 2 + 12 * 0.02))
    box = viewer.layers["chosen object"]
    assert box.data[0].min(axis=0) == pytest.approx((23.5, 8.5))
    assert box.data[0].max(axis=0) == pytest.approx((30.5, 15.5))
    assert set(viewer.layers.selection) == selected
    two.go_to_object(0)
    assert [layer.name for layer in viewer.layers].count("chosen object") == 1
    compare(two)
    assert "chosen object" not in viewer.layers


def test_painting_makes_the_result_stale(two, viewer, compare, qtbot) -> None:
    compare(two)
    viewer.layers["a_mask"].data_setitem((np.array([0]), np.array([0])), 1)
    qtbot.waitUntil(lambda: "changed since" in two.form.message.text(), timeout=2000)
    compare(two)
    assert "changed since" not in two.form.message.text()
    for layer in viewer.layers:
        layer.scale = (0.04, 0.04)
    assert "changed since" in two.form.message.text()
    two.go_to_object(0)
    np.testing.assert_allclose(viewer.layers["chosen object"].scale, 0.04)


def test_deleted_layer(two, viewer, compare) -> None:
    compare(two)
    viewer.add_labels(np.ones((40, 60), np.uint8), name="better truth")
    two.form.truth.choose(viewer.layers["better truth"])
    assert two.form.message.text().startswith("a [agglomerate] against a_mask: IoU 0.486")
    viewer.layers.remove("better truth")
    viewer.layers.remove("a_mask")
    viewer.layers.remove("a [agglomerate]")
    assert not two.form.compare.isEnabled()
    two.go_to_object(0)
    assert "chosen object" in viewer.layers


def test_resampling_is_offered(two, viewer, compare) -> None:
    truth = np.kron(viewer.layers["a_mask"].data, np.ones((2, 2), np.uint8))
    viewer.layers.remove("a_mask")
    assert two.form.resample.isHidden()
    viewer.add_labels(truth, name="large truth", scale=(0.01, 0.01), units=("um", "um"))
    assert two.form.truth.layer.name == "large truth"
    assert not two.form.resample.isHidden()
    assert not two.form.compare.isEnabled()
    two.form.resample.setChecked(True)
    compare(two)
    assert two.form.results.comparison.evaluation.pooled["agglomerate"].pixels.iou == pytest.approx(90 / 185)
    assert viewer.layers[-1].data.shape == (80, 120)
    np.testing.assert_allclose(viewer.layers[-1].scale, 0.01)


def test_what_was_not_analysed_is_left_out(two, viewer, compare) -> None:
    analysed = np.ones((40, 60), bool)
    analysed[20:] = False
    prediction = viewer.layers["a [agglomerate]"]
    prediction.metadata = {"micro_ktnet": RECORD | {"analysed": analysed}}
    prediction.name = "a [agglomerates]"
    assert two.form.skip.isChecked()
    assert two.form.skip.text() == "50.0% of the pixels"
    compare(two)
    assert two.form.results.comparison.evaluation.pooled["agglomerate"].pixels.iou == pytest.approx(0.9)
    two.form.skip.setChecked(False)
    compare(two)
    assert two.form.results.comparison.evaluation.pooled["agglomerate"].pixels.iou == pytest.approx(90 / 185)


def test_shapes_are_left_out(two, viewer, compare) -> None:
    shapes = viewer.add_shapes(
        [np.array([[1.4, 2.0], [1.4, 3.2], [1.8, 3.2], [1.8, 2.0]])], shape_type="polygon", units=("um", "um")
    )
    two.form.region.choose(shapes)
    compare(two)
    assert two.form.results.comparison.evaluation.pooled["agglomerate"].pixels.iou == pytest.approx(0.9)


def test_curve_with_the_threshold_of_the_labels(two, viewer, masks, compare) -> None:
    viewer.add_image(
        np.where(masks[0], 0.8, 0.1).astype(np.float32),
        name="p",
        metadata={"micro_ktnet": {"image": "a", "probability_of": "agglomerate"}},
    )
    assert two.form.probability.layer.name == "p"
    compare(two)
    results = two.form.results
    assert results.curve.threshold == 0.4
    assert not results.curve.isHidden()
    assert "it is 0.486 at 0.40" in results.curve_note.text()


def test_two_classes(metrics, viewer, masks, compare) -> None:
    prediction, truth = masks[0].copy(), masks[1].copy()
    prediction[5:15, 5:8] = 2
    truth[25:30, 10:15] = 2
    viewer.add_labels(
        prediction, name="p", metadata={"micro_ktnet": {"image": "", "classes": ["agglomerate", "pore"]}}
    )
    viewer.add_labels(truth, name="p truth")
    compare(metrics)
    results = metrics.form.results
    assert (viewer.layers[-1].data == 4).sum() == 30
    assert "wrong class" in results.legend.text()
    assert [results.of_class.itemText(i) for i in range(2)] == ["agglomerate", "pore"]
    results.of_class.setCurrentIndex(1)
    assert results.scores.texts()[1] == ["IoU", "0.000"]
    assert results.objects.columns[1].title == "class"


def test_cancel_and_failure(two, viewer, compare, qtbot, monkeypatch, notes) -> None:
    def slow(request: Any) -> Any:
        for _ in range(1000):
            time.sleep(0.01)
            yield metrics_run.Step(0, 3)

    monkeypatch.setattr(metrics_session, "compare_steps", slow)
    two.form.compare.click()
    assert two.form.compare.text() == "Cancel"
    two.form.compare.click()
    qtbot.waitUntil(lambda: not two.running)
    assert "Cancelled" in two.form.message.text()
    assert len(viewer.layers) == 3
    two.form.compare.click()
    viewer.layers.remove("a_mask")
    qtbot.waitUntil(lambda: not two.running)
    assert len(viewer.layers) == 2


def test_folders(metrics, viewer, masks, compare, tmp_path, notes) -> None:
    from napari_micro_ktnet.sem.writer import write_labels

    form = metrics.form
    form.source.setCurrentIndex(1)
    assert "folder of the predictions" in form.message.text()
    for side, pixels in zip(("p", "t"), masks, strict=True):
        (tmp_path / side).mkdir()
        for name in "abc":
            write_labels(tmp_path / side / f"{name}.tif", pixels)
    form.predictions.setText(str(tmp_path / "p"))
    form.masks.setText(str(tmp_path / "nowhere"))
    assert "There is no folder" in form.message.text()
    form.masks.setText(str(tmp_path / "t"))
    compare(metrics)
    results = form.results
    assert results.images.rows.rowCount() == 3
    assert results.tabs.isTabVisible(2)
    assert not results.legend.isHidden()
    metrics.go_to_object(4)
    assert [layer.name for layer in viewer.layers] == ["b [errors]", "chosen object"]
    results.images.clicked.emit(results.images.rows.index(2, 0))
    assert [layer.name for layer in viewer.layers] == ["c [errors]"]
    (tmp_path / "p" / "a.tif").unlink()
    metrics.go_to_object(0)
    assert len(notes) == 1
    compare(metrics)
    assert "a.tif" in form.message.text()


def test_export_and_clipboard(two, compare, tmp_path, monkeypatch) -> None:
    compare(two)
    results = two.form.results
    for name, button in (("all.json", results.json), ("scores", results.csv)):
        monkeypatch.setattr(
            "napari_micro_ktnet.gui.metrics.widget.QFileDialog.getSaveFileName",
            lambda *_, name=name: (str(tmp_path / name), ""),
        )
        button.click()
    evaluation = results.comparison.evaluation
    assert json.loads((tmp_path / "all.json").read_text()) == evaluation.to_dict()
    assert (tmp_path / "scores.csv").read_text().startswith("image,class,status,iou")
    results.tabs.setCurrentIndex(1)
    monkeypatch.setattr(
        "napari_micro_ktnet.gui.metrics.widget.QFileDialog.getSaveFileName",
        lambda *_: (str(tmp_path / "o.csv"), ""),
    )
    results.csv.click()
    assert len((tmp_path / "o.csv").read_text().splitlines()) == 1 + len(evaluation.object_rows())
    results.copy.click()
    lines = QApplication.clipboard().text().splitlines()
    assert lines[0].split("\t")[:3] == ["verdict", "in", "µm²"]
    assert len(lines) == 4


def test_folders_leave_out_what_is_not_annotated(metrics, masks, tmp_path, compare) -> None:
    marked = masks[1].copy()
    marked[:, 20:] = 255
    for side, pixels in zip("pt", (masks[0], marked), strict=True):
        (tmp_path / side).mkdir()
        Image.fromarray(pixels).save(tmp_path / side / "a.png")
    form = metrics.form
    form.source.setCurrentIndex(1)
    form.predictions.setText(str(tmp_path / "p"))
    form.masks.setText(str(tmp_path / "t"))
    form.unlabelled.setCurrentIndex(1)
    compare(metrics)
    assert form.results.comparison.evaluation.images[0].confusion.sum() == 40 * 20


def test_errors_alone_hides_and_shows_again(two, viewer, compare) -> None:
    def visible() -> list[bool]:
        return [layer.visible for layer in viewer.layers]

    compare(two)
    assert visible() == [True, False, False, True]
    viewer.layers["a"].visible = False
    two.form.results.alone.setChecked(False)
    assert visible() == [False, True, True, True]
    compare(two)
    assert visible() == [False, True, True, True]
    two.form.results.alone.setChecked(True)
    compare(two)
    assert visible() == [False, False, False, True]


def test_many_objects_sort_at_once(qtbot: Any) -> None:
    values = np.random.default_rng(0).random(50_000)
    values[::7] = np.nan
    table = ColumnTable()
    qtbot.addWidget(table)
    table.set_columns([Column("verdict", np.where(values > 0.5, "found", "missed")), Column("IoU", values)])
    table.show()
    start = time.perf_counter()
    table.sortByColumn(1, Qt.SortOrder.DescendingOrder)
    table.rows.show_only(values > 0.25)
    QApplication.processEvents()
    assert time.perf_counter() - start < 1
    shown = values[table.rows.order]
    assert np.all(np.diff(shown) <= 0)
    assert len(shown) == np.count_nonzero(values > 0.25)
    table.rows.show_only(np.ones(50_000, bool))
    assert np.isnan(values[table.rows.order][-1])


def test_idle_widget_loads_neither_torch_nor_the_scores() -> None:
    code = """
        import sys
        from napari.components import ViewerModel
        from qtpy.QtWidgets import QApplication
        app = QApplication([])
        from napari_micro_ktnet.gui.metrics.widget import MetricsWidget
        widget = MetricsWidget(ViewerModel())
        assert "napari_micro_ktnet.measurement.evaluation" not in sys.modules
        assert "torch" not in sys.modules
    """
    environment = os.environ | {"QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr


def test_closed_widget_hears_nothing(viewer, masks, qtbot) -> None:
    for mask, name in zip(masks, ("p", "t_mask"), strict=True):
        viewer.add_labels(mask, name=name)
    widget = MetricsWidget(viewer)
    widget.form.compare.click()
    session = widget.session
    widget.deleteLater()
    qtbot.waitUntil(lambda: not session.running)
    viewer.add_labels(np.zeros((4, 4), np.uint8))
