"""The measuring tab of the Agglomerates widget on a viewer that is not drawn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from agglomerates_data import LABELS, NM, PLACE, disks
from napari.layers import Labels
from qtpy.QtWidgets import QApplication

from napari_micro_ktnet import measure
from napari_micro_ktnet.gui.agglomerates import measure as agglomerates_measure
from napari_micro_ktnet.gui.agglomerates import preview as agglomerates_preview
from napari_micro_ktnet.gui.agglomerates.measure import MeasureTab
from napari_micro_ktnet.gui.agglomerates.rows import field_columns
from napari_micro_ktnet.gui.agglomerates.run import Step
from napari_micro_ktnet.gui.agglomerates.widget import AgglomeratesWidget
from napari_micro_ktnet.gui.label_layers import labels_crc32
from napari_micro_ktnet.gui.tables import plain
from napari_micro_ktnet.report.colors import NOT_COUNTED, class_colors


@pytest.fixture
def widget(qtbot: Any, viewer: Any) -> AgglomeratesWidget:
    made = AgglomeratesWidget(viewer)
    qtbot.addWidget(made)
    return made


@pytest.fixture
def tab(widget: AgglomeratesWidget) -> MeasureTab:
    return widget.measure


@pytest.fixture
def one(viewer: Any, tab: MeasureTab) -> MeasureTab:
    """With an image and its labels."""
    viewer.add_image(np.tile(np.arange(160, dtype=np.uint8), (120, 1)), name="a", **PLACE)
    viewer.add_labels(LABELS.copy(), name="a_labels", **PLACE)
    return tab


@pytest.fixture
def press(qtbot: Any) -> Callable[[MeasureTab], None]:
    def press(tab: MeasureTab) -> None:
        assert tab.form.measure.isEnabled(), tab.form.message.text()
        tab.form.measure.click()
        qtbot.waitUntil(lambda: not tab.running, timeout=20_000)

    return press


@pytest.fixture
def save_as(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Answer the next file dialogs with a path."""

    def answer(path: Path) -> None:
        dialog = "napari_micro_ktnet.gui.agglomerates.export.QFileDialog.getSaveFileName"
        monkeypatch.setattr(dialog, lambda *_: (str(path), ""))

    return answer


def figures(measurement: Any) -> dict[str, Any]:
    """All but the names of the fields."""
    record = json.loads(json.dumps(measurement.to_dict()))
    for summary in (record["pooled"], *record["fields"]):
        summary["largest"].pop("field")
    for field in record["fields"]:
        del field["name"], field["file"]
    return record


def result(tab: MeasureTab) -> Any:
    return tab.form.results.measured.measurement


def snapshot(viewer: Any) -> list[Any]:
    return [(x.name, x.visible, np.array(x.data).tobytes()) for x in viewer.layers]


def test_figures_are_those_of_measure(one, viewer, press) -> None:
    before = viewer.layers["a_labels"].data.copy()
    press(one)
    expected = measure(LABELS, NM, image=viewer.layers["a"].data)
    assert figures(result(one)) == figures(expected)
    assert [line.split(",")[2:] for line in result(one).to_csv().splitlines()] == [
        line.split(",")[2:] for line in expected.to_csv().splitlines()
    ]
    assert "7 agglomerates" in one.form.message.text()
    np.testing.assert_array_equal(viewer.layers["a_labels"].data, before)


def test_options_reach_the_core(one, viewer, press) -> None:
    form = one.form
    form.preview.setChecked(False)
    form.split.setChecked(True)
    form.split_depth.setValue(0.5)
    form.min_size.setValue(0.2)
    form.min_unit.setCurrentIndex(1)
    form.fill_holes.setChecked(True)
    form.border.setCurrentIndex(2)
    form.d_star.setValue(0.3)
    form.ripley.setChecked(True)
    press(one)
    options = {"split": 0.5, "min_size_um": 0.2, "fill_holes": True, "border": "weight", "d_star_um": 0.3}
    expected = measure(LABELS, NM, image=viewer.layers["a"].data, ripley=True, **options)
    assert figures(result(one)) == figures(expected)
    assert expected.pooled.count == 6
    assert form.results.tabs.isTabVisible(5)
    assert "no L(r)" in form.results.ripley_note.text()


