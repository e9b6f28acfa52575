from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from blobs import blobs
from napari_micro_ktnet.experiments import ExperimentConfig, experiment_config, runner
from napari_micro_ktnet.experiments.job import run_job
from napari_micro_ktnet.experiments.jobs import Job

TINY = {
    "encoder": "mobilenet_v2",
    "init": "random",
    "steps": 2,
    "crop": 64,
    "batch_size": 2,
    "folds": 2,
    "precision": "float32",
    "device": "cpu",
}


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """Four annotated images."""
    for i in range(4):
        grey, mask = blobs(seed=i)
        for name, pixels in (("images", grey), ("masks", mask * 255)):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / name / f"{i}.png")
    return {"images": tmp_path / "images", "masks": tmp_path / "masks"}


@pytest.fixture
def tiny(folders: dict[str, Path]) -> Any:
    """Settings of an experiment that takes seconds."""

    def make(table: str = "architectures", **changes: Any) -> ExperimentConfig:
        return experiment_config(table, folders, "smoke", **TINY | changes)

    return make


class InProcess:
    """Takes the place of `JobProcess` and works in this process, when it is asked how far it is."""

    done: list[str]
    fail: dict[str, BaseException]

    def __init__(self, job: Job, slot: int, workers: int, gpus: int) -> None:
        self.job, self.slot, self.step = job, slot, 0
        self._failure = ""

    def poll(self) -> bool:
        error = InProcess.fail.get(self.job.spec.entry)
        if isinstance(error, KeyboardInterrupt):
            raise error
        if error is not None:
            self._failure = str(error)
            return False
        run_job(self.job)
        InProcess.done.append(self.job.folder.name)
        self.step = self.job.spec.training.steps
        return False

    def failure(self) -> str:
        return self._failure

    def close(self) -> None:
        pass


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> type[InProcess]:
    """Jobs in this process: `done` lists them, and `fail` holds what happens to entries."""
    InProcess.done, InProcess.fail = [], {}
    monkeypatch.setattr(runner, "JobProcess", InProcess)
    monkeypatch.setattr(runner, "_POLL_S", 0.0)
    return InProcess
