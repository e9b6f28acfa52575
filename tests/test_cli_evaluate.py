from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers import blobs, small_model_file
from napari_micro_ktnet import evaluate
from napari_micro_ktnet.cli import main
from napari_micro_ktnet.measurement.objects import number_objects
from napari_micro_ktnet.sem import read_sem, write_image


def fill(folder: Path, names: dict[str, np.ndarray]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, pixels in names.items():
        Image.fromarray(pixels).save(folder / name)
    return folder


MASK = blobs()[1]
MOVED = np.roll(MASK, 3, 1)


def arguments(predictions: Path, truth: Path, *more: object) -> list[str]:
    return ["evaluate", "--predictions", str(predictions), "--truth", str(truth), *map(str, more)]


def test_evaluate_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = fill(tmp_path / "p", {"a_labels.tif": MOVED, "b_labels.tif": MASK, "c_labels.tif": MASK})
    truth = fill(tmp_path / "t", {"a_mask.png": MASK * np.uint8(255), "b.png": MASK * np.uint8(255)})
    table, scores, pictures = tmp_path / "o" / "s.csv", tmp_path / "o" / "s.json", tmp_path / "o" / "png"
    more = (
        "--json",
        scores,
        "--csv",
        table,
        "--overlays",
        pictures,
        "--size-edges",
        10,
        "--tolerance",
        "1px",
    )
    assert main(arguments(found, truth, *more)) == 0
    printed = capsys.readouterr().out
    assert "1 of 3 predictions have no mask and are left out: c_labels.tif" in printed
    assert "2 images. Pooled: over all pixels" in printed
    content = json.loads(scores.read_text())
    expected = evaluate([MOVED, MASK], [MASK, MASK], tolerance=1, size_edges=[10]).to_dict()
    assert content["pooled"] == expected["pooled"]
    assert content["mean_per_image"]["iou"] == expected["mean_per_image"]["iou"]
    assert f"{content['pooled']['iou']:.4f}" in printed
    assert [i["name"] for i in content["per_image"]] == ["a", "b"]
    assert evaluate(found, truth).to_dict()["pooled"]["iou"] == content["pooled"]["iou"]
    with table.open(newline="") as file:
        assert [row["image"] for row in csv.DictReader(file)] == ["a", "b"]
    assert sorted(p.name for p in pictures.iterdir()) == ["a_errors.png", "b_errors.png"]
    red, green, blue = np.moveaxis(np.asarray(Image.open(pictures / "a_errors.png")).astype(int), -1, 0)
    right, missed, false = (MOVED & MASK) > 0, MASK > MOVED, MOVED > MASK
    assert ((red > blue) & (green > blue))[right].all()
    assert (green > red)[missed].all()
    assert (red > green)[false].all()
    assert not red[~right & ~missed & ~false].any()


def test_what_segment_did_not_analyse_is_left_out(tmp_path: Path) -> None:
    model = small_model_file(tmp_path / "model.safetensors")
    image = write_image(tmp_path / "i" / "a.tif", blobs()[0], (3.0, 3.0))
    out = tmp_path / "p"
    options = ["--model", str(model), "--tile", "64", "--save-probability", "--save-overlay"]
    assert main(["segment", str(image), "--output", str(out), *options]) == 0
    record = json.loads((out / "a.json").read_text())
    record["analysed_region"]["rows"] = [0, 60]
    (out / "a.json").write_text(json.dumps(record))
    truth = fill(tmp_path / "t", {"a.png": MASK})
    scores = tmp_path / "s.json"
    assert main(arguments(out, truth, "--json", scores, "--tolerance", "0.01um")) == 0
    content = json.loads(scores.read_text())
    labels = read_sem(out / "a_labels.tif").pixels
    expected = evaluate(labels[:60], MASK[:60], pixel_size=(3, 3)).to_dict()
    assert content["per_image"][0]["analysed_pixels"] == 60 * MASK.shape[1]
    assert content["pooled"]["iou"] == expected["pooled"]["iou"]
    assert content["length_unit"] == "um"
    (out / "a.json").write_text("{}")
    assert main(arguments(out, truth)) == 2


def test_several_classes_in_colour(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    numbers = MASK.copy()
    numbers[:40] *= 2
    table = np.array([[0, 0, 0], [0, 0, 255], [255, 0, 0]], np.uint8)
    found = fill(tmp_path / "p", {"a.png": numbers})
    truth = fill(tmp_path / "t", {"a.png": table[numbers]})
    colors = ("--mask-colors", "primary=0,0,255", "secondary=255,0,0")
    assert main(arguments(found, truth, *colors, "--overlays", tmp_path / "o")) == 0
    assert "mean IoU 1.0000" in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "o").iterdir()] == ["a_errors.png"]
    assert main(arguments(found, truth)) == 2
    assert "--mask-colors" in capsys.readouterr().err