def test_objects_become_a_layer_with_features(one, viewer, press) -> None:
    one.form.border.setCurrentIndex(1)
    press(one)
    layer = viewer.layers["a_labels agglomerates"]
    table = result(one).fields[0].table
    assert len(layer.features) == len(table) == 7
    np.testing.assert_array_equal(layer.features["ecd_um"], table["ecd_um"])
    np.testing.assert_array_equal(np.unique(layer.data), np.arange(8))
    np.testing.assert_allclose(layer.scale, NM / 1000)
    assert not layer.editable
    assert not viewer.layers["a_labels"].visible
    classes = result(one).pooled.size_classes
    colors = class_colors(len(classes))
    for row, ecd in enumerate(table["ecd_um"]):
        counted = table["weight"][row] > 0
        index = next(i for i, c in enumerate(classes) if c.low <= ecd < c.high or not counted)
        wanted = colors[index] if counted else NOT_COUNTED
        found = layer.get_color(row + 1)
        assert "#" + "".join(f"{round(255 * v):02x}" for v in found[:3]) == wanted
        text = f"{classes[index].low:g} to {classes[index].high:g}" if counted else "not counted"
        assert layer.features["size class"][row] == text
    one.form.results.alone.setChecked(False)
    assert viewer.layers["a_labels"].visible


def test_second_measure_takes_the_place_of_the_first(one, viewer, press) -> None:
    press(one)
    layer = viewer.layers[-1]
    layer.opacity = 0.3
    viewer.layers["a_labels"].data = disks((50, 50, 10))
    press(one)
    assert [x.name for x in viewer.layers] == ["a", "a_labels", "a_labels agglomerates"]
    assert viewer.layers[-1] is layer
    assert (layer.opacity, len(layer.features), layer.data.max()) == (0.3, 1, 1)


def test_click_goes_to_the_object(one, viewer, press) -> None:
    press(one)
    results = one.form.results
    selected = set(viewer.layers.selection)
    results.object_table.clicked.emit(results.object_table.rows.index(1, 0))
    # The largest object is the pair that touches, the second the disk of radius 12 at (20, 110).
    camera = getattr(viewer, "scene", viewer).camera
    np.testing.assert_allclose(camera.center[-2:], (20 * NM / 1000, 110 * NM / 1000))
    assert viewer.layers["a_labels agglomerates"].selected_label == results.objects.number[1]
    assert set(viewer.layers.selection) == selected
    assert [b.isHidden() for b in results.gallery.buttons] == [False] * 7 + [True] * 3
    results.gallery.buttons[6].click()
    np.testing.assert_allclose(camera.center[-2:], (60 * NM / 1000, 25 * NM / 1000))
    press(one)
    assert "chosen object" not in viewer.layers


def test_histogram_and_classes(one, press) -> None:
    press(one)
    plot = one.form.results.histogram
    ecd = result(one).fields[0].table["ecd_um"]
    for by_area, weight in ((False, np.ones(7)), (True, ecd**2)):
        one.form.results.by.setCurrentIndex(int(by_area))
        inside = [(plot.edges[k] <= ecd) & (ecd < plot.edges[k + 1]) for k in range(len(plot.bars))]
        np.testing.assert_allclose(plot.bars, [100 * weight[i].sum() / weight.sum() for i in inside])
        assert plot.curve[1][-1] == pytest.approx(100 - 50 * weight.max() / weight.sum())
    rows = one.form.results.classes.rows.texts()
    assert sum(float(row[1]) for row in rows[1:]) == 7


def test_several_fields_are_pooled(one, viewer, press, qtbot) -> None:
    other = disks((40, 40, 20), (90, 120, 6))
    second = viewer.add_labels(other, name="b", **PLACE)
    first = viewer.layers["a_labels"]
    for layer in (first, second):
        one.form.fields.tick(layer)
    press(one)
    expected = measure([LABELS, other], NM)
    found = result(one)
    assert found.pooled.model_dump(exclude={"largest"}) == expected.pooled.model_dump(exclude={"largest"})
    assert [f.summary.name for f in found.fields] == ["a", "b"]
    results = one.form.results
    assert results.tabs.isTabVisible(4)
    assert results.fields.rows.rowCount() == 2
    assert results.objects.columns[2].title == "field"
    results.fields.clicked.emit(results.fields.rows.index(0, 0))
    assert viewer.layers[-1].name == "a_labels agglomerates"
    one.go_to_object(0)
    assert viewer.layers[-2].name == "b agglomerates"


