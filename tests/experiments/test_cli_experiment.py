from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from napari_micro_ktnet.cli import main
from napari_micro_ktnet.experiments.entries import ARCHITECTURES

TINY = [
    *("--budget", "smoke", "--encoder", "mobilenet_v2", "--init", "random"),
    *("--steps", "2", "--crop", "64", "--batch-size", "2", "--device", "cpu"),
]


def folder_options(folders: dict[str, Path]) -> list[str]:
    return ["--images", str(folders["images"]), "--masks", str(folders["masks"])]


def rows(output: Path) -> dict[str, dict[str, str]]:
    with (output / "results.csv").open() as file:
        return {row["entry"]: row for row in csv.DictReader(file)}


def test_a_sweep_is_run_resumed_and_run_again(
    folders: dict[str, Path], in_process: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    arguments = ["experiment", "training-size", *folder_options(folders), *TINY, "--output", str(output)]
    assert main([*arguments, "--only", "images-1"]) == 0
    assert {name: row["status"] for name, row in rows(output).items()} == {
        "images-1": "done",
        "images-2": "not run",
    }
    assert main(arguments) == 2
    assert "--resume" in capsys.readouterr().err
    # The folder knows the rest.
    assert main(["experiment", "training-size", "--output", str(output), "--resume", "--only", "*"]) == 0
    assert len(in_process.done) == 4
    printed = capsys.readouterr().out
    assert "2 done" in printed
    found = rows(output)
    assert [found[name]["training_images"] for name in ("images-1", "images-2")] == ["1", "2"]
    assert found["images-2"]["reference"] == "1"
    assert float(found["images-1"]["p_value"]) <= 1
    # With the images said again too, the settings are those of the folder.
    again = ["experiment", "training-size", *folder_options(folders), "--output", str(output), "--resume"]
    assert main(again) == 0
    assert len(in_process.done) == 4
    assert rows(output)["images-2"]["status"] == "done"
    # From the record alone, the same numbers.
    again = tmp_path / "again"
    record = ["--config", str(output / "record.json"), "--output", str(again)]
    assert main(["experiment", "training-size", *record]) == 0
    scores = ("iou", "iou_mean", "f1", "precision", "recall", "p_value", "p_holm")
    for name, row in rows(again).items():
        assert [row[c] for c in scores] == [found[name][c] for c in scores]


def test_a_fixed_test_set_in_colour_with_one_entry_that_fails(
    folders: dict[str, Path], in_process: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import numpy as np
    from PIL import Image

    for path in folders["masks"].iterdir():
        mask = np.asarray(Image.open(path)) > 0
        colors = np.zeros((*mask.shape, 3), np.uint8)
        colors[mask] = (0, 0, 255)
        colors[:20][mask[:20]] = (255, 0, 0)
        Image.fromarray(colors).save(path)
    held = []
    for name, folder in folders.items():
        (tmp_path / f"test_{name}").mkdir()
        (folder / "3.png").rename(tmp_path / f"test_{name}" / "3.png")
        held += [f"--test-{name}", str(tmp_path / f"test_{name}")]
    in_process.fail["pspnet"] = RuntimeError("made up by the test")
    output = tmp_path / "out"
    arguments = [*folder_options(folders), *held, *TINY, "--output", str(output)]
    colors = ["--mask-colors", "oxide=0,0,255", "crack=255,0,0"]
    only = ["--only", "pspnet", "linknet"]
    assert main(["experiment", "architectures", *arguments, *colors, *only]) == 1
    assert "pspnet: failed: made up by the test" in capsys.readouterr().err
    row = rows(output)["linknet"]
    assert (row["status"], row["images"], row["folds"], row["training_images"]) == ("done", "1", "1", "3")
    both = [float(row["iou_class_oxide"]), float(row["iou_class_crack"])]
    assert float(row["iou"]) == pytest.approx(sum(both) / 2)
    assert json.loads((output / "record.json").read_text())["folds"][0]["scored"].keys() == {"3.png"}


@pytest.mark.slow
def test_processes_of_their_own(folders: dict[str, Path], tmp_path: Path) -> None:
    output = tmp_path / "out"
    arguments = ["architectures", *folder_options(folders), *TINY, "--folds", "2", "--workers", "2"]
    only = ["--only", "linknet", "deeplabv3"]
    # A batch of one crop is too small for the batch normalisation of DeepLabV3.
    assert main(["experiment", *arguments, *only, "--batch-size", "1", "--output", str(output)]) == 1
    found = rows(output)
    assert found["linknet"]["status"] == "done"
    assert float(found["linknet"]["memory_mb"]) > 50
    assert found["deeplabv3"]["status"] == "failed"
    assert "more than 1 value per channel" in found["deeplabv3"]["reason"]


@pytest.mark.slow
def test_every_architecture(folders: dict[str, Path], in_process: Any, tmp_path: Path) -> None:
    output = tmp_path / "out"
    for name, folder in folders.items():
        for path in sorted(folder.iterdir())[2:]:
            (tmp_path / f"test_{name}").mkdir(exist_ok=True)
            path.rename(tmp_path / f"test_{name}" / path.name)
    held = [t for n in folders for t in (f"--test-{n}", str(tmp_path / f"test_{n}"))]
    arguments = [*folder_options(folders), *held, *TINY, "--output", str(output)]
    assert main(["experiment", "architectures", *arguments]) == 0
    assert [(name, row["status"]) for name, row in rows(output).items()] == [
        (name, "done") for name in ARCHITECTURES
    ]
    assert len({row["parameters"] for row in rows(output).values()}) == 9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--images DIR --masks DIR"),
        (["--config", "none.toml"], "none.toml cannot be read"),
        (["--config", "none.toml", "--budget", "quick"], "Give only one"),
        (["--images", "i", "--masks", "m", "--values", "3"], "not for architectures"),
        (["--images", "i", "--masks", "m", "--test-images", "t"], "both test images and test masks"),
        (["--images", "i", "--masks", "m", "--steps", "0"], "steps cannot be used"),
    ],
)
def test_wrong_use(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["experiment", "architectures", "--output", "x", *arguments]) == 2
    assert message in capsys.readouterr().err
