"""Processor time of `measure` and its parts on 4096 x 4096 pixels with 5,041 objects.

    python benchmarks/measure.py [--repeats 3] [--fields 200]

Objects are ellipses of log-normal size on a jittered grid, so that none touch. scikit-image's
`regionprops_table` with the properties that it has in common is timed beside it. The last row pools as
many fields as given, each with a cut of 500 objects.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from skimage.measure import regionprops_table

from napari_micro_ktnet.measurement.agglomerates import ObjectOptions, find_agglomerates
from napari_micro_ktnet.measurement.fields import LabelField, MeasureOptions, measure_field
from napari_micro_ktnet.measurement.measuring import measure
from napari_micro_ktnet.measurement.pooled import pool
from napari_micro_ktnet.measurement.shapes import measure_objects

SIDE, GRID, PIXEL = 4096, 71, 50.0
COMMON = ("area", "centroid", "bbox", "perimeter_crofton", "orientation", "solidity", "feret_diameter_max")


def field(seed: int = 0) -> NDArray[np.uint8]:
    """Labels ``(Y, X)`` with 71 x 71 ellipses."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((SIDE, SIDE), np.uint8)
    for centre in np.stack(np.meshgrid(*[np.linspace(30, SIDE - 31, GRID)] * 2), -1).reshape(-1, 2):
        y, x = (centre + rng.integers(-3, 4, 2)).astype(int)
        radius, flat = min(rng.lognormal(np.log(8), 0.5), 24), rng.uniform(0.6, 1)
        rows, columns = np.ogrid[y - 25 : y + 26, x - 25 : x + 26]
        inside = ((rows - y) / flat) ** 2 + (columns - x) ** 2 < radius**2
        labels[y - 25 : y + 26, x - 25 : x + 26] |= inside
    return labels


def timed(task: Callable[[], object], repeats: int) -> str:
    times = []
    for _ in range(repeats):
        start = time.process_time()
        task()
        times.append(time.process_time() - start)
    return f"{statistics.median(times):6.2f} s  ({min(times):.2f} to {max(times):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--fields", type=int, default=200)
    args = parser.parse_args()
    labels = field()
    objects = find_agglomerates(labels)
    print(f"{SIDE} x {SIDE} pixels, {objects.max()} objects")
    part = LabelField(labels[:1250, :1250], "part", pixel_size=(PIXEL, PIXEL))
    options = MeasureOptions()
    many = [measure_field(part, options)] * args.fields
    tasks: dict[str, Callable[[], object]] = {
        "measure": lambda: measure(labels, PIXEL),
        "  find_agglomerates": lambda: find_agglomerates(labels),
        "  measure_objects": lambda: measure_objects(objects, pixel_size=(PIXEL, PIXEL)),
        "measure(ripley=True)": lambda: measure(labels, PIXEL, ripley=True),
        "measure(fill_holes=True)": lambda: measure(labels, PIXEL, fill_holes=True),
        "find_agglomerates, split 1 px": lambda: find_agglomerates(labels, ObjectOptions(split=1.0)),
        "regionprops_table": lambda: regionprops_table(objects, properties=COMMON),
        f"pool {args.fields} fields": lambda: pool(many, options),
    }
    for name, task in tasks.items():
        print(f"{name:32} {timed(task, args.repeats)}")


if __name__ == "__main__":
    main()
