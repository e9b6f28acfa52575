"""The directory of a training run: everything needed to watch it, to resume it and to replay it.

=====================  =======================================================================
``run.toml``           settings, complete
``manifest.json``      the images with the hash of their content, and the part each plays
``model.safetensors``  the best model so far
``state.safetensors``  the last state: weights, moving average, optimiser, step, best score
``metrics.csv``        one row for each validation
``events.jsonl``       one line for each report
``preview_*.tif``      a validation image and the latest labels of it
=====================  =======================================================================

The learning rate and every random draw follow from settings and step, so that they need no file.
"""

from __future__ import annotations

import csv
import io
import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tomli_w
from filelock import FileLock, Timeout
from platformdirs import user_data_path
from pydantic import ValidationError

from napari_micro_ktnet.errors import InputError, TrainingError
from napari_micro_ktnet.files import append_text, write_bytes
from napari_micro_ktnet.training.manifest import Manifest
from napari_micro_ktnet.training.run_config import RunConfig, parse_config

RUN_FILE = "run.toml"
MODEL_FILE = "model.safetensors"
STATE_FILE = "state.safetensors"
RUNS_VARIABLE = "MICRO_KTNET_RUNS"
_MANIFEST, _METRICS, _EVENTS = "manifest.json", "metrics.csv", "events.jsonl"
_LOCK, _STOP = ".lock", ".stop"

Status = Literal["running", "finished", "stopped", "interrupted", "failed", "new", "corrupt"]


@dataclass(frozen=True)
class RunSummary:
    """A run in a list.

    Attributes
    ----------
    path : Path
        Its directory.
    status : str
        ``"running"``, ``"finished"``, ``"stopped"``, ``"interrupted"`` (killed), ``"failed"``,
        ``"new"``, or ``"corrupt"``; all but running, finished and corrupt can be resumed.
    step, steps : int
        Steps done and planned.
    best : float
        Best pooled validation IoU, mean over classes; NaN before the first.
    """

    path: Path
    status: Status
    step: int
    steps: int
    best: float


def runs_folder() -> Path:
    """Folder of runs that were given no other: ``$MICRO_KTNET_RUNS``, else the platform's data folder."""
    override = os.environ.get(RUNS_VARIABLE)
    return Path(override).expanduser() if override else user_data_path("napari-micro-ktnet") / "runs"