def test_fields_of_different_magnification_warn(one, viewer) -> None:
    coarse = viewer.add_labels(LABELS.copy(), name="b", scale=(0.05, 0.05), units=("um", "um"))
    one.form.fields.tick(viewer.layers["a_labels"])
    one.form.fields.tick(coarse)
    assert one.form.measure.isEnabled()
    assert "different magnification (20 nm to 50 nm a pixel)" in one.form.warnings.text()


def test_pixels_of_unknown_size_are_not_compared_with_micrometres(one, viewer, press) -> None:
    # The largest object of all, if pixels were micrometres.
    unknown = viewer.add_labels(disks((50, 80, 45))[:100], name="unknown")
    for layer in (viewer.layers["a_labels"], unknown):
        one.form.fields.tick(layer)
    press(one)
    assert result(one).pooled.ecd_um is None
    results = one.form.results
    known = measure(LABELS, NM).fields[0]
    assert results.objects.unit == "µm"
    np.testing.assert_allclose(results.objects.ecd[:-1], np.sort(known.table["ecd_um"])[::-1])
    assert np.isnan(results.objects.ecd[-1])
    assert len(results.histogram.bars) == 0
    assert "no pooled sizes" in results.histogram.empty
    shown = [button for button in results.gallery.buttons if not button.isHidden()]
    assert len(shown) == min(10, len(known.table))
    assert all("µm" in button.text() for button in shown)
    rows = {row[0]: row for row in results.fields.rows.texts()}
    d50 = [column.title for column in field_columns(result(one))].index("D50")
    assert rows["a"][d50] == plain(known.summary.ecd_um.number.d50, 3)
    assert rows["unknown"][d50] == "n/a"


def test_no_pixel_size(tab, viewer, press, warned) -> None:
    viewer.add_labels(LABELS.copy(), name="px")
    form = tab.form
    assert not form.size_part.isHidden()
    press(tab)
    assert result(tab).pooled.ecd_um is None
    assert "µm" not in form.message.text()
    assert "pixel size is not known" in form.warnings.text()
    assert form.results.object_table.rows.texts()[0][0] == "px"
    form.pixel_size.setText("-3")
    assert "more than 0" in form.message.text()
    form.pixel_size.setText("20")
    press(tab)
    assert result(tab).pooled.model_dump() == measure(LABELS, NM).pooled.model_dump() | {
        "largest": result(tab).pooled.model_dump()["largest"]
    }
    form.sem_info.click()
    assert "SEM info" in warned[-1]


def test_pixel_size_of_the_image_counts(tab, viewer, press) -> None:
    viewer.add_image(np.zeros((120, 160), np.uint8), name="x", **PLACE)
    viewer.add_labels(LABELS.copy(), name="x mask")
    assert tab.form.size_part.isHidden()
    press(tab)
    assert result(tab).fields[0].pixel_size == (NM, NM)


@pytest.mark.parametrize(
    ("layers", "problem"),
    [
        ([], "There are no labels"),
        ([("image", np.zeros((9, 9), np.uint8))], "'image' is an image, and labels are measured"),
        ([("labels", np.zeros((3, 9, 9), np.uint8))], "Split Stack"),
        ([("labels", np.full((9, 9), -1))], "negative label -1"),
    ],
)
def test_bad_layers(tab, viewer, layers, problem) -> None:
    for kind, pixels in layers:
        getattr(viewer, f"add_{kind}")(pixels, name=kind)
    assert not tab.form.measure.isEnabled()
    assert problem in tab.form.message.text()
    if kind_of(layers) == "labels":
        assert tab.form.fields.item(0, 0).foreground().color().name() == "#e5534b"
    else:
        assert "border" in tab.form.fields.styleSheet()


def kind_of(layers: list[Any]) -> str:
    return layers[0][0] if layers else ""


