"""A training process that is made up; the run directory that it writes is not."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from pathlib import Path
from shutil import copyfile
from typing import Any

import numpy as np

from napari_micro_ktnet.gui.train import run as train_run
from napari_micro_ktnet.sem.writer import write_image, write_labels
from napari_micro_ktnet.training.manifest import Manifest
from napari_micro_ktnet.training.process import Ending
from napari_micro_ktnet.training.run import Run
from napari_micro_ktnet.training.run_config import RunConfig


def _sample() -> Path:
    """A file that poses as a model, in the models folder of the fixtures."""
    return train_run.runs_folder().parent / "models" / "one.safetensors"


class FakeProcess:
    """Plays a run of four steps with a validation after every second; waits for `gate` before each step."""

    started: list[FakeProcess]
    gate: threading.Semaphore
    fail_at: int
    ending: Ending

    def __init__(self, path: Path, first: int, name: str | None, config: RunConfig | None) -> None:
        self.path, self.first, self.name, self.config = path, first, name, config
        self.minutes: float | None = None
        self.stopped = threading.Event()
        FakeProcess.started.append(self)

    @classmethod
    def start(cls, config: RunConfig, path: Path, *, name: str, minutes: float | None = None) -> FakeProcess:
        Run.create(path, config, Manifest(images=()))
        made = cls(path, 0, name, config)
        made.minutes = minutes
        return made

    @classmethod
    def resume(cls, path: Path, *, name: str | None = None) -> FakeProcess:
        return cls(path, Run(path).summary().step, name, None)

    @classmethod
    def attach(cls, path: Path) -> FakeProcess:
        return cls(path, 0, path.name, None)

    def stop(self) -> None:
        self.stopped.set()
        FakeProcess.gate.release()

    def follow(self, poll_s: float) -> Generator[list[dict[str, Any]], None, Ending]:
        run = Run(self.path)
        events = run.events()[0] + [self._log(run, "started", step=self.first, steps=4)]
        for step in range(self.first + 1, 5):
            yield events
            assert FakeProcess.gate.acquire(timeout=20)
            if self.stopped.is_set():
                self._model()
                yield [self._log(run, "end", step=step - 1, reason="stopped")]
                return Ending("stopped")
            if step == FakeProcess.fail_at:
                return FakeProcess.ending
            events = [self._log(run, "step", step=step, loss=1 / step)]
            if step % 2 == 0:
                write_image(
                    self.path / "preview_image.tif", np.full((32, 48), 7 * step, np.uint8), (20.0, 20.0)
                )
                write_labels(
                    self.path / "preview_labels.tif", np.full((32, 48), step // 4, np.uint8), (20.0, 20.0)
                )
                scores = {"score": step / 8, "iou_agglomerate": step / 8}
                losses = {"training_loss": 0.5, "validation_loss": 0.6}
                events.append(self._log(run, "validation", step=step, **scores, **losses))
        self._model()
        yield [*events, self._log(run, "end", step=4, reason="finished")]
        if self.name:
            copyfile(_sample(), _sample().with_name(f"{self.name}.safetensors"))
        return Ending("finished")

    def _model(self) -> None:
        copyfile(_sample(), self.path / "model.safetensors")

    @staticmethod
    def _log(run: Run, kind: str, **values: Any) -> dict[str, Any]:
        run.log(kind, **values)
        return {"event": kind, "time": time.time(), **values}