class Run:
    """A run directory.

    Parameters
    ----------
    path : Path
        The directory, with a ``run.toml``.

    Raises
    ------
    TrainingError
        It is no run directory, or a file in it is corrupt.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not (self.path / RUN_FILE).is_file():
            raise TrainingError(
                f"{self.path} is no training run: it has no {RUN_FILE}. `micro-ktnet runs list` shows the "
                "runs there are."
            )
        try:
            self.config = parse_config(self.path / RUN_FILE)
            self.manifest = Manifest.model_validate_json((self.path / _MANIFEST).read_bytes())
        except (InputError, OSError, ValidationError) as error:
            raise TrainingError(
                f"The run directory {self.path} is corrupt: {str(error).splitlines()[0]} "
                f"Begin a new run; if {MODEL_FILE} is there, it can be its start (--init)."
            ) from error

    @classmethod
    def create(cls, path: str | Path, config: RunConfig, manifest: Manifest) -> Run:
        """Make the directory of a new run.

        Raises
        ------
        InputError
            There is a run already, or a model, state or table that a run would write over.
        OutputError
            The directory cannot be written.
        """
        path = Path(path)
        if (path / RUN_FILE).exists():
            raise InputError(
                f"{path} holds a training run already. Go on with it: micro-ktnet resume {path}; or choose "
                "another directory."
            )
        for name in (MODEL_FILE, STATE_FILE, _EVENTS, _METRICS):
            if (path / name).exists():
                raise InputError(
                    f"{path / name} is there already, and without a {RUN_FILE} it belongs to no run that "
                    "could go on. A new run would write over it: choose another directory, or move it away."
                )
        content = config.model_dump(mode="json", exclude_none=True)
        if config.data:
            content["data"] |= {
                k: str(Path(v).absolute()) for k, v in content["data"].items() if _is_folder(k)
            }
        write_bytes(path / _MANIFEST, manifest.model_dump_json(indent=1).encode())
        # Last, because it makes the directory a run.
        write_bytes(path / RUN_FILE, tomli_w.dumps(content).encode())
        return cls(path)

    @property
    def model_file(self) -> Path:
        """The best model so far."""
        return self.path / MODEL_FILE

    @property
    def state_file(self) -> Path:
        """The last state."""
        return self.path / STATE_FILE

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from training in this directory; a killed process loses the lock.

        Raises
        ------
        TrainingError
            Another process is training here.
        """
        # Whoever looks whether it is running holds the lock for an instant.
        lock = FileLock(self.path / _LOCK, timeout=1)
        try:
            lock.acquire()
        except Timeout as error:
            raise TrainingError(
                f"The run {self.path} is being trained by another process. Wait for it, or stop it: "
                f"micro-ktnet runs stop {self.path}"
            ) from error
        try:
            (self.path / _STOP).unlink(missing_ok=True)
            yield
        finally:
            lock.release()

    def is_running(self) -> bool:
        """Whether a process trains in this directory now."""
        lock = FileLock(self.path / _LOCK, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            return True
        lock.release()
        return False

    def request_stop(self) -> None:
        """Ask the process that trains here to save its state and end after the step at work."""
        write_bytes(self.path / _STOP, b"")

    def stop_requested(self) -> bool:
        """Whether it was asked to end."""
        return (self.path / _STOP).exists()

    def log(self, kind: str, **values: Any) -> None:
        """Append an event.

        Raises
        ------
        OutputError
            It cannot be written.
        """
        line = json.dumps({"time": round(time.time(), 3), "event": kind, **values})
        append_text(self.path / _EVENTS, line + "\n")

    def events(self, start: int = 0) -> tuple[list[dict[str, Any]], int]:
        """Read the events from a position in the file; a line that is still being written waits.

        Parameters
        ----------
        start : int
            0, or the position that the last call gave.

        Returns
        -------
        events : list of dict
            Each with ``time`` (seconds since 1970) and ``event``.
        position : int
            Where to go on.
        """
        try:
            with (self.path / _EVENTS).open("rb") as file:
                if start > os.fstat(file.fileno()).st_size:
                    start = 0
                file.seek(start)
                content = file.read()
        except FileNotFoundError:
            return [], 0
        complete = content[: content.rfind(b"\n") + 1]
        return [json.loads(line) for line in complete.splitlines()], start + len(complete)

    def append_metrics(self, row: dict[str, Any]) -> None:
        """Append a row to ``metrics.csv``, with a header if it is the first.

        Raises
        ------
        OutputError
            It cannot be written.
        """
        path = self.path / _METRICS
        text = io.StringIO()
        writer = csv.DictWriter(text, list(row), lineterminator="\n")
        if not path.exists():
            writer.writeheader()
        writer.writerow(row)
        append_text(path, text.getvalue())

    def forget_after(self, step: int) -> None:
        """Drop events and metrics of steps beyond the saved state, which will be done again."""
        events = [e for e in self.events()[0] if e.get("step", 0) <= step]
        write_bytes(self.path / _EVENTS, "".join(json.dumps(e) + "\n" for e in events).encode())
        path = self.path / _METRICS
        if path.exists():
            header, *rows = path.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [row for row in rows if row.endswith("\n") and int(row.split(",", 1)[0]) <= step]
            write_bytes(path, "".join([header, *kept]).encode())

    def summary(self) -> RunSummary:
        """Say how far the run is."""
        events = self.events()[0]
        done = max((e["step"] for e in events if "step" in e), default=0)
        best = max((e["score"] for e in events if e["event"] == "validation"), default=float("nan"))
        last = next((e for e in reversed(events) if e["event"] in ("end", "failed", "started")), None)
        status: Status = "new"
        if self.is_running():
            status = "running"
        elif last is not None:
            ended: dict[str, Status] = {"failed": "failed", "started": "interrupted"}
            stopped = last.get("reason") == "stopped"
            status = ended.get(last["event"], "stopped" if stopped else "finished")
        return RunSummary(self.path, status, done, self.config.training.steps, best)


def _is_folder(key: str) -> bool:
    return key in ("images", "masks", "val_images", "val_masks")


def list_runs(folder: Path | None = None) -> list[RunSummary]:
    """List the runs that lie directly inside a folder, by name.

    Parameters
    ----------
    folder : Path, optional
        `runs_folder()` without it.
    """
    folder = folder or runs_folder()
    found: Iterable[Path] = sorted(folder.iterdir()) if folder.is_dir() else ()
    return [_summary(path) for path in found if (path / RUN_FILE).is_file()]


def _summary(path: Path) -> RunSummary:
    try:
        return Run(path).summary()
    except TrainingError:
        return RunSummary(path, "corrupt", 0, 0, float("nan"))