def test_not_annotated_label_of_masks(tmp_path: Path) -> None:
    unknown = MASK.copy()
    unknown[:, :50] = 255
    found, truth = fill(tmp_path / "p", {"a.png": MOVED}), fill(tmp_path / "t", {"a.png": unknown})
    scores = tmp_path / "s.json"
    assert main(arguments(found, truth)) == 2
    assert main(arguments(found, truth, "--not-annotated", 255, "--json", scores)) == 0
    content = json.loads(scores.read_text())
    expected = evaluate(MOVED, MASK, ignore=unknown == 255).to_dict()
    assert content["pooled"]["iou"] == expected["pooled"]["iou"]
    assert content["settings"]["not_annotated"] == 255


def test_instances_against_what_segment_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    numbered = number_objects(MASK > 0).astype(np.uint16)
    found, truth = fill(tmp_path / "p", {"a.png": MASK}), fill(tmp_path / "t", {"a.png": numbered * 9})
    assert main(arguments(found, truth)) == 2
    assert "--instances" in capsys.readouterr().err
    assert main(arguments(found, truth, "--instances")) == 0
    assert f"{numbered.max()} found, 0 missed, 0 false" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("predictions", "truth", "more", "message"),
    [
        ({"a.png": MASK}, {"a.png": MASK, "b.png": MASK}, [], "1 of 2 masks in .* have no prediction.*b.png"),
        ({"x.png": MASK}, {"a.png": MASK}, [], "a.png. Predictions without a mask: x.png"),
        ({"a.png": MASK}, {}, [], "no mask in"),
        ({"a.png": MASK[::2, ::2]}, {"a.png": MASK}, [], "another scale.*--resample"),
        ({"a.png": MASK}, {"a.png": MASK[:50]}, [], "do not show the same field"),
        ({"a.png": MASK}, {"a.png": MASK}, ["--tolerance", "1um"], "pixel size of a is not known"),
        ({"a.png": MASK}, {"a.png": np.vstack([MASK[:40], 2 * MASK[40:]])}, [], "up to 1, the truth up to 2"),
    ],
)
def test_bad_input(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    predictions: dict[str, np.ndarray],
    truth: dict[str, np.ndarray],
    more: list[str],
    message: str,
) -> None:
    folders = fill(tmp_path / "p", predictions), fill(tmp_path / "t", truth)
    assert main(arguments(*folders, *more)) == 2
    assert re.search(message, capsys.readouterr().err)


def test_resample(tmp_path: Path) -> None:
    found = fill(tmp_path / "p", {"a.png": MASK.repeat(2, 0).repeat(2, 1)})
    truth = fill(tmp_path / "t", {"a.png": MASK})
    assert main(arguments(found, truth, "--resample", "--pixel-size", 5)) == 0


@pytest.mark.parametrize(
    "option",
    [["--not-annotated", "0"], ["--tolerance", "far"], ["--pixel-size", "0"], ["--size-edges", "-1"]],
)
def test_wrong_use(option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(arguments(Path("p"), Path("t"), *option))
    assert "above 0" in capsys.readouterr().err


def test_real_masks_against_themselves(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "agglomerates" / "masks"
    assert main(arguments(folder, folder, "--json", tmp_path / "s.json")) == 0
    content = json.loads((tmp_path / "s.json").read_text())
    assert content["pooled"]["iou"] == content["mean_per_image"]["panoptic_quality"] == 1


@pytest.mark.parametrize("wrong", ["prediction", "truth"])
def test_images_in_place_of_labels_are_named_with_their_folder(
    wrong: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = {"prediction": MASK, "truth": MASK} | {wrong: blobs()[0]}
    folders = [fill(tmp_path / side, {"a.png": pixels[side]}) for side in ("prediction", "truth")]
    assert main(arguments(*folders)) != 0
    message = capsys.readouterr().err
    assert f"The {wrong} a ({tmp_path / wrong / 'a.png'}) holds" in message
