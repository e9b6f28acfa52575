"""Files of a batch one after the other, or in parallel with Dask: here, or on a cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from napari_micro_ktnet.batch.job import BatchJob
from napari_micro_ktnet.batch.measuring import FileOutcome, iter_process_file, process_file
from napari_micro_ktnet.batch.plan import PlannedFile
from napari_micro_ktnet.batch.segmentation import FileProgress
from napari_micro_ktnet.errors import InputError

Steps = Iterator[FileProgress | FileOutcome]

_PATIENCE = "20s"


@dataclass(frozen=True)
class Where:
    """Where files are worked on.

    Attributes
    ----------
    workers : int
        Files at a time on this machine; 1 works in this process.
    kind : {"processes", "threads"}
        Threads share one model, which saves memory; processes outlive one that is killed.
    scheduler : str
        Address of a Dask scheduler instead, such as ``tcp://10.0.0.5:8786``; its workers need this package
        and must see the same folders.
    """

    workers: int = 1
    kind: Literal["processes", "threads"] = "processes"
    scheduler: str = ""

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise InputError(f"The number of workers must be at least 1, found {self.workers}.")


def run_files(files: Sequence[PlannedFile], job: BatchJob, where: Where) -> Steps:
    """Work on all files; one that fails does not stop the rest.

    A worker that dies loses nothing: its file is given to another one.

    Yields
    ------
    FileProgress, FileOutcome
        One outcome for each file, in the order in which they finish; progress within files only where they
        are worked on one after the other.

    Raises
    ------
    InputError
        Dask's scheduler is not installed, or cannot be reached.
    """
    if where.workers == 1 and not where.scheduler:
        for file in files:
            yield (yield from iter_process_file(file, job))
        return
    try:
        from distributed import KilledWorker, as_completed
    except ImportError as error:
        raise InputError(
            "Working on several files at a time needs Dask's scheduler, which is not installed. "
            'Install it: pip install "napari-micro-ktnet[cluster]".'
        ) from error
    with _client(where) as client:
        waiting = {client.submit(process_file, file, job, pure=False): file for file in files}
        for future in as_completed(list(waiting), loop=client.loop):
            # Letting go of the future frees the result on the cluster.
            file = waiting.pop(future)
            try:
                yield future.result()
            except KilledWorker:
                yield FileOutcome(
                    file, f"{file.path}: every worker that tried it was killed, perhaps for want of memory."
                )


def _client(where: Where) -> Any:
    from distributed import Client

    if where.scheduler:
        try:
            return Client(where.scheduler, timeout=_PATIENCE, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise InputError(
                f"No Dask scheduler answers at {where.scheduler} ({error}). Expected the address that "
                "'dask scheduler' prints, such as tcp://10.0.0.5:8786."
            ) from error
    processes = where.kind == "processes"
    # Dask would give each process one thread, however few processes there are.
    each = max(1, (os.cpu_count() or 1) // where.workers)
    return Client(
        n_workers=where.workers if processes else 1,
        threads_per_worker=1 if processes else where.workers,
        processes=processes,
        dashboard_address=None,
        memory_limit=0,
        set_as_default=False,
        **({"env": {"OMP_NUM_THREADS": str(each)}} if processes else {}),
    )
