"""``micro-ktnet info``: one description for people, the same for programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_micro_ktnet.errors import MicroKTNetError
from napari_micro_ktnet.sem import read_sem_pages
from napari_micro_ktnet.sem.describe import describe as describe_image
from napari_micro_ktnet.sem.describe import lines


def describe(path: Path) -> list[dict[str, Any]]:
    """Describe every image of a file, or say why it cannot be read.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    list of dict
        One for each image, with values in SI units but for ``pixel_size_nm`` (``[y, x]``); or
        one with ``file`` and ``error``.
    """
    try:
        return [describe_image(image) for image in read_sem_pages(path)]
    except MicroKTNetError as error:
        return [{"file": str(path), "error": str(error)}]


def print_description(description: dict[str, Any]) -> None:
    """Print one description for people."""
    print(description["file"])
    if "error" in description:
        print(f"  error: {description['error']}")
        return
    size = description["pixel_size_nm"]
    if size is None:
        print("  pixel size: unknown (the file does not say it)")
    else:
        source = description["pixel_size_source"]
        origin = "an estimate from the magnification" if source == "estimated" else f"from {source}"
        print(f"  pixel size: {size[1]:.6g} x {size[0]:.6g} nm (x, y), {origin}")
    for label, text in lines(description):
        print(f"  {label}: {text}")
