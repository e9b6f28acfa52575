"""A training run in a process of its own, which goes on when the program that started it ends."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_micro_ktnet.errors import OutputError, TrainingError
from napari_micro_ktnet.training.child import CONFIG_FILE, LOG_FILE, last_line, open_process, write_config
from napari_micro_ktnet.training.run import RUN_FILE, Run, Status
from napari_micro_ktnet.training.run_config import RunConfig

_POLL_S = 0.2
_GRACE_S = 60.0
_LAST_WORDS_S = 5.0

Event = dict[str, Any]


@dataclass(frozen=True)
class Ending:
    """How a training process ended.

    Attributes
    ----------
    status : str
        Of the run, see `RunSummary`; ``"failed"`` where it did not even begin.
    message : str
        What went wrong; empty where nothing did.
    """

    status: Status
    message: str = ""


class TrainingProcess:
    """A training run that another process works on.

    Parameters
    ----------
    path : Path
        Run directory.
    popen : Popen, optional
        The process, where this program started it.
    log_start : int
        Size of the log file before it was started.
    """

    def __init__(self, path: Path, popen: subprocess.Popen[bytes] | None = None, log_start: int = 0) -> None:
        self.path = path
        self._popen = popen
        self._log_start = log_start
        self._known: Run | None = None
        self._stop_asked: float | None = None
        self._terminated: float | None = None

    @classmethod
    def start(
        cls, config: RunConfig, path: str | Path, *, name: str | None = None, minutes: float | None = None
    ) -> TrainingProcess:
        """Begin a run.

        Parameters
        ----------
        config : RunConfig
            With absolute folders.
        path : path
            Run directory; made if missing.
        name : str, optional
            The process adds the finished model to the list of models under this name.
        minutes : float, optional
            Take as many steps as fit into this time, instead of those of `config`.

        Raises
        ------
        OutputError
            The directory cannot be written.
        TrainingError
            The process cannot be started.
        """
        path = Path(path).absolute()
        write_config(path / CONFIG_FILE, config)
        arguments = ["train", "--config", str(path / CONFIG_FILE), "--output", str(path)]
        if minutes is not None:
            arguments += ["--minutes", str(minutes)]
        return cls._launch(path, arguments, name)

    @classmethod
    def resume(cls, path: str | Path, *, name: str | None = None) -> TrainingProcess:
        """Go on with a run that is not running.

        Raises
        ------
        TrainingError
            There is no such run, or the process cannot be started.
        """
        run = Run(Path(path).absolute())
        return cls._launch(run.path, ["resume", str(run.path)], name)

    @classmethod
    def attach(cls, path: str | Path) -> TrainingProcess:
        """Watch a run that some other program started.

        Raises
        ------
        TrainingError
            There is no such run.
        """
        return cls(Run(Path(path).absolute()).path)

    @classmethod
    def _launch(cls, path: Path, arguments: list[str], name: str | None) -> TrainingProcess:
        log = path / LOG_FILE
        try:
            with log.open("ab") as file:
                start = file.tell()
                popen = open_process([*arguments, *(["--name", name] if name else [])], file, detached=True)
        except OSError as error:
            raise TrainingError(
                f"The training process could not be started ({error}). Check that {path} can be written, or "
                f"start it on the command line: micro-ktnet {' '.join(arguments)}"
            ) from error
        return cls(path, popen, start)

    def stop(self) -> None:
        """Let the run save its state and end; `follow` ends the process by force where it does not."""
        self._stop_asked = self._stop_asked or time.monotonic()

    def follow(
        self, poll_s: float = _POLL_S, grace_s: float = _GRACE_S
    ) -> Generator[list[Event], None, Ending]:
        """Yield the events of the run from its beginning, some at a time and often none, to its end.

        Closing the generator leaves the process alone. After a resume, events beyond the saved state
        come again.

        Parameters
        ----------
        poll_s : float
            Seconds between two looks.
        grace_s : float
            Seconds from `stop` until the process is ended by force.

        Returns
        -------
        Ending
        """
        position = 0
        while True:
            # First, or the last events could be missed.
            ended = self._has_ended()
            events, position = self._events(position)
            yield events
            if ended:
                return self._ending()
            if self._stop_asked is not None:
                self._press(grace_s)
            time.sleep(poll_s)

    def _run(self) -> Run | None:
        if self._known is None and (self.path / RUN_FILE).is_file():
            self._known = Run(self.path)
        return self._known

    def _has_ended(self) -> bool:
        if self._popen is not None:
            return self._popen.poll() is not None
        run = self._run()
        return run is None or not run.is_running()

    def _events(self, position: int) -> tuple[list[Event], int]:
        run = self._run()
        if run is None:
            return [], 0
        try:
            return run.events(position)
        except json.JSONDecodeError:
            # A resumed run has rewritten the file, and the position lies within a line.
            return run.events()

    def _press(self, grace_s: float) -> None:
        """Ask the process to stop; in the end, force it."""
        run, now = self._run(), time.monotonic()
        asked = self._stop_asked if self._stop_asked is not None else now
        patience = grace_s
        if run is None:
            # It has nothing to save yet.
            patience = 0.0
        elif not run.stop_requested():
            # Again and again: a run that begins forgets what it was asked before.
            try:
                run.request_stop()
            except OutputError:
                patience = 0.0
        if self._terminated is not None and now - self._terminated > _LAST_WORDS_S:
            self._signal(getattr(signal, "SIGKILL", signal.SIGTERM))
        elif self._terminated is None and now - asked > patience:
            self._terminated = now
            self._signal(signal.SIGTERM)

    def _signal(self, number: int) -> None:
        if self._popen is not None:
            self._popen.send_signal(number)
            return
        run = self._run()
        if run is None:
            return
        last: Event = next((e for e in reversed(run.events()[0]) if e["event"] == "started"), {})
        # The lock is held, so that the number still means the process that wrote it.
        if last.get("host") == platform.node() and run.is_running():
            os.kill(last["pid"], number)

    def _ending(self) -> Ending:
        run = self._run()
        code = self._popen.returncode if self._popen is not None else None
        if run is None:
            if self._stop_asked is not None:
                return Ending("new")
            return Ending(
                "failed", self._last_words() or f"The training process ended at once (exit {code})."
            )
        events = run.events()[0]
        last = next((e for e in reversed(events) if e["event"] in ("end", "failed", "started")), None)
        status = run.summary().status
        if status == "failed" and last is not None:
            return Ending("failed", str(last["reason"]))
        if status in ("interrupted", "new", "running"):
            if code is not None and code > 0 and self._stop_asked is None:
                return Ending("failed", self._last_words())
            return Ending("interrupted", "The training process is gone; its last saved state is kept.")
        if status == "stopped":
            return Ending(status)
        return Ending(status, self._last_words() if code and self._stop_asked is None else "")

    def _last_words(self) -> str:
        """Last line of the log since the start, without the name of the command."""
        try:
            content = (self.path / LOG_FILE).read_bytes()[self._log_start :]
        except OSError:
            return ""
        return last_line(content)
