"""Annotation layers of the Train widget: new ones, corrected predictions, classes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from blobs import blobs
from napari_micro_ktnet.files import file_sha256
from napari_micro_ktnet.gui import layers as convert
from napari_micro_ktnet.gui.reader import read_layers
from napari_micro_ktnet.gui.train.data import ANNOTATION_KEY
from napari_micro_ktnet.model.spec import LabelClass
from napari_micro_ktnet.sem import DataBar, SEMImage, write_image, write_labels

UM = {"scale": (0.02, 0.02), "units": ("um", "um")}
SHAPE = (160, 240)


pytestmark = pytest.mark.usefixtures("runs")


def test_data_bar_is_not_annotated(train, viewer, press, runs) -> None:
    for i in range(2):
        grey, mask = blobs(SHAPE, seed=i)
        image = SEMImage(grey, (20.0, 20.0), data_bar=DataBar(150, 160, "metadata"), name=f"field {i}")
        pixels, keywords, _ = convert.image_layer_data(image)
        viewer.add_image(pixels, **keywords)
        viewer.add_labels(mask, name=f"field {i}_mask", **UM)
    train.form.name.setText("mine")
    press(train)
    mask = tifffile.imread(runs / "mine" / "data" / "masks" / "000_field_0.tif")
    assert (mask[150:] == 0).all()
    assert (mask[:150] > 0).all()


def test_new_annotation_layer_is_ready_to_paint(train, viewer) -> None:
    image = viewer.add_image(
        blobs(SHAPE)[0], name="field", translate=(1.0, 2.0), axis_labels=("y", "x"), **UM
    )
    assert not train.form.train.isEnabled()
    train.form.new_layer.click()
    labels = viewer.layers[-1]
    assert labels.name == "field [annotation]"
    assert (labels.mode, labels.selected_label, labels.data.dtype) == ("paint", 2, np.uint8)
    for name in ("scale", "translate"):
        np.testing.assert_allclose(getattr(labels, name), getattr(image, name))
    assert (labels.units, labels.axis_labels) == (image.units, image.axis_labels)
    assert list(labels.features["class"]) == ["matrix", "agglomerate"]
    assert train.form.pairs.pairs()[0].labels is labels
    assert train.form.pairs.pairs()[0].annotation == "scribbles"
    assert "no label yet" in train.form.message.text()


def test_painting_makes_train_possible(train, viewer, qtbot) -> None:
    for i in range(2):
        viewer.add_image(blobs(SHAPE, seed=i)[0], name=f"field {i}", **UM)
        train.form.new_layer.click()
        labels = viewer.layers[-1]
        labels.paint((20, 20), 2)
    qtbot.waitUntil(
        lambda: "No matrix" in train.form.message.text() or "label 1" in train.form.message.text()
    )
    labels.paint((80, 100), 1)
    qtbot.waitUntil(lambda: train.form.train.isEnabled(), timeout=5000)


def test_classes_of_the_widget_show_in_its_layers(train, viewer) -> None:
    viewer.add_image(blobs(SHAPE)[0], name="field")
    train.form.new_layer.click()
    train.form.classes.add.click()
    assert len(train.form.classes.names) == 2
    line = train.form.classes.names[1]
    line.setText("pore")
    line.textEdited.emit("pore")
    assert list(viewer.layers[-1].features["class"]) == ["matrix", "agglomerate", "pore"]
    line.setText("agglomerate")
    line.textEdited.emit("agglomerate")
    assert "taken" in train.form.classes.problem()


def test_prediction_is_copied_to_be_corrected(train, viewer) -> None:
    grey, mask = blobs(SHAPE)
    image = viewer.add_image(grey, name="field", **UM)
    record = {"image": "field", "classes": ["pore"], "analysed": np.ones(SHAPE, bool)}
    prediction = viewer.add_labels(
        mask,
        name="field [pore]",
        metadata={convert.RESULT_KEY: record},
        colormap=convert.class_colours([LabelClass(name="pore", color="#112233")]),
        features={"index": [1], "class": ["pore"]},
        **UM,
    )
    before = prediction.data.copy()
    assert train.form.pairs.rowCount() == 0, "a prediction itself is no annotation"
    train.form.correct.click()
    copy = viewer.layers[-1]
    assert copy.name == "field [corrected]"
    copy.paint((5, 5), 1)
    np.testing.assert_array_equal(prediction.data, before)
    assert not prediction.visible
    pair = train.form.pairs.pairs()[0]
    assert (pair.image, pair.labels, pair.annotation) == (image, copy, "full")
    assert train.form.classes.classes == (LabelClass(name="pore", color="#112233"),)


def test_what_was_not_analysed_is_no_example(train, viewer) -> None:
    grey, mask = blobs(SHAPE)
    viewer.add_image(grey, name="field")
    analysed = np.zeros(SHAPE, bool)
    analysed[:80] = True
    record = {"image": "field", "classes": ["agglomerate"], "analysed": analysed}
    viewer.add_labels(mask * analysed.astype(np.uint8), metadata={convert.RESULT_KEY: record})
    train.form.correct.click()
    copy = viewer.layers[-1]
    assert copy.metadata[ANNOTATION_KEY]["kind"] == "scribbles"
    np.testing.assert_array_equal(copy.data[:80], mask[:80] + 1)
    assert not copy.data[80:].any()


def test_prediction_whose_image_is_gone_is_explained(train, viewer) -> None:
    record = {"image": "field", "classes": ["agglomerate"], "analysed": np.ones(SHAPE, bool)}
    viewer.add_labels(blobs(SHAPE)[1], name="old", metadata={convert.RESULT_KEY: record})
    train.form.correct.click()
    assert "no longer in the viewer" in train.form.message.text()
    assert len(viewer.layers) == 1


def test_predictions_opened_from_files_are_not_ticked(train, viewer, tmp_path: Path) -> None:
    grey, mask = blobs()
    image = write_image(tmp_path / "field.tif", grey)
    labels = write_labels(tmp_path / "field_labels.tif", mask)
    record = {"files": {labels.name: file_sha256(labels)}}
    (tmp_path / "field.json").write_text(json.dumps(record))
    for path in (image, labels):
        for data, keywords, kind in read_layers(str(path)):
            getattr(viewer, f"add_{kind}")(data, **keywords)
    assert train.form.pairs.rowCount() == 1
    assert train.form.pairs.pairs() == []
    train.form.pairs.choose(viewer.layers[1], viewer.layers[0], "full")
    assert [pair.labels for pair in train.form.pairs.pairs()] == [viewer.layers[1]]