@pytest.mark.parametrize(
    ("pixels", "record", "note"),
    [
        (np.zeros((30, 30), np.uint8), None, "counts as an empty field"),
        (np.arange(900).reshape(30, 30) // 300, None, "numbers 2 objects already"),
        (np.arange(900).reshape(30, 30) // 300, {"classes": ["agglomerate", "pore"]}, "2 classes"),
    ],
)
def test_odd_labels_are_measured_with_a_note(tab, viewer, press, pixels, record, note) -> None:
    viewer.add_labels(pixels, name="x", metadata={"micro_ktnet": record} if record else {})
    assert note in tab.form.warnings.text()
    press(tab)
    assert result(tab).pooled.count == len(np.unique(pixels)) - 1


def test_edited_labels_are_told(one, viewer, press) -> None:
    layer = viewer.layers["a_labels"]
    layer.metadata = {"micro_ktnet": {"image": "a", "labels_crc32": labels_crc32(layer.data)}}
    press(one)
    assert "edited" not in one.form.warnings.text()
    layer.data_setitem((np.array([0]), np.array([0])), 1)
    press(one)
    assert "edited by hand after the model" in one.form.warnings.text()


def test_labels_of_a_file_count_as_the_file_does(tab, viewer, press, tmp_path) -> None:
    from napari.layers._source import layer_source

    from napari_micro_ktnet.gui.reader import read_layers
    from napari_micro_ktnet.sem import write_labels

    path = write_labels(tmp_path / "x_labels.tif", LABELS, (NM, NM))
    record = {
        "analysed_region": {"rows": [0, 100], "columns": [0, 160]},
        "shape": [120, 160],
        "pixel_size_nm": [NM, NM],
        "pixel_size_source": "metadata",
    }
    (tmp_path / "x.json").write_text(json.dumps(record))
    for data, keywords, _ in read_layers(str(path)):
        with layer_source(path=str(path)):
            viewer.add_layer(Labels(data, **keywords))
    press(tab)
    expected = measure(path)
    assert result(tab).to_dict() == expected.to_dict()
    assert result(tab).to_csv() == expected.to_csv()
    assert result(tab).pooled.analysed_px == 100 * 160


def test_data_bar_is_left_out(tab, viewer, press) -> None:
    from napari_micro_ktnet.gui.layers import image_layer_data
    from napari_micro_ktnet.sem import DataBar, SEMImage

    image = SEMImage(
        np.zeros((120, 160), np.uint8),
        (NM, NM),
        "metadata",
        data_bar=DataBar(90, 120, "metadata"),
        name="bar",
    )
    pixels, keywords, _ = image_layer_data(image)
    viewer.add_image(pixels, **keywords)
    viewer.add_labels(LABELS.copy(), name="bar mask", **PLACE)
    press(tab)
    assert result(tab).pooled.analysed_px == 90 * 160
    assert result(tab).pooled.count == measure(LABELS[:90]).pooled.count


def test_deleted_and_painted_layers(one, viewer, press) -> None:
    press(one)
    layer = viewer.layers["a_labels"]
    layer.data_setitem((np.array([0]), np.array([0])), 1)
    one._timer.timeout.emit()
    assert "changed since" in one.form.message.text()
    press(one)
    assert "changed since" not in one.form.message.text()
    one.form.min_size.setValue(10)
    assert "changed since" in one.form.message.text()
    one.form.min_size.setValue(0)
    assert "changed since" not in one.form.message.text()
    viewer.layers.remove("a_labels agglomerates")
    viewer.layers.remove("a_labels")
    assert not one.form.measure.isEnabled()
    one.go_to_object(0)
    assert "chosen object" in viewer.layers
    one.form.results.alone.setChecked(False)


def slow(*_: Any) -> Any:
    for _ in range(1000):
        time.sleep(0.01)
        yield Step(0, 3, "a")


def test_cancel_leaves_all_as_it_was(one, viewer, press, qtbot, monkeypatch) -> None:
    press(one)
    before, shown = snapshot(viewer), one.form.results.measured
    monkeypatch.setattr(agglomerates_measure, "measure_steps", slow)
    one.form.measure.click()
    assert one.form.measure.text() == "Cancel"
    one.form.measure.click()
    qtbot.waitUntil(lambda: not one.running)
    assert "Cancelled" in one.form.message.text()
    assert snapshot(viewer) == before
    assert one.form.results.measured is shown
    one.form.measure.click()
    viewer.layers.remove("a_labels")
    qtbot.waitUntil(lambda: not one.running)
    assert [x.name for x in viewer.layers] == ["a", "a_labels agglomerates"]


def test_failure_is_told(one, viewer, qtbot, monkeypatch, notes) -> None:
    def fail(*_: Any) -> Any:
        yield Step(0, 0)
        measure(np.zeros((2, 2), float))

    monkeypatch.setattr(agglomerates_measure, "measure_steps", fail)
    one.form.measure.click()
    qtbot.waitUntil(lambda: not one.running)
    assert "expected integers" in one.form.message.text()
    assert len(notes) == 1
    assert len(viewer.layers) == 2


def test_preview_of_splitting(one, viewer, press, qtbot) -> None:
    form = one.form
    form.split.setChecked(True)
    qtbot.waitUntil(lambda: one.preview.shown and not one.preview.running, timeout=10_000)
    layer = viewer.layers["a_labels [preview]"]
    # One object falls into two, the six others are drawn alike.
    np.testing.assert_array_equal(np.unique(layer.data), [0, 1, 2, 3])
    np.testing.assert_array_equal(layer.data > 0, LABELS > 0)
    assert layer.data[60, 66] != layer.data[65, 95]
    assert "1 of 7 objects fall apart" in form.preview_note.text()
    assert not viewer.layers["a_labels"].visible
    form.split_depth.setValue(20)
    qtbot.waitUntil(lambda: "0 of 7" in form.preview_note.text(), timeout=10_000)
    form.split.setChecked(False)
    qtbot.waitUntil(lambda: not one.preview.shown, timeout=10_000)
    assert [x.name for x in viewer.layers] == ["a", "a_labels"]
    assert viewer.layers["a_labels"].visible
    form.split.setChecked(True)
    form.split_depth.setValue(1)
    qtbot.waitUntil(lambda: one.preview.shown, timeout=10_000)
    press(one)
    assert result(one).pooled.count == 8
    qtbot.wait(400)
    assert "a_labels [preview]" not in viewer.layers


def test_preview_is_cancelled(one, viewer, qtbot, monkeypatch) -> None:
    form, real = one.form, agglomerates_preview.preview_steps
    form.split.setChecked(True)
    qtbot.waitUntil(lambda: one.preview.shown and not one.preview.running, timeout=10_000)
    before = snapshot(viewer)
    monkeypatch.setattr(agglomerates_preview, "preview_steps", slow)
    form.split_depth.setValue(4)
    qtbot.waitUntil(lambda: one.preview.running, timeout=10_000)
    assert not form.stop.isHidden()
    form.stop.click()
    qtbot.waitUntil(lambda: not one.preview.running, timeout=10_000)
    assert form.split_depth.value() == 1
    assert snapshot(viewer) == before
    assert form.stop.isHidden()
    form.split_depth.setValue(4)
    qtbot.waitUntil(lambda: one.preview.running, timeout=10_000)
    monkeypatch.setattr(agglomerates_preview, "preview_steps", real)
    form.split_depth.setValue(30)
    qtbot.waitUntil(lambda: "0 of 7" in form.preview_note.text(), timeout=10_000)
    viewer.layers.remove("a_labels")
    assert "a_labels [preview]" not in viewer.layers


def test_limits_give_a_verdict(one, press, tmp_path) -> None:
    path = tmp_path / "limits.toml"
    form = one.form
    form.limits.path.setText(str(path))
    assert "limits.toml" in form.message.text()
    path.write_text("d_star_um = 0.4\n[limits]\nlargest_ecd = 2\n")
    one.update_checks()
    assert "line 3" in form.message.text()
    assert "largest_ecd_um" in form.message.text()
    assert "border" in form.limits.path.styleSheet()
    assert not form.measure.isEnabled()
    path.write_text("d_star_um = 0.4\n[limits]\nlargest_ecd_um = 0.5\narea_percent = 90\n")
    one.update_checks()
    assert form.limits.path.styleSheet() == ""
    assert (form.d_star.value(), form.d_star.isEnabled()) == (0.4, False)
    press(one)
    assert result(one).verdict.outcome == "fail"
    assert result(one).pooled.agglomerate_degree.d_star_um == 0.4
    assert "FAIL" in form.results.verdict.text()
    reasons = [label.text() for label in form.results.reasons if label.text()]
    assert [reason.split(":")[1][:6] for reason in reasons] == [" fail.", " pass."]
    form.limits.path.setText("")
    assert form.d_star.isEnabled()
    press(one)
    assert form.results.verdict.isHidden()


def test_new_limits_file(one, press, tmp_path, save_as, notes) -> None:
    save_as(tmp_path / "mine")
    one.form.limits.new.click()
    assert one.form.limits.path.text() == str(tmp_path / "mine.toml")
    press(one)
    assert result(one).verdict.outcome == "not enough data"
    assert "NOT ENOUGH DATA" in one.form.results.verdict.text()
    (tmp_path / "file").touch()
    save_as(tmp_path / "file" / "x.toml")
    one.form.limits.new.click()
    assert len(notes) == 1


def test_export(one, press, tmp_path, save_as, qtbot) -> None:
    press(one)
    part = one.form.results.export
    save_as(tmp_path / "all.json")
    part.json.click()
    assert json.loads((tmp_path / "all.json").read_text()) == result(one).to_dict()
    save_as(tmp_path / "all")
    part.csv.click()
    assert (tmp_path / "all.csv").read_text() == result(one).to_csv()
    part.lot.setText("Lot 7 & <co>")
    part.operator.setText("Ada")
    save_as(tmp_path / "report.html")
    assert part.open.isHidden()
    part.report.click()
    qtbot.waitUntil(lambda: not one.saving.running, timeout=60_000)
    assert not part.open.isHidden(), part.message.text()
    page = (tmp_path / "report.html").read_text()
    assert "Lot 7 &amp; &lt;co&gt;" in page
    assert "Ada" in page
    part.earlier.setText(str(tmp_path / "all.csv"))
    part.report.click()
    qtbot.waitUntil(lambda: not one.saving.running, timeout=60_000)
    assert "all.csv" in part.message.text()
    assert part.open.isHidden()


def test_report_names_the_model(one, viewer, press, tmp_path, save_as, qtbot) -> None:
    viewer.layers["a_labels"].metadata = {
        "micro_ktnet": {
            "image": "a",
            "model": "mine",
            "model_sha256": "c0ffee" * 10,
            "threshold": 0.4,
            "classes": ["agglomerate"],
            "colors": ["#ffd400"],
            "architecture": "unet",
            "encoder": "resnet18",
            "labels_crc32": labels_crc32(LABELS),
            "parameters": {"device": "cpu"},
        }
    }
    press(one)
    assert result(one).fields[0].summary.name == "a"
    save_as(tmp_path / "report.html")
    one.form.results.export.report.click()
    qtbot.waitUntil(lambda: not one.saving.running, timeout=60_000)
    page = (tmp_path / "report.html").read_text()
    assert "mine" in page
    assert "c0ffee" in page


def test_copy(one, press) -> None:
    press(one)
    results = one.form.results
    results.tabs.setCurrentIndex(2)
    results.export.copy.click()
    lines = QApplication.clipboard().text().splitlines()
    assert lines[0].split("\t")[:3] == ["µm", "ECD", "no."]
    assert len(lines) == 8
    results.tabs.setCurrentIndex(0)
    results.export.copy.click()
    assert QApplication.clipboard().text().startswith("Amount")


def test_idle_widget_loads_neither_torch_nor_the_measuring_code() -> None:
    code = """
        import sys
        import numpy as np
        from napari.components import ViewerModel
        from qtpy.QtWidgets import QApplication
        app = QApplication([])
        from napari_micro_ktnet.gui.agglomerates.widget import AgglomeratesWidget
        viewer = ViewerModel()
        widget = AgglomeratesWidget(viewer)
        viewer.add_labels(np.ones((4, 4), np.uint8))
        for name in ("measurement.fields", "measurement.agglomerates", "report", "batch.lot"):
            assert f"napari_micro_ktnet.{name}" not in sys.modules, name
        assert "torch" not in sys.modules
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=os.environ | {"QT_QPA_PLATFORM": "offscreen"},
    )
    assert done.returncode == 0, done.stderr


def test_closed_widget_hears_nothing(viewer, qtbot, monkeypatch) -> None:
    viewer.add_labels(LABELS.copy(), name="x")
    monkeypatch.setattr(agglomerates_measure, "measure_steps", slow)
    monkeypatch.setattr(agglomerates_preview, "preview_steps", slow)
    widget = AgglomeratesWidget(viewer)
    widget.measure.form.split.setChecked(True)
    qtbot.waitUntil(lambda: widget.measure.preview.running)
    widget.measure.form.measure.click()
    tasks = widget.measure.task, widget.measure.preview._task
    widget.deleteLater()
    qtbot.waitUntil(lambda: not any(task.running for task in tasks))
    viewer.add_labels(np.zeros((4, 4), np.uint8))
    assert viewer.layers[0].name == "x"
    assert len(viewer.layers) == 2
