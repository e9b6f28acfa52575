"""Training in a process of its own: start, follow, stop, kill, attach, resume, and a start that fails."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers import blobs
from napari_micro_ktnet.errors import TrainingError
from napari_micro_ktnet.model.registry import model_info
from napari_micro_ktnet.model.spec import LabelClass
from napari_micro_ktnet.sem.writer import write_image, write_labels
from napari_micro_ktnet.training.child import LOG_FILE, iter_estimate
from napari_micro_ktnet.training.config import DataConfig, preset
from napari_micro_ktnet.training.process import Ending, TrainingProcess
from napari_micro_ktnet.training.run import Run
from napari_micro_ktnet.training.run_config import RunConfig

RED = LabelClass(name="agglomerate", color="#ff0000")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., RunConfig]:
    """Settings of a tiny run on four images of blobs; all folders are temporary."""
    monkeypatch.setenv("MICRO_KTNET_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for i in range(4):
        grey, mask = blobs(seed=i)
        write_image(tmp_path / "images" / f"{i}.tif", grey)
        write_labels(tmp_path / "masks" / f"{i}.tif", mask + np.uint8(1))
    data = DataConfig(images=tmp_path / "images", masks=tmp_path / "masks", annotation="scribbles")

    def make(**settings: Any) -> RunConfig:
        tiny = {"encoder": "resnet18", "init": "random", "crop": 64, "batch_size": 2, "device": "cpu"}
        every = {"validate_every": 2, "save_every": 2}
        training = preset("quick", **{**tiny, **every, "classes": (RED,), **settings})
        return RunConfig(data=data, training=training)

    return make


def drain(following: Generator[Any, None, Ending]) -> tuple[list[dict[str, Any]], Ending]:
    """All events, and how it ended."""
    events: list[dict[str, Any]] = []
    while True:
        try:
            events += next(following)
        except StopIteration as stop:
            return events, stop.value


def follow_to_step(process: TrainingProcess, step: int) -> dict[str, Any]:
    """Wait for a step; gives the event that says who works on it."""
    started: dict[str, Any] = {}
    for events in process.follow(0.05):
        started = next((e for e in events if e["event"] == "started"), started)
        if any(e["event"] == "step" and e["step"] >= step for e in events):
            return started
    raise AssertionError((process.path / LOG_FILE).read_text())


@pytest.mark.slow
def test_run_is_followed_to_its_end_and_the_model_is_listed(config, tmp_path) -> None:
    process = TrainingProcess.start(config(steps=4), tmp_path / "run", name="mine")
    events, ending = drain(process.follow(0.05))
    assert ending == Ending("finished")
    assert [e["step"] for e in events if e["event"] == "step"] == [1, 2, 3, 4]
    assert [e["step"] for e in events if e["event"] == "validation"] == [2, 4]
    assert model_info("mine").spec.classes == (RED,)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="kills as POSIX does")
def test_killed_run_is_attached_to_stopped_and_resumed(config, tmp_path) -> None:
    path = tmp_path / "run"
    process = TrainingProcess.start(config(steps=10_000), path)
    pid = follow_to_step(process, 3)["pid"]
    assert os.getsid(pid) == pid, "it must not share the session of the viewer"
    os.kill(pid, signal.SIGKILL)
    _, ending = drain(process.follow(0.05))
    assert ending.status == "interrupted"
    assert Run(path).summary().status == "interrupted"

    resumed = TrainingProcess.resume(path)
    follow_to_step(resumed, 5)
    other = TrainingProcess.attach(path)
    other.stop()
    events, ending = drain(other.follow(0.05))
    assert ending == Ending("stopped")
    assert events[-1]["event"] == "end"
    assert Run(path).state_file.is_file()
    assert drain(resumed.follow(0.05))[1] == Ending("stopped")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="stops a process as POSIX does")
def test_process_that_does_not_listen_is_ended_by_force(config, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("napari_micro_ktnet.training.process._LAST_WORDS_S", 0.3)
    process = TrainingProcess.start(config(steps=10_000), tmp_path / "run")
    pid = follow_to_step(process, 3)["pid"]
    os.kill(pid, signal.SIGSTOP)
    watcher = TrainingProcess.attach(tmp_path / "run")
    watcher.stop()
    start = time.monotonic()
    _, ending = drain(watcher.follow(0.05, grace_s=0.3))
    assert ending.status == "interrupted"
    assert time.monotonic() - start < 10
    assert drain(process.follow(0.05))[1].status == "interrupted"


@pytest.mark.slow
def test_stop_before_the_first_step_ends_it_too(config, tmp_path) -> None:
    process = TrainingProcess.start(config(steps=10_000), tmp_path / "run")
    process.stop()
    start = time.monotonic()
    _, ending = drain(process.follow(0.05))
    assert ending == Ending("new")
    assert time.monotonic() - start < 30


@pytest.mark.slow
def test_start_that_fails_says_why(config, tmp_path) -> None:
    (tmp_path / "masks" / "2.tif").unlink()
    process = TrainingProcess.start(config(steps=4), tmp_path / "run")
    events, ending = drain(process.follow(0.05))
    assert events == []
    assert ending.status == "failed"
    assert ending.message.startswith("1 of 4 images in")
    assert "2.tif" in ending.message
    with pytest.raises(TrainingError, match="no training run"):
        TrainingProcess.attach(tmp_path / "run")


@pytest.mark.slow
def test_estimate_is_measured_in_a_process(config, tmp_path) -> None:
    folder = tmp_path / "estimate"
    folder.mkdir()
    waiting = iter_estimate(config(steps=100), folder, 0.05)
    values: dict[str, float] = {}

    def exhaust() -> Iterator[None]:
        values.update((yield from waiting))

    assert list(exhaust())
    assert values["steps"] == 100
    assert values["total_s"] > values["step_s"] > 0
