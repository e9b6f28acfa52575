"""What lies in folders of images."""

from __future__ import annotations

import re
from pathlib import Path

from napari_micro_ktnet.errors import ReadError
from napari_micro_ktnet.sem.reader import SUFFIXES

LABELS_ENDING = "_labels"
"""End of the stems of label files that this package writes."""


def image_files(folder: Path) -> list[Path]:
    """List the image files of a folder, results among them, but not those of its subfolders.

    Parameters
    ----------
    folder : Path
        The folder.

    Returns
    -------
    list of Path
        Without hidden files, in natural order: ``a2`` comes before ``a10``.

    Raises
    ------
    ReadError
        The folder cannot be looked into.
    """
    try:
        inside = [p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file()]
    except OSError as error:
        raise ReadError(
            f"{folder}: the folder cannot be looked into ({error.strerror or error}). "
            "Check its name, and that you may read it."
        ) from error
    return sorted((p for p in inside if not p.name.startswith(".")), key=_natural)


def _natural(path: Path) -> tuple[list[str | int], str]:
    # Texts and numbers take turns, so that only like is compared with like.
    parts = re.split(r"([0-9]+)", path.stem.casefold())
    return [int(part) if odd % 2 else part for odd, part in enumerate(parts)], path.name
