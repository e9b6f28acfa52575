"""Read files in a process of its own, so that a crash, a hang or a lack of memory is only counted."""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import isfinite
from multiprocessing.connection import Connection
from pathlib import Path

from fuzz_metadata import EXPANDED
from fuzzing import Case

# Processor time, since a busy machine makes everything slow; and time of the clock, for a deadlock.
LONGEST_S, LONGEST_WAIT_S = 10.0, 60.0
# Address space beyond what the process has when it begins; no sample takes a tenth of it when decoded.
MOST_BYTES = 2**30


@dataclass(frozen=True)
class Outcome:
    """What came of a case: "read", "ReadError", or what went wrong, with the last lines of why."""

    result: str
    detail: str = ""
    seconds: float = 0.0  # of the processor
    mebibytes: float = 0.0

    @property
    def fine(self) -> bool:
        return self.result in ("read", "ReadError")


class Worker:
    """A process that reads one file after another, started anew when it dies or hangs."""

    def __init__(self) -> None:
        self._process: multiprocessing.process.BaseProcess | None = None
        self._connection: Connection | None = None

    def run(self, case: Case) -> Outcome:
        """Write the files of a case, have them read, and remove them."""
        with tempfile.TemporaryDirectory(prefix="fuzz") as folder:
            return self._read(case.write(Path(folder)))

    def _read(self, path: Path) -> Outcome:
        if self._process is None or not self._process.is_alive():
            self._start()
        connection = self._connection
        assert connection is not None
        connection.send(str(path))
        try:
            if self._answers():
                return connection.recv()
        except (EOFError, OSError):
            code = self._stop()
            return Outcome("crash", f"the process ended with code {code}")
        self._stop()
        return Outcome("hang", seconds=LONGEST_S)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._connection is not None
        assert self._process.pid is not None
        start, used = time.monotonic(), _processor_seconds(self._process.pid)
        while not self._connection.poll(0.5):
            waited = time.monotonic() - start
            # Where the system does not tell, the clock decides.
            spent = waited if used is None else (_processor_seconds(self._process.pid) or 0) - used
            if spent > LONGEST_S or waited > LONGEST_WAIT_S:
                return False
        return True

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other,), daemon=True)
        self._process.start()
        other.close()
        # It says when it has imported everything.
        assert self._connection.recv() == "ready"

    def _stop(self) -> int | None:
        assert self._process is not None
        self._process.kill()
        self._process.join()
        code = self._process.exitcode
        self._process = None
        return code

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._stop()


@contextmanager
def worker() -> Iterator[Worker]:
    """A worker that is ended at the end."""
    one = Worker()
    try:
        yield one
    finally:
        one.close()


def _serve(connection: Connection) -> None:
    # With the decoders in memory, so that the limit is for the files alone.
    import dask
    import imagecodecs

    from napari_micro_ktnet.sem import _lazy, read_sem_pages  # noqa: F401
    from napari_micro_ktnet.sem.vendors import dialects

    # Threads would take address space of their own.
    dask.config.set(scheduler="synchronous")
    dialects()
    for name in ("lzw_decode", "jpeg8_decode", "png_decode", "zlib_decode", "zstd_decode", "jpeg2k_decode"):
        with suppress(AttributeError, ImportError):
            getattr(imagecodecs, name)
    _limit_memory()
    connection.send("ready")
    with suppress(EOFError, OSError):
        while True:
            connection.send(_outcome(Path(connection.recv())))


def _outcome(path: Path) -> Outcome:
    from napari_micro_ktnet.errors import ReadError

    before = _reset_peak()
    start = time.process_time()
    result, detail = "read", ""
    try:
        _read_and_check(path)
    except ReadError as error:
        result, detail = "ReadError", str(error)
        if path.name not in detail:
            result, detail = "nameless error", detail
    except BaseException as error:  # noqa: BLE001 - that is what is looked for
        result = type(error).__name__
        detail = "".join(traceback.format_exception(error, limit=-6))[-3000:]
    return Outcome(result, detail, time.process_time() - start, (_peak() - before) / 2**20)


def _read_and_check(path: Path) -> None:
    """Read all images, to the last pixel, and see that no nonsense came out."""
    import numpy as np

    from napari_micro_ktnet.sem import read_sem_pages

    images = read_sem_pages(path)
    for image, on_demand in zip(images, read_sem_pages(path, lazy=True), strict=True):
        pixels = image.pixels
        assert np.array_equal(pixels, np.asarray(on_demand.pixels), equal_nan=pixels.dtype.kind == "f")
        assert pixels.size > 0, "no pixels"
        assert pixels.dtype.kind in "buif", f"pixels of type {pixels.dtype}"
        size = image.pixel_size
        assert size is None or all(isfinite(s) and s > 0 for s in size), f"pixel size {size}"
        assert 0 <= image.data_bar_rows < image.height, f"data bar of {image.data_bar_rows} rows"
        found = image.metadata
        for name in found.__dataclass_fields__:
            value = getattr(found, name)
            assert not isinstance(value, float) or isfinite(value), f"{name} is {value}"
        for value in (*found.raw, *found.raw.values(), found.instrument or "", found.detector or ""):
            assert EXPANDED not in value, "an entity was expanded"
            value.encode()
        assert sum(map(len, found.raw)) < 2**26, "names far larger than the file"


def _processor_seconds(pid: int) -> float | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _limit_memory() -> None:
    if sys.platform != "linux":
        return
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MOST_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _reset_peak() -> int:
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _peak() -> int:
    return _status("VmHWM")


def _status(key: str) -> int:
    """Bytes of a line of the process's status; 0 where the system has none."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:")), 0)
