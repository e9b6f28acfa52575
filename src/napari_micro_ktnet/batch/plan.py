"""Which files to segment, and under which names their results go."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_micro_ktnet.errors import InputError, ReadError
from napari_micro_ktnet.sem.reader import SUFFIXES

LABELS_ENDING = "_labels"
_OWN = (LABELS_ENDING, "_probability", "_overlay")


@dataclass(frozen=True)
class PlannedFile:
    """One input file.

    Attributes
    ----------
    path : Path
        The file.
    stem : str
        What the names of its results begin with; unique in the plan.
    """

    path: Path
    stem: str


def plan_files(inputs: Sequence[str | Path], reserved: Sequence[str] = ()) -> tuple[PlannedFile, ...]:
    """List the images of files and folders.

    Parameters
    ----------
    inputs : sequence of path
        Files are taken whatever they are called, missing ones too, so that each gets its own
        error later. Of folders the image files in them, not in subfolders; labels that an
        earlier run wrote there are left out.
    reserved : sequence of str
        Stems that no file may have.

    Returns
    -------
    tuple of PlannedFile
        Files whose stems would collide get their suffix, then a number, added.

    Raises
    ------
    InputError
        A folder holds no image, or nothing was given.
    ReadError
        A folder cannot be looked into.
    """
    paths: list[Path] = []
    for given in inputs:
        path = Path(given)
        if not path.is_dir():
            paths.append(path)
            continue
        inside = [p for p in image_files(path) if not p.stem.endswith(_OWN)]
        if not inside:
            raise InputError(
                f"The folder {path} holds no image. Expected files ending in {', '.join(SUFFIXES)}."
            )
        paths += inside
    if not paths:
        raise InputError("No input was given. Name at least one image file or folder.")
    paths = list(dict.fromkeys(paths))
    return tuple(PlannedFile(p, s) for p, s in zip(paths, _unique_stems(paths, reserved), strict=True))


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


def _unique_stems(paths: Sequence[Path], reserved: Sequence[str]) -> list[str]:
    # File systems that ignore case would let A.tif and a.tif overwrite each other.
    same = Counter(p.stem.lower() for p in paths)
    stems = [
        p.stem if same[p.stem.lower()] == 1 else f"{p.stem}_{p.suffix.lstrip('.').lower()}" for p in paths
    ]
    taken = {name.lower() for name in reserved}
    for i, stem in enumerate(stems):
        name, number = stem, 2
        while name.lower() in taken:
            name, number = f"{stem}_{number}", number + 1
        taken.add(name.lower())
        stems[i] = name
    return stems
