"""Jobs in processes of their own: a crash costs one entry, and memory is that of one entry."""

from __future__ import annotations

import os
import subprocess
import sys

from napari_micro_ktnet.experiments.jobs import RUN_FOLDER, Job
from napari_micro_ktnet.training.child import LOG_FILE, last_line
from napari_micro_ktnet.training.run import RUN_FILE, Run

_KILLED = 9


class JobProcess:
    """A job that another process works on.

    Parameters
    ----------
    job : Job
        Written to its folder.
    slot : int
        Number of the worker, from 0; it decides which GPU is used where there are several.
    workers, gpus : int
        How many share this machine, and its GPUs.
    """

    def __init__(self, job: Job, slot: int, workers: int, gpus: int) -> None:
        self.job, self.slot = job, slot
        self.step = 0
        self._run: Run | None = None
        self._position = 0
        self._log = job.folder / LOG_FILE
        with self._log.open("wb") as log:
            self._popen = subprocess.Popen(  # noqa: S603 - this interpreter, and arguments that no shell sees
                # -P: a file named torch.py in the current folder must not be run.
                [sys.executable, "-P", "-m", "napari_micro_ktnet.experiments.job", str(job.folder)],
                # Never written to: when this process ends, however it ends, the other one notices.
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_environment(slot, workers, gpus, auto=job.spec.training.device == "auto"),
            )

    def poll(self) -> bool:
        """See how far it is; whether it still works."""
        working = self._popen.poll() is None
        folder = self.job.folder / RUN_FOLDER
        if self._run is None and (folder / RUN_FILE).is_file():
            self._run = Run(folder)
        if self._run is not None:
            events, self._position = self._run.events(self._position)
            self.step = max([self.step, *(e["step"] for e in events if "step" in e)])
        if not working:
            self.close()
        return working

    def failure(self) -> str:
        """Why it ended without a result."""
        code = self._popen.returncode
        if code is not None and code < 0:
            perhaps = "; memory may have run out" if code == -_KILLED else ""
            return f"Its process was killed (signal {-code}{perhaps})."
        return last_line(self._log.read_bytes()) or f"Its process ended with status {code} and said nothing."

    def close(self) -> None:
        """End the process, if it works; its training can be resumed."""
        if self._popen.poll() is None:
            self._popen.kill()
        self._popen.wait()
        if self._popen.stdin is not None:
            self._popen.stdin.close()


def _environment(slot: int, workers: int, gpus: int, *, auto: bool) -> dict[str, str]:
    own = {"PYTHONUTF8": "1"}
    if "OMP_NUM_THREADS" not in os.environ:
        own["OMP_NUM_THREADS"] = str(max(1, _cores() // workers))
    if auto and gpus > 1:
        allowed = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(gpus)))).split(",")
        own["CUDA_VISIBLE_DEVICES"] = allowed[slot % len(allowed)]
    return os.environ | own


def _cores() -> int:
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
