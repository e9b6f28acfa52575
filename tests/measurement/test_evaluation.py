from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage, stats

from napari_micro_ktnet import evaluate
from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.measurement.boundary import boundary_width, compare_boundaries
from napari_micro_ktnet.measurement.class_scores import mean_over_images, size_edges
from napari_micro_ktnet.measurement.evaluation import iter_evaluate, summarize
from napari_micro_ktnet.measurement.label_pairs import EvaluationOptions, LabelPair, with_classes
from napari_micro_ktnet.measurement.objects import number_objects
from napari_micro_ktnet.measurement.scores import confusion_matrix, scores_from_confusion
from napari_micro_ktnet.sem import SEMImage, write_labels

SHAPE = (64, 80)


def islands(seed: int, classes: int = 1) -> NDArray[np.uint8]:
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=SHAPE), 3)
    steps = [0.6 * field.std(), 1.4 * field.std()][:classes]
    return np.digitize(field, steps).astype(np.uint8)


def moved(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.roll(labels, (1, 2), (0, 1))


TRUTHS = [islands(seed) for seed in range(5)]
PREDICTIONS = [moved(t) for t in TRUTHS]


def test_pooled_and_mean_per_image() -> None:
    result = evaluate(PREDICTIONS, TRUTHS)
    matrices = [confusion_matrix(p, t, 2) for p, t in zip(PREDICTIONS, TRUTHS, strict=True)]
    assert result.classes == ("agglomerate",)
    assert result.pooled["agglomerate"].pixels == scores_from_confusion(np.sum(matrices, axis=0))[0]
    ious = [scores_from_confusion(m)[0].iou for m in matrices]
    assert [s["agglomerate"].pixels.iou for s in result.per_image] == ious
    mean = result.mean_per_image["agglomerate"]["iou"]
    assert (mean.value, mean.n) == (pytest.approx(np.mean(ious)), 5)
    assert min(ious) <= mean.low < mean.value < mean.high <= max(ious)
    objects = result.pooled["agglomerate"].objects
    assert objects.truth == sum(s["agglomerate"].objects.truth for s in result.per_image)
    assert objects.at_50.tp == sum(s["agglomerate"].objects.at_50.tp for s in result.per_image)
    parts = [
        compare_boundaries(t > 0, p > 0, 2, boundary_width(SHAPE))
        for p, t in zip(PREDICTIONS, TRUTHS, strict=True)
    ]
    nsd = sum(b.near for b in parts) / sum(b.length for b in parts)
    assert result.pooled["agglomerate"].boundary.nsd == pytest.approx(nsd)
    assert np.isnan(result.pooled["agglomerate"].boundary.hd95)
    assert result.mean_per_image["agglomerate"]["hd95"].value == pytest.approx(
        np.mean([b.hd95 for b in parts])
    )


def test_several_classes_and_what_json_holds(tmp_path: Path) -> None:
    truths = [islands(seed, 2) for seed in range(3)]
    result = evaluate([moved(t) for t in truths], truths, classes=["small", "large"])
    content = json.loads(result.write_json(tmp_path / "scores.json").read_text())
    assert set(content["pooled"]) == {"small", "large"}
    for name in ("iou", "precision", "recall", "f1", "mcc", "nsd", "object_f1_50", "panoptic_quality"):
        assert 0 < content["pooled"]["large"][name] < 1
        assert 0 < content["mean_per_image"]["large"][name] < 1
    assert content["mean_per_image"]["large"]["n"]["iou"] == 3
    assert [i["name"] for i in content["per_image"]] == ["image 1", "image 2", "image 3"]
    assert content["per_image"][0]["classes"]["small"]["status"] == "compared"
    assert content["overall"]["mean_iou"] == pytest.approx(
        (content["pooled"]["small"]["iou"] + content["pooled"]["large"]["iou"]) / 2
    )
    assert content["pooled"]["small"]["hd95"] is None
    table = content["objects"]["table"]
    assert content["objects"]["pooled"]["large"]["truth"] == sum(
        row["class"] == "large" and row["side"] == "truth" for row in table
    )
    with result.write_csv(tmp_path / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["image"], r["class"]) for r in rows][:2] == [("image 1", "small"), ("image 1", "large")]
    assert float(rows[0]["iou"]) == result.per_image[0]["small"].pixels.iou


