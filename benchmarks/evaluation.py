"""Time of all scores of a pair of label images with thousands of objects.

    python benchmarks/evaluation.py [--side 4096] [--objects 5000] [--repeats 3]

The truth has discs on a grid with some scatter; in the prediction each is moved, smaller or larger,
and some are missing, halved or joined with their neighbours.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from napari_micro_ktnet import evaluate
from napari_micro_ktnet.measurement.curve import threshold_curve
from napari_micro_ktnet.measurement.scores import confusion_matrix, scores_from_confusion

Labels = NDArray[np.uint8]


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--objects", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    truth, prediction = fields(args.side, args.objects)
    rng = np.random.default_rng(0)
    probability = (0.5 * prediction + 0.5 * rng.random(truth.shape)).astype(np.float32)
    result = evaluate(prediction, truth).pooled["agglomerate"]
    print(
        f"{args.side} x {args.side}: {result.objects.truth} true, "
        f"{result.objects.predicted} predicted objects, "
        f"{result.objects.at_50.tp} found, {result.objects.splits} splits, {result.objects.merges} merges, "
        f"IoU {result.pixels.iou:.3f}"
    )
    timed("pixel scores", lambda: scores_from_confusion(confusion_matrix(prediction, truth, 2)), args.repeats)
    timed("all scores", lambda: evaluate(prediction, truth), args.repeats)
    timed("curve of 101 thresholds", lambda: threshold_curve(probability, truth), args.repeats)


def timed(what: str, job: Callable[[], object], repeats: int) -> None:
    """Print the median, least and most seconds."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        job()
        seconds.append(time.perf_counter() - start)
    print(f"{what}: median {statistics.median(seconds):.2f} s, {min(seconds):.2f} to {max(seconds):.2f}")


def fields(side: int, objects: int) -> tuple[Labels, Labels]:
    """Truth and prediction ``(Y, X)``."""
    rng = np.random.default_rng(0)
    cells = round(objects**0.5)
    pitch = side // cells
    y, x = np.indices((pitch, pitch))
    truth, prediction = (np.zeros((side, side), np.uint8) for _ in range(2))
    for row in range(cells):
        for column in range(cells):
            part = (slice(row * pitch, (row + 1) * pitch), slice(column * pitch, (column + 1) * pitch))
            middle, radius = pitch / 2 + rng.normal(0, pitch / 20, 2), pitch * rng.uniform(0.08, 0.42)
            truth[part] = disc(y, x, middle, radius)
            found = disc(y, x, middle + rng.normal(0, 1.5, 2), radius * rng.uniform(0.85, 1.1))
            kind = rng.random()
            if kind < 0.05:
                found[:] = False
            elif kind < 0.1:
                found[:, int(middle[1])] = False
            elif kind < 0.15:
                found[int(middle[0]), :] = True
            prediction[part] = found
    return truth, prediction


def disc(
    y: NDArray[np.int64], x: NDArray[np.int64], middle: NDArray[np.float64], radius: float
) -> NDArray[np.bool_]:
    return (y - middle[0]) ** 2 + (x - middle[1]) ** 2 < radius**2


if __name__ == "__main__":
    main()
