"""A batch against bare segmentation of the same files: time, and memory against the number of files.

    python benchmarks/batch.py [--images 200] [--repeats 3]

Files of 1280 x 960 pixels with some 100 discs each are read and segmented with the starter, one after the
other, and nothing else is done with the result ("bare"). `iter_batch` does that and measures, and writes
labels, records and tables. Both take turns in one process with the model loaded. Before that, batches of a
quarter and of all files run in new processes for their peak memory.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from napari_micro_ktnet.batch.job import make_job
from napari_micro_ktnet.batch.lot import iter_batch, plan_batch
from napari_micro_ktnet.model.registry import load_model
from napari_micro_ktnet.predict.inference import segment
from napari_micro_ktnet.sem import read_sem, write_image

SHAPE, DISCS = (960, 1280), 100


def write_images(folder: Path, count: int) -> None:
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    for seed in range(count):
        rng = np.random.default_rng(seed)
        mask = np.zeros(SHAPE, bool)
        for y, x in zip(rng.integers(0, SHAPE[0], DISCS), rng.integers(0, SHAPE[1], DISCS), strict=True):
            mask |= (rows - y) ** 2 + (columns - x) ** 2 < rng.lognormal(np.log(10), 0.5) ** 2
        grey = 70 + 100 * mask + rng.normal(0, 10, SHAPE)
        write_image(folder / f"{seed:05d}.tif", grey.clip(0, 255).astype(np.uint8), (20.0, 20.0))


def run_batch(inputs: list[Path], output: Path) -> None:
    for _ in iter_batch(plan_batch(inputs), make_job(output)):
        pass


def timed(task: Callable[[], None]) -> tuple[float, float]:
    wall, used = time.perf_counter(), time.process_time()
    task()
    return time.perf_counter() - wall, time.process_time() - used


def compare(folder: Path, output: Path, count: int, repeats: int) -> None:
    files = sorted(folder.iterdir())
    model = load_model()
    run_batch(files[:1], output)

    def bare() -> None:
        for path in files:
            segment(read_sem(path), model)

    def whole() -> None:
        shutil.rmtree(output)
        run_batch(files, output)

    times = [(timed(bare), timed(whole)) for _ in range(repeats)]
    for which, clock in enumerate(("wall clock", "processor")):
        alone, batch = (statistics.median(t[side][which] for t in times) / count for side in (0, 1))
        print(f"{clock}: bare {alone:.3f} s/file, batch {batch:.3f} s/file, throughput {alone / batch:.3f}")
    start = time.perf_counter()
    run_batch(files, output)
    print(f"again, everything taken over: {(time.perf_counter() - start) / count:.3f} s/file")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--memory", nargs=2, type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.memory:
        folder, output = args.memory
        run_batch(sorted(folder.iterdir())[: args.images], output)
        print(
            f"{args.images} files: peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB"
        )
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "in"
        write_images(folder, args.images)
        for count in (args.images // 4, args.images):
            here = [str(folder), str(Path(name) / f"memory_{count}")]
            command = [sys.executable, __file__, "--images", str(count), "--memory", *here]
            subprocess.run(command, check=True)  # noqa: S603 - this file itself
        compare(folder, Path(name) / "out", args.images, args.repeats)


if __name__ == "__main__":
    main()