def test_one_class_stands_directly_in_the_json() -> None:
    content = evaluate(PREDICTIONS[0], TRUTHS[0]).to_dict()
    assert content["pooled"]["iou"] == content["pooled"]["agglomerate"]["iou"]
    assert content["mean_per_image"]["f1"] == content["pooled"]["f1"]
    assert content["mean_per_image"]["interval_95"]["iou"] == [None, None]


def test_conventions_for_empty_images() -> None:
    nothing = np.zeros(SHAPE, np.uint8)
    result = evaluate([nothing, nothing, PREDICTIONS[0]], [nothing, TRUTHS[0], nothing])
    statuses = [scores["agglomerate"].status for scores in result.per_image]
    assert statuses == ["n/a", "missed", "false"]
    empty, missed, false = (scores["agglomerate"].flat() for scores in result.per_image)
    for name in (
        "iou",
        "f1",
        "precision",
        "recall",
        "boundary_iou",
        "nsd",
        "object_f1_50",
        "panoptic_quality",
    ):
        assert np.isnan(empty[name])
        assert missed[name] == false[name] == 0
    assert result.mean_per_image["agglomerate"]["iou"].n == 2
    assert result.mean_per_image["agglomerate"]["hd95"].n == 0
    assert result.to_dict()["mean_per_image"]["hd95"] is None


def test_ignored_pixels_change_nothing() -> None:
    ignore = np.zeros(SHAPE, bool)
    ignore[50:] = True
    noise = np.where(ignore, 1 - PREDICTIONS[0], PREDICTIONS[0])
    found, expected = (
        evaluate(p, t, ignore=i).per_image[0]["agglomerate"]
        for p, t, i in (
            (noise, TRUTHS[0], ignore),
            (PREDICTIONS[0][:50], TRUTHS[0][:50], None),
        )
    )
    for name in ("pixels", "edge", "interior", "bias"):
        assert getattr(found, name) == getattr(expected, name)
    assert found.objects.at_50 == expected.objects.at_50
    assert found.objects.border == expected.objects.border
    assert found.boundary.nsd == expected.boundary.nsd


def test_lengths_in_um() -> None:
    pixels, lengths = (evaluate(PREDICTIONS, TRUTHS, pixel_size=s) for s in (None, (500.0, 500.0)))
    assert (pixels.unit, lengths.unit) == ("px", "um")
    bias = [r.pooled["agglomerate"].bias for r in (pixels, lengths)]
    assert bias[1].d50_area.truth == pytest.approx(0.5 * bias[0].d50_area.truth)
    # One megapixel of 0.5 um pixels is a quarter of a square millimetre.
    assert bias[1].density.truth == pytest.approx(4 * bias[0].density.truth)
    means = [r.mean_per_image["agglomerate"]["hd95"].value for r in (pixels, lengths)]
    assert means[1] == pytest.approx(0.5 * means[0])
    nsd = evaluate(PREDICTIONS, TRUTHS, pixel_size=(500.0, 500.0), tolerance=1.0, tolerance_unit="um")
    assert nsd.pooled["agglomerate"].boundary.nsd == pixels.pooled["agglomerate"].boundary.nsd
    rows = lengths.object_rows()
    assert rows[0]["ecd"] == pytest.approx(0.5 * np.sqrt(4 * rows[0]["area_px"] / np.pi))


def test_pixel_size_of_some_images_only() -> None:
    result = evaluate(PREDICTIONS[:2], TRUTHS[:2], pixel_size=[(5.0, 5.0), None])
    assert result.unit == "px"
    assert "1 of 2 images have a pixel size" in result.warnings[0]


def test_oblong_pixels() -> None:
    truth, prediction = np.zeros((2, 40, 40), np.uint8)
    truth[10:20, 10:20] = 1
    prediction[10:20, 13:23] = 1
    result = evaluate(prediction, truth, pixel_size=(4000.0, 1000.0), tolerance=2.9, tolerance_unit="um")
    scores = result.per_image[0]["agglomerate"]
    assert scores.boundary.hd95 == pytest.approx(3.0)
    assert scores.bias.d50_number.truth == pytest.approx(np.sqrt(4 * 400 / np.pi))


