"""A limits file to begin with."""

from __future__ import annotations

import os
from pathlib import Path

from napari_micro_ktnet.files import write_bytes

EXAMPLE = """\
# Limits of a lab for the agglomerates of a masterbatch, read by napari-micro-ktnet.
# A line that begins with # is a remark. All numbers here are examples: put your own.

schema_version = 1
name = "Example masterbatch"      # shown with the verdict

# The size d*, an equivalent circular diameter (ECD) in um: what is larger counts as too large.
d_star_um = 5.0

# All of these must be kept; delete a line to leave its limit out.
[limits]
largest_ecd_um = 20.0             # the largest agglomerate, um
count_per_mm2_above_d_star = 50.0 # agglomerates larger than d*, per mm2
area_percent = 10.0               # agglomerates' share of the area, %

# What must be measured before a lot can pass.
[sampling]
min_fields = 5
min_area_mm2 = 0.1
min_objects = 100

# Grades of your own, from the best to the worst: the first of which all limits are kept is reached.
# [[grades]]
# name = "A"
# largest_ecd_um = 10.0
# area_percent = 5.0
#
# [[grades]]
# name = "B"
# largest_ecd_um = 20.0
# area_percent = 10.0
"""
"""A file that `read_limits` accepts, with a remark to everything in it."""


def write_example(path: str | os.PathLike[str]) -> Path:
    """Write `EXAMPLE`.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    return write_bytes(Path(path), EXAMPLE.encode())
