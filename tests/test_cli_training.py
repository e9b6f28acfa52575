from __future__ import annotations

import json
import os
import re
import signal
import tomllib
from pathlib import Path

import pytest
from PIL import Image

from helpers import blobs
from napari_micro_ktnet.cli import main
from napari_micro_ktnet.training import estimate, trainer
from napari_micro_ktnet.training.estimate import Estimate


def masked_folders(folder: Path) -> list[str]:
    for i in range(3):
        grey, mask = blobs(seed=i)
        for name, pixels in (("images", grey), ("masks", mask * 255)):
            (folder / name).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    return ["--images", str(folder / "images"), "--masks", str(folder / "masks")]


SMALL_RUN = ["--encoder", "resnet18", "--init", "random", "--crop", "64", "--batch-size", "2"]


def test_a_run_is_stopped_listed_and_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MICRO_KTNET_MODELS", str(tmp_path / "models"))
    run = tmp_path / "run"
    real, steps = trainer.Trainer.step, []

    def interrupted_once(self: trainer.Trainer, step: int) -> tuple[float, int]:
        if len(steps) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        steps.append(step)
        return real(self, step)

    monkeypatch.setattr(trainer.Trainer, "step", interrupted_once)
    arguments = [*masked_folders(tmp_path), *SMALL_RUN, "--steps", "6", "--class-names", "oxide"]
    assert main(["train", *arguments, "--output", str(run), "--name", "mine"]) == 130
    printed = capsys.readouterr()
    assert "stopping after this step" in printed.err
    assert f"micro-ktnet resume {run} --name mine" in printed.out
    assert "no validation says how good it is" in printed.out
    assert "--model mine" not in printed.out
    assert main(["runs", "list", str(tmp_path)]) == 0
    assert "stopped      step 3 of 6" in capsys.readouterr().out
    assert main(["train", *arguments, "--output", str(run)]) == 2
    assert "holds a training run already" in capsys.readouterr().err
    assert main(["runs", "stop", str(run)]) == 2
    assert main(["resume", str(run), "--name", "mine"]) == 0
    assert steps == [1, 2, 3, 4, 5, 6]
    capsys.readouterr()
    assert main(["resume", str(run)]) == 0
    assert "trained to its end, step 6 of 6: no step is left" in capsys.readouterr().out
    assert steps == [1, 2, 3, 4, 5, 6]
    assert main(["models", "list"]) == 0
    assert re.search(r"mine .*oxide", capsys.readouterr().out)


def test_training_from_a_configuration_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    masked_folders(tmp_path)
    (tmp_path / "mine.toml").write_text(
        '[data]\nimages = "images"\nmasks = "masks"\n'
        '[training]\nencoder = "resnet18"\ninit = "random"\ncrop = 64\nbatch_size = 2\nsteps = 9\n'
    )
    arguments = ["train", "--config", str(tmp_path / "mine.toml"), "--steps", "2"]
    assert main([*arguments, "--output", str(tmp_path / "run")]) == 0
    written = tomllib.loads((tmp_path / "run" / "run.toml").read_text())
    assert written["training"]["steps"] == 2
    assert written["training"]["crop"] == 64
    assert Path(written["data"]["images"]) == tmp_path / "images"
    capsys.readouterr()
    target = tmp_path / "estimate.json"
    assert main([*arguments, "--estimate", "--json", str(target)]) == 0
    measured = json.loads(target.read_text())
    assert measured["total_s"] == pytest.approx(2 * measured["step_s"] + measured["validation_s"])
    assert measured["memory_bytes"] > 0
    assert "About" in capsys.readouterr().out


def test_minutes_become_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = Estimate(step_s=2.0, validation_s=50.0, total_s=0.0, memory_bytes=0)
    monkeypatch.setattr(estimate, "estimate", lambda *_: measured)
    arguments = [*masked_folders(tmp_path), *SMALL_RUN, "--minutes", "0.1", "--output", str(tmp_path / "run")]
    assert main(["train", *arguments]) == 0
    # A step costs 2 s, and a fiftieth of a validation 1 s.
    assert tomllib.loads((tmp_path / "run" / "run.toml").read_text())["training"]["steps"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--output", "x"], "--images DIR --masks DIR"),
        (["train", "--images", "i", "--masks", "m"], "--output DIR"),
        (["train", "--images", "i", "--masks", "m", "--output", "x", "--crop", "1"], "crop cannot be 1"),
        (["train", "--config", "none.toml", "--output", "x"], "none.toml cannot be read"),
        (["runs", "list", "nowhere"], "no folder nowhere"),
    ],
)
def test_wrong_use_of_training(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("command", [["resume", "nowhere"], ["runs", "stop", "nowhere"]])
def test_no_such_run(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command) == 1
    assert "no training run" in capsys.readouterr().err