def test_edge_band_and_interior() -> None:
    truth, prediction = np.ones((2, 40, 60), np.uint8)
    prediction[:2] = 0
    scores = evaluate(prediction, truth).per_image[0]["agglomerate"]
    band = 40 * 60 - 36 * 56
    assert scores.interior.iou == 1
    assert scores.edge.iou == (band - 120) / band
    assert scores.objects.border.tp == 1


def test_instances() -> None:
    truth = np.array([[1, 1, 7, 7], [1, 1, 7, 7]])
    prediction = np.array([[9, 9, 3, 3], [9, 9, 3, 0]])
    touching = evaluate(prediction, truth, instances=True).pooled["agglomerate"]
    assert (touching.objects.truth, touching.objects.at_50.tp) == (2, 2)
    assert touching.pixels.iou == 7 / 8
    assert evaluate(prediction > 0, truth > 0).pooled["agglomerate"].objects.truth == 1


def test_instances_against_a_mask() -> None:
    numbered = number_objects(TRUTHS[0] > 0) * 7
    found = evaluate(PREDICTIONS[0], numbered, instances=True).pooled["agglomerate"]
    assert found.objects == evaluate(PREDICTIONS[0], TRUTHS[0]).pooled["agglomerate"].objects


@pytest.mark.parametrize("how", ["arrays", "files", "folders"])
def test_not_annotated_pixels_do_not_count(how: str, tmp_path: Path) -> None:
    ignore = np.zeros(SHAPE, bool)
    ignore[:, 30:50] = True
    sides: list[Any] = [PREDICTIONS[0], np.where(ignore, np.uint8(255), TRUTHS[0])]
    if how != "arrays":
        for name, pixels in zip("pt", sides, strict=True):
            (tmp_path / name).mkdir()
            Image.fromarray(pixels).save(tmp_path / name / "a.png")
        sides = [tmp_path / name / ("a.png" if how == "files" else "") for name in "pt"]
    found = evaluate(*sides, not_annotated=255)
    expected = evaluate(PREDICTIONS[0], TRUTHS[0], ignore=ignore)
    assert found.classes == ("agglomerate",)
    assert found.to_dict()["pooled"] == expected.to_dict()["pooled"]
    assert found.images[0].confusion.sum() == (~ignore).sum()


@pytest.mark.parametrize("instances", [False, True])
def test_an_image_where_nothing_is_annotated_has_no_scores(instances: bool) -> None:
    blank = np.full(SHAPE, 255, np.uint8)
    options: Any = {"not_annotated": 255, "instances": instances, "pixel_size": (2.0, 2.0)}
    both = evaluate(PREDICTIONS[:2], [TRUTHS[0], blank], **options)
    alone = evaluate(PREDICTIONS[0], TRUTHS[0], **options)
    # The Hausdorff distance is that of an image; several have none together.
    pooled, expected = (r.to_dict()["pooled"]["agglomerate"] | {"hd95": None} for r in (both, alone))
    assert pooled == expected
    assert both.mean_per_image["agglomerate"]["iou"].n == 1
    assert both.warnings == ("All pixels of image 2 are left out or not annotated: they have no scores.",)
    with pytest.raises(InputError, match="All pixels of image 1, image 2 are left out"):
        evaluate(PREDICTIONS[:2], [blank, blank], **options)


def test_a_label_that_is_the_class_itself_is_doubted() -> None:
    result = evaluate(PREDICTIONS[0], TRUTHS[0] * np.uint8(255), not_annotated=255)
    assert "no class at all besides 255" in result.warnings[0]


