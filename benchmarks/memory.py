"""Peak resident memory of labelling a large image with the starter.

    python benchmarks/memory.py [--side 8000]

Prints the peak of the whole process (Python, torch and the image included).
"""

from __future__ import annotations

import argparse
import resource
import sys
import time

import numpy as np

from napari_micro_ktnet import segment


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", type=int, default=8000)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    image = np.tile(rng.integers(0, 256, (500, 500), np.uint8), (args.side // 500 + 1,) * 2)
    image = np.ascontiguousarray(image[: args.side, : args.side])
    start = time.perf_counter()
    labels = segment(image).labels()
    # Linux counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
    print(f"{labels.shape[0]} x {labels.shape[1]}: peak {peak:.2f} GiB, {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
