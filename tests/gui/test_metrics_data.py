"""What is compared with what: suggestions, checks, error map, and the same scores as `evaluate` gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.files import write_bytes
from napari_micro_ktnet.gui.label_layers import look_at, not_analysed
from napari_micro_ktnet.gui.metrics import checks as check
from napari_micro_ktnet.gui.metrics import data as data
from napari_micro_ktnet.gui.metrics.objects import image_columns, object_rows
from napari_micro_ktnet.gui.metrics.run import (
    FoldersRequest,
    LayersRequest,
    Step,
    compare_steps,
)
from napari_micro_ktnet.gui.metrics.text import score_rows, summary
from napari_micro_ktnet.measurement.error_map import error_map
from napari_micro_ktnet.measurement.evaluation import evaluate
from napari_micro_ktnet.measurement.label_pairs import EvaluationOptions
from napari_micro_ktnet.sem import DataBar, SEMImage
from napari_micro_ktnet.sem.writer import write_labels

RECORD = {"image": "a", "classes": ["agglomerate"], "threshold": 0.5}


def labels(
    name: str, shape: tuple[int, ...] = (8, 8), record: dict[str, Any] | None = None, **more: Any
) -> Labels:
    metadata = {"micro_ktnet": record} if record else {}
    return Labels(np.zeros(shape, np.uint8), name=name, metadata=metadata, **more)


def drain(request: Any) -> tuple[list[Step], Any]:
    steps, found = compare_steps(request), []
    while True:
        try:
            found.append(next(steps))
        except StopIteration as stop:
            return found, stop.value


@pytest.mark.parametrize(
    ("layers", "prediction", "truth"),
    [
        ([], None, None),
        ([labels("mine")], "mine", None),
        ([labels("a [agglomerate]", record=RECORD), labels("x")], "a [agglomerate]", "x"),
        ([labels("b truth"), labels("b")], "b", "b truth"),
        ([labels("a_mask"), labels("b_mask"), labels("a [x]", record=RECORD)], "a [x]", "a_mask"),
        ([labels("big mask", (9, 9)), labels("other"), labels("a [x]", record=RECORD)], "a [x]", "other"),
        ([labels("old [x]", record=RECORD), labels("new [x]", record=RECORD), labels("gt")], "new [x]", "gt"),
        (
            [labels("a [x]", record=RECORD), labels("a [x] [errors]", record={"errors_of": "a"})],
            "a [x]",
            None,
        ),
        ([labels("p"), Image(np.zeros((8, 8), np.uint8), name="p_mask")], "p", "p_mask"),
        ([labels("p"), Image(np.eye(8, dtype=np.uint8) * 255, name="opened")], "p", "opened"),
        ([labels("p"), Image(np.arange(64, dtype=np.uint8).reshape(8, 8), name="grey")], "p", None),
    ],
)
def test_suggested_pair(layers, prediction, truth) -> None:
    found = data.suggest_pair(layers)
    assert [x and x.name for x in found] == [prediction, truth]


def test_probability_of_the_same_image_is_suggested() -> None:
    own = Image(np.zeros((8, 8)), name="p", metadata={"micro_ktnet": {"image": "a", "probability_of": "x"}})
    other = Image(np.zeros((8, 8)), name="q", metadata={"micro_ktnet": {"image": "b", "probability_of": "x"}})
    assert data.suggest_probability([own, other], labels("a [x]", record=RECORD)) is own
    assert data.suggest_probability([own, other], labels("mine")) is None


def sem_layer(slices: int = 0, **more: Any) -> Image:
    pixels = np.zeros((slices, 8, 8) if slices else (8, 8), np.uint8)
    return Image(pixels, name="a", metadata={"sem_image": SEMImage(pixels, **more)})


@pytest.mark.parametrize(
    ("layers", "prediction", "rows", "text"),
    [
        ([], labels("mine"), 0, ""),
        ([sem_layer()], labels("a_mask"), 0, "no data bar"),
        ([sem_layer(data_bar=DataBar(6, 8, "metadata"))], labels("a_mask"), 2, "data bar of 2 rows"),
        ([sem_layer(data_bar=DataBar(6, 8, "metadata"))], labels("b_mask"), 0, ""),
        ([], labels("a", record=RECORD | {"analysed": np.ones((8, 8), bool)}), 0, "everything was analysed"),
        (
            [],
            labels("a", record=RECORD | {"analysed": np.arange(64).reshape(8, 8) < 40}),
            3,
            "37.5% of the pixels",
        ),
        (
            [sem_layer(data_bar=DataBar(6, 8, "metadata"), slices=2)],
            labels("a", (2, 8, 8), RECORD | {"analysed": np.tile(np.arange(64) < 48, 2).reshape(2, 8, 8)}),
            4,
            "data bar of 2 rows",
        ),
    ],
)
def test_what_was_not_analysed(layers, prediction, rows, text) -> None:
    outside, said = not_analysed(layers, prediction)
    assert said == text
    assert (0 if outside is None else outside.all(axis=-1).sum()) == rows


def test_what_was_not_analysed_in_one_slice_counts_in_the_others() -> None:
    prediction = np.zeros((2, 8, 8), np.uint8)
    truth = np.ones((2, 8, 8), np.uint8)
    truth[0, :4] = 0
    outside = np.zeros(truth.shape, bool)
    outside[0, 4:] = True
    request = LayersRequest(prediction, truth, "a", EvaluationOptions(), outside)
    first, second = drain(request)[1].evaluation.per_image
    assert first["agglomerate"].status == "n/a"
    assert second["agglomerate"].status == "missed"


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        (None, "no prediction"),
        (Labels(np.ones((4, 4), np.uint8)), ""),
        (Labels(np.ones((3, 4, 4), np.int32)), ""),
        (Image(np.ones((4, 4), np.uint8) * 255), ""),
        (Image(np.ones((4, 4), bool)), ""),
        (Image(np.ones((4, 4), np.float32)), "real numbers (float32)"),
        (Image(np.arange(64, dtype=np.uint8).reshape(8, 8)), "64 grey values"),
        (Image(np.zeros((4, 4, 3), np.uint8), rgb=True), "colour image"),
        (Labels(np.full((4, 4), -2)), "negative label -2"),
        (Labels(np.zeros((2, 2, 4, 4), np.uint8)), "(2, 2, 4, 4)"),
    ],
)
def test_layer_is_labels(layer, says) -> None:
    problem = check.check_labels(layer, None if layer is None else look_at(layer), "prediction")
    assert says in problem
    assert bool(problem) == bool(says)


UM = {"units": ("um", "um")}


@pytest.mark.parametrize(
    ("prediction", "truth", "says", "resample"),
    [
        (labels("p"), labels("t"), "", False),
        (labels("p", (4, 6)), labels("t", (8, 12)), "another scale", True),
        (labels("p", (4, 6)), labels("t", (8, 8)), "proportions differ", False),
        (labels("p", (4, 6)), labels("t", (2, 4, 6)), "no pair", False),
        (
            labels("p", scale=(0.1, 0.1), **UM),
            labels("t", scale=(0.2, 0.2), **UM),
            "8 x 8 pixels of 100",
            False,
        ),
        (
            labels("p", scale=(0.2, 0.2), **UM),
            labels("t", (16, 16), scale=(0.1, 0.1), **UM),
            "another scale",
            True,
        ),
        (labels("p", scale=(0.2, 0.2), **UM), labels("t"), "", False),
    ],
)
def test_two_layers_fit_together(prediction, truth, says, resample) -> None:
    problem, offered = check.check_together((prediction, truth), (look_at(prediction), look_at(truth)))
    assert says in problem
    assert bool(problem) == bool(says)
    assert offered == resample


def test_same_layer_twice() -> None:
    layer = labels("p")
    assert "same layer" in check.check_together((layer, layer), (look_at(layer),) * 2)[0]


@pytest.mark.parametrize(
    ("names", "instances", "prediction", "truth", "says"),
    [
        ((), False, (1,), (255,), ""),
        ((), False, (1, 2), (1, 2), ""),
        ((), False, (2,), (1, 2), ""),
        ((), False, (1,), (1, 2), "more classes"),
        ((), False, (1,), (), ""),
        ((), False, tuple(range(1, 40)), (1,), "label of its own"),
        (("a",), False, (1,), (1, 2), "truth holds labels up to 2. Expected 0 (matrix) to 1 (a)"),
        (("a",), False, (255,), (1,), ""),
        (("a", "b"), False, (1, 2), (1,), ""),
        (("a", "b"), False, (3,), (1,), "prediction holds labels up to 3"),
        (("a", "a"), False, (1,), (1,), "same name"),
        (("a", "b"), True, (1,), (1,), "one class"),
        (("a",), True, tuple(range(1, 40)), (1,), ""),
    ],
)
def test_labels_fit_the_classes(names, instances, prediction, truth, says) -> None:
    problem = check.check_classes(names, instances, (prediction, truth))
    assert says in problem
    assert bool(problem) == bool(says)


@pytest.mark.parametrize(
    ("names", "values", "objects"),
    [
        ((), ((1,), (1,)), False),
        ((), ((1,), (1, 2)), False),
        (("a",), ((1,), tuple(range(1, 9))), True),
        ((), (tuple(range(1, 30)), tuple(range(1, 31))), True),
        (("a", "b"), ((1,), tuple(range(1, 9))), False),
        ((), ((1,), (1, 2, 255)), False),
    ],
)
def test_objects_are_recognised(names, values, objects) -> None:
    assert check.suggest_instances(names, values) == objects


def test_error_map_by_hand() -> None:
    prediction, truth = np.array([[0, 1, 0, 1, 2, 1]], np.uint8), np.array([[0, 1, 1, 0, 1, 1]], np.uint8)
    ignore = np.array([[0, 0, 0, 0, 0, 1]], bool)
    assert error_map(prediction, truth, ignore).tolist() == [[0, 1, 2, 3, 4, 0]]
    assert error_map(prediction, truth, ignore, instances=True).tolist() == [[0, 1, 2, 3, 1, 0]]


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    y, x = np.indices((60, 80))
    truth, prediction = np.zeros((2, 60, 80), np.uint8)
    for cy, cx, r in rng.integers((5, 5, 2), (55, 75, 8), (12, 3)):
        truth[(y - cy) ** 2 + (x - cx) ** 2 < r**2] = 1
        prediction[(y - cy - 1) ** 2 + (x - cx) ** 2 < (r - 0.5) ** 2] = 1
    return prediction, truth


def test_layers_give_the_scores_of_evaluate(pair) -> None:
    prediction, truth = pair
    outside = np.zeros(truth.shape, bool)
    outside[50:] = True
    probability = np.where(prediction, 0.75, 0.25).astype(np.float32)
    request = LayersRequest(
        prediction,
        truth,
        "a",
        EvaluationOptions(classes=()),
        outside,
        pixel_size=(50.0, 50.0),
        probability=probability,
    )
    steps, found = drain(request)
    expected = evaluate(prediction, truth, ignore=outside, pixel_size=(50.0, 50.0)).to_dict()
    got = found.evaluation.to_dict()
    assert [image.pop("name") for image in got["per_image"]] == ["a"]
    for side in (got, expected):
        side["per_image"][0].pop("name", None)
        for row in side["objects"]["table"]:
            row.pop("image")
    assert got == expected
    assert (steps[0].total, steps[-1]) == (0, Step(1, 1))
    assert found.curve.scores[50].iou == pytest.approx(expected["pooled"]["iou"], abs=1e-12)
    assert found.errors.shape == truth.shape
    assert not found.errors[50:].any()
    assert np.count_nonzero(found.errors == 1) == np.count_nonzero((prediction & truth)[:50])


def test_not_annotated_pixels_do_not_count(pair) -> None:
    prediction, truth = pair
    marked = truth.copy()
    marked[:, 40:] = 255
    request = LayersRequest(prediction, marked, "a", EvaluationOptions(not_annotated=255))
    ignore = marked == 255
    expected = evaluate(prediction, truth, ignore=ignore)
    assert drain(request)[1].evaluation.pooled["agglomerate"].pixels == expected.pooled["agglomerate"].pixels


def test_numbered_objects_against_a_mask(pair) -> None:
    from scipy import ndimage

    prediction, truth = pair
    numbered = ndimage.label(truth, np.ones((3, 3)))[0] * 7
    options = EvaluationOptions(classes=("agglomerate",), instances=True)
    found = drain(LayersRequest(prediction, numbered, "a", options))[1].evaluation
    expected = evaluate(prediction, truth)
    assert found.pooled["agglomerate"].objects == expected.pooled["agglomerate"].objects


def test_stack_counts_slice_by_slice(pair) -> None:
    prediction, truth = pair
    stack = np.stack([truth, prediction, truth])
    request = LayersRequest(np.stack([prediction] * 3), stack, "s", EvaluationOptions(classes=()))
    steps, found = drain(request)
    assert [r.name for r in found.evaluation.images] == ["s [0]", "s [1]", "s [2]"]
    assert found.evaluation.per_image[1]["agglomerate"].pixels.iou == 1
    assert found.errors.shape == stack.shape
    assert steps[-1] == Step(3, 3)


def test_all_left_out_is_refused(pair) -> None:
    request = LayersRequest(*pair, "a", EvaluationOptions(classes=()), outside=np.ones((60, 80), bool))
    with pytest.raises(InputError, match="All pixels of a"):
        drain(request)


@pytest.fixture
def folders(tmp_path: Path, pair) -> tuple[Path, Path]:
    prediction, truth = pair
    nothing = np.zeros_like(truth)
    for name, found, true in (
        ("a", prediction, truth),
        ("b", truth, truth),
        ("c", prediction, nothing),
        ("d", nothing, nothing),
    ):
        for side, pixels, ending in (("p", found, "labels"), ("t", true, "mask")):
            (tmp_path / side).mkdir(exist_ok=True)
            write_labels(tmp_path / side / f"{name}_{ending}.tif", pixels)
    return tmp_path / "p", tmp_path / "t"


def test_folders_give_the_scores_of_evaluate(folders) -> None:
    steps, found = drain(FoldersRequest(*folders, EvaluationOptions(classes=())))
    assert found.evaluation.to_dict() == evaluate(*folders).to_dict()
    assert steps[-1] == Step(4, 4)
    assert found.errors is None


def test_table_says_pooled_mean_interval_and_n(folders) -> None:
    result = drain(FoldersRequest(*folders, EvaluationOptions(classes=())))[1].evaluation
    rows = {row.cells[0][0]: row for row in score_rows(result, "agglomerate")}
    assert [text for text, _ in rows["Pixels"].cells] == ["Pixels", "pooled", "mean", "95 % (n)"]
    iou = [text for text, _ in rows["IoU"].cells]
    flat = [scores["agglomerate"].pixels.iou for scores in result.per_image]
    # d has nothing on either side, so that it is no image with a score.
    assert np.isnan(flat[3])
    assert iou[2] == f"{np.mean(flat[:3]):.3f}"
    assert iou[3].endswith("(3)")
    assert rows["Hausdorff 95, px"].cells[1][0] == "n/a"
    assert "pooled over images" in rows["Hausdorff 95, px"].cells[1][1]
    columns = {column.title: column for column in image_columns(result)}
    assert columns["class is"].values.tolist() == ["compared", "compared", "false", "n/a"]
    assert columns["IoU"].text(columns["IoU"].values[3]) == "n/a"


def test_missing_class_is_said(pair) -> None:
    result = evaluate(np.zeros_like(pair[0]), pair[1])
    assert "missed" in summary(result)
    rows = {row.cells[0][0]: row for row in score_rows(result, "agglomerate")}
    assert rows["IoU"].cells[1][0] == "0.000"
    assert rows["Hausdorff 95, px"].cells[1] == ("n/a", "n/a: the class is in the truth only.")


def test_objects_that_are_found_are_listed_once(pair) -> None:
    result = evaluate(*pair, pixel_size=(500.0, 500.0))
    rows = object_rows(result)
    scores = result.pooled["agglomerate"].objects
    assert len(rows.verdict) == scores.at_50.tp + scores.at_50.fn + scores.at_50.fp
    assert rows.counts()["found"] == scores.at_50.tp
    columns = {column.title: column.values for column in rows.columns}
    assert columns["µm²"][rows.verdict == "found"].sum() == pytest.approx(
        sum(
            r["area_px"] * 0.25
            for r in result.object_rows()
            if r["side"] == "truth" and r["verdict"] == "found"
        )
    )


def test_folder_without_partner_is_named(folders) -> None:
    write_bytes(folders[1] / "lonely_mask.tif", (folders[1] / "a_mask.tif").read_bytes())
    with pytest.raises(Exception, match="lonely_mask"):
        drain(FoldersRequest(*folders, EvaluationOptions(classes=())))