@pytest.mark.parametrize(("factor", "message"), [(1.0, ""), (255.0, ""), (0.3, "type float32.*threshold")])
def test_masks_of_real_numbers(factor: float, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(TRUTHS[0].astype(np.float32) * np.float32(factor)).save(path)
    if not message:
        assert evaluate(path, TRUTHS[0]).pooled["agglomerate"].pixels.iou == 1
        return
    with pytest.raises(InputError, match=message):
        evaluate(path, TRUTHS[0])


def test_not_annotated_and_ignored_pixels_add_up() -> None:
    ignore = np.zeros(SHAPE, bool)
    ignore[:5] = True
    truth = np.where(np.arange(SHAPE[1]) < 7, 9, TRUTHS[0])
    assert (
        evaluate(PREDICTIONS[0], truth, ignore=ignore, not_annotated=9).images[0].confusion.sum() == 59 * 73
    )


def test_a_class_that_one_side_lacks_is_missed() -> None:
    result = evaluate(np.zeros(SHAPE, np.uint8), islands(0, 2))
    assert [scores.status for scores in result.pooled.values()] == ["missed", "missed"]


def test_tables_of_nothing_have_a_header(tmp_path: Path) -> None:
    nothing = np.zeros(SHAPE, np.uint8)
    result = evaluate(nothing, nothing)
    header, *rows = result.write_objects_csv(tmp_path / "o.csv").read_text().splitlines()
    assert header.startswith("image,side,class,label,matched,iou")
    assert rows == []
    assert len(result.write_csv(tmp_path / "s.csv").read_text().splitlines()) == 2
    full = evaluate(PREDICTIONS[0], TRUTHS[0])
    with full.write_objects_csv(tmp_path / "o.csv").open(newline="") as file:
        assert [row["verdict"] for row in csv.DictReader(file)] == full.images[0].objects.verdict.tolist()


def test_bootstrap_interval() -> None:
    values = np.random.default_rng(1).normal(0.7, 0.1, 40)
    found = mean_over_images([*values, float("nan")], seed=3)
    assert found == mean_over_images(list(values), seed=3)
    assert found.n == 40
    expected = stats.bootstrap((values,), np.mean, n_resamples=20000, method="percentile", random_state=0)
    assert found.low == pytest.approx(expected.confidence_interval.low, abs=0.004)
    assert found.high == pytest.approx(expected.confidence_interval.high, abs=0.004)
    assert np.isnan(mean_over_images([0.1, 0.2], 0).low)


def test_size_edges_are_round() -> None:
    assert size_edges(np.linspace(0.3, 30, 200)) == (5, 10, 20)
    assert size_edges(np.zeros(0)) == ()
    chosen = evaluate(PREDICTIONS, TRUTHS, size_edges=[4, 9]).pooled["agglomerate"].objects.sizes
    assert [(s.low, s.high) for s in chosen] == [(0, 4), (4, 9), (9, float("inf"))]


def test_reports_come_one_by_one() -> None:
    pairs = [LabelPair(p, t, str(i)) for i, (p, t) in enumerate(zip(PREDICTIONS, TRUTHS, strict=True))]
    options = with_classes(pairs, EvaluationOptions())
    waiting = iter(pairs)
    labels, first = next(iter_evaluate(waiting, options))
    assert (labels.name, first.name, first.shape) == ("0", "0", SHAPE)
    assert next(waiting).name == "1"
    assert summarize([first], options).pooled["agglomerate"].status == "compared"
    with pytest.raises(InputError, match="no image to compare"):
        summarize([], options)


def test_files_of_any_kind(tmp_path: Path) -> None:
    Image.fromarray(TRUTHS[0] * np.uint8(255)).save(tmp_path / "truth.png")
    write_labels(tmp_path / "found.tif", PREDICTIONS[0], (3.0, 3.0))
    result = evaluate(tmp_path / "found.tif", str(tmp_path / "truth.png"))
    assert result.images[0].name == "truth"
    assert result.images[0].pixel_size == pytest.approx((3.0, 3.0))
    assert (
        result.pooled["agglomerate"].pixels
        == evaluate(PREDICTIONS[0], TRUTHS[0]).pooled["agglomerate"].pixels
    )
    colored = np.zeros((*SHAPE, 3), np.uint8)
    colored[TRUTHS[0] > 0] = (255, 0, 0)
    Image.fromarray(colored).save(tmp_path / "colored.png")
    named = evaluate(tmp_path / "found.tif", tmp_path / "colored.png", mask_colors={"oxide": (255, 0, 0)})
    assert named.pooled["oxide"].pixels == result.pooled["agglomerate"].pixels


@pytest.mark.parametrize("value", [2, 255])
def test_one_class_of_any_value(value: int) -> None:
    assert evaluate(PREDICTIONS[0], TRUTHS[0] * np.uint8(value)).classes == ("agglomerate",)


def test_resampling_keeps_the_pixel_size_of_the_prediction(tmp_path: Path) -> None:
    write_labels(tmp_path / "small.tif", TRUTHS[0], (6.0, 8.0))
    Image.fromarray(TRUTHS[0].repeat(2, 0).repeat(2, 1)).save(tmp_path / "large.png")
    result = evaluate(tmp_path / "small.tif", tmp_path / "large.png", resample=True)
    assert result.images[0].pixel_size == pytest.approx((3.0, 4.0))


def test_resampling() -> None:
    small, large = TRUTHS[0], TRUTHS[0].repeat(2, 0).repeat(2, 1)
    assert evaluate(small, large, resample=True).pooled["agglomerate"].pixels.iou == 1
    assert evaluate(large, small, resample=True).pooled["agglomerate"].pixels.iou == 1
    ignore = np.zeros(small.shape, bool)
    ignore[:10] = True
    scores = evaluate(small, large, ignore=ignore, resample=True)
    assert scores.images[0].confusion.sum() == large.size - 4 * ignore.sum()
    with pytest.raises(InputError, match=r"another scale \(2 : 1\).*--resample"):
        evaluate(small, large)


ONE, BIG = np.eye(4, dtype=int), np.arange(16).reshape(4, 4) * 9


@pytest.mark.parametrize(
    ("prediction", "truth", "options", "message"),
    [
        (ONE * 0.5, ONE, {}, "prediction has the type float64.*threshold"),
        (ONE, -ONE, {}, "truth holds the negative label -1"),
        (ONE[:0], ONE[:0], {}, "prediction is empty"),
        (ONE, ONE[:2], {}, "do not show the same field"),
        (ONE, ONE[None], {}, r"truth has the shape \(1, 4, 4\)"),
        (ONE, ONE[:2], {"resample": True}, "do not show the same field"),
        (np.diag([1, 2, 1, 2]), np.diag([1, 2, 3, 0]), {}, "up to 2, the truth up to 3"),
        (ONE, np.diag([1, 2, 0, 0]), {"classes": ["oxide"]}, r"up to 2.*\(oxide\)"),
        (BIG, BIG, {}, "instances"),
        (ONE, ONE, {"classes": ["a", "b"], "instances": True}, "one class"),
        (ONE, ONE, {"ignore": np.zeros((2, 2), bool)}, "ignore mask"),
        (ONE, ONE, {"ignore": np.ones((4, 4), bool)}, "All pixels"),
        (ONE, ONE, {"tolerance_unit": "um"}, "pixel size"),
        (ONE, ONE, {"classes": ["a", "a"]}, "same name"),
        (ONE, ONE, {"tolerance": -1}, "tolerance"),
        (ONE, ONE, {"not_annotated": 0}, "0 is matrix"),
        (ONE, 255 - ONE * 254, {"not_annotated": 255, "ignore": ONE > 0}, "All pixels"),
        (ONE, SEMImage(np.zeros((4, 4, 3)), rgb=True), {"not_annotated": 255}, "in colour"),
        (ONE, ONE, {"pixel_size": (0.0, 1.0)}, "two numbers above 0"),
        (ONE, ONE, {"size_edges": [2, 1]}, "size edges"),
        ([ONE], [ONE, ONE], {}, "1 predictions and 2 truths"),
        ([ONE], ONE, {}, "both be lists"),
        ([ONE, ONE], [ONE, ONE], {"ignore": [None]}, "1 ignore masks for 2 images"),
        (ONE * 10**9, ONE, {"instances": True}, "Number its objects"),
    ],
)
def test_bad_input(prediction: object, truth: object, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        evaluate(prediction, truth, **options)


def test_different_scales(tmp_path: Path) -> None:
    for name, size in (("a", 3.0), ("b", 6.0)):
        write_labels(tmp_path / f"{name}.tif", TRUTHS[0], (size, size))
    with pytest.raises(InputError, match="fields of different size"):
        evaluate(tmp_path / "a.tif", tmp_path / "b.tif")
    assert evaluate(tmp_path / "a.tif", tmp_path / "b.tif", pixel_size=(6.0, 6.0)).unit == "um"
