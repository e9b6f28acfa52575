"""The command of this package in another process: its configuration, its start, its last words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import tomli_w

from napari_micro_ktnet.errors import TrainingError
from napari_micro_ktnet.files import write_bytes
from napari_micro_ktnet.training.run_config import RunConfig

LOG_FILE, CONFIG_FILE = "log.txt", "config.toml"
_TAIL = 4000


def iter_estimate(
    config: RunConfig, folder: Path, poll_s: float = 0.2
) -> Generator[None, None, dict[str, float]]:
    """Measure what a run would cost, in a process that ends with this generator; yields while it waits.

    Parameters
    ----------
    config : RunConfig
        With absolute folders.
    folder : Path
        For its files.
    poll_s : float
        Seconds between two looks.

    Returns
    -------
    dict
        Fields of `training.estimate.Estimate`, and ``steps``.

    Raises
    ------
    TrainingError
        It could not be measured; the message is that of the process.
    """
    write_config(folder / CONFIG_FILE, config)
    target, log = folder / "estimate.json", folder / LOG_FILE
    arguments = ["train", "--config", str(folder / CONFIG_FILE), "--estimate", "--json", str(target)]
    with log.open("wb") as file:
        popen = open_process(arguments, file, detached=False)
    try:
        while popen.poll() is None:
            yield
            time.sleep(poll_s)
    finally:
        if popen.poll() is None:
            popen.kill()
            popen.wait()
    if popen.returncode or not target.is_file():
        raise TrainingError(last_line(log.read_bytes()) or "The estimate could not be made.")
    values: dict[str, float] = json.loads(target.read_bytes())
    return values


def write_config(path: Path, config: RunConfig) -> None:
    """Write what ``micro-ktnet train --config`` takes.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    write_bytes(path, tomli_w.dumps(config.model_dump(mode="json", exclude_none=True)).encode())


def open_process(arguments: list[str], log: Any, *, detached: bool) -> subprocess.Popen[bytes]:
    """Run ``micro-ktnet`` in another process; a detached one outlives this one and its window."""
    options: dict[str, Any] = {}
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.DETACHED_PROCESS
        options["creationflags"] = flags if detached else subprocess.CREATE_NO_WINDOW
    elif detached:
        options["start_new_session"] = True
    return subprocess.Popen(  # noqa: S603 - this interpreter, and arguments that no shell sees
        # -P: a file named torch.py in the current folder must not be run.
        [sys.executable, "-P", "-m", "napari_micro_ktnet", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        env=os.environ | {"PYTHONUTF8": "1"},
        **options,
    )


def last_line(content: bytes) -> str:
    """Last line of a log, without the name of the command."""
    lines = [line.strip() for line in content[-_TAIL:].decode(errors="replace").splitlines() if line.strip()]
    return lines[-1].removeprefix("micro-ktnet: ").removeprefix("error: ") if lines else ""
