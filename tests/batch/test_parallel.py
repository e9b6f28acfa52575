from __future__ import annotations

import csv
import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from blobs import blobs
from helpers import small_model_file
from napari_micro_ktnet.batch.job import make_job
from napari_micro_ktnet.batch.lot import BatchResult, iter_batch, plan_batch
from napari_micro_ktnet.batch.measuring import FileOutcome
from napari_micro_ktnet.batch.parallel import Where
from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.sem import write_image

distributed = pytest.importorskip("distributed")

FILES = 10


@pytest.fixture
def lot(tmp_path: Path) -> Path:
    for seed in range(FILES):
        write_image(tmp_path / "in" / f"f{seed}.tif", blobs((192, 256), seed)[0], (50.0, 50.0))
    (tmp_path / "in" / "bad.tif").write_bytes(b"not an image")
    small_model_file(tmp_path / "m.safetensors")
    return tmp_path


def run(lot: Path, output: str, where: Where, after_first: object = None) -> tuple[BatchResult, Counter[str]]:
    job = make_job(lot / output, lot / "m.safetensors", device="cpu", precision="float32")
    seen: Counter[str] = Counter()
    for step in iter_batch(plan_batch([lot / "in"]), job, where=where):
        if isinstance(step, FileOutcome):
            seen[step.file.path.name] += 1
            if callable(after_first) and seen.total() == 1:
                after_first()
    assert isinstance(step, BatchResult)
    return step, seen


def check(lot: Path, output: str, result: BatchResult, seen: Counter[str]) -> None:
    """No file is lost, none is counted twice, and the figures are those of one process."""
    expected, _ = run(lot, "alone", Where())
    assert seen == Counter([f"f{seed}.tif" for seed in range(FILES)] + ["bad.tif"])
    assert [f.name for f in result.record.fields] == [f"f{seed}" for seed in range(FILES)]
    assert len(result.errors) == 1
    assert result.measurement.pooled == expected.measurement.pooled
    with (lot / output / "objects.csv").open() as file:
        rows = [(r["field"], r["object"]) for r in csv.DictReader(file)]
    assert len(set(rows)) == len(rows) == sum(f.count for f in result.record.fields)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["processes", "threads"])
def test_workers_on_this_machine(kind: str, lot: Path) -> None:
    result, seen = run(lot, "out", Where(2, kind))
    check(lot, "out", result, seen)


@pytest.mark.slow
def test_killed_worker_loses_nothing(lot: Path) -> None:
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    )
    with cluster, distributed.Client(cluster, set_as_default=False) as client:
        pids = client.run(os.getpid)

        def kill_one_that_is_busy() -> None:
            busy = [worker for worker, tasks in client.processing().items() if tasks]
            assert busy
            os.kill(pids[busy[0]], signal.SIGKILL)

        result, seen = run(
            lot, "out", Where(scheduler=cluster.scheduler_address), after_first=kill_one_that_is_busy
        )
        assert set(client.run(os.getpid).values()) != set(pids.values())
    check(lot, "out", result, seen)


def test_no_scheduler_there(lot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_micro_ktnet.batch.parallel._PATIENCE", "1s")
    with pytest.raises(InputError, match=r"No Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        run(lot, "out", Where(scheduler="tcp://127.0.0.1:9"))
