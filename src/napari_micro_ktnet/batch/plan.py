"""Which files to segment, and under which names their results go."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_micro_ktnet.batch.record import recorded_files
from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.files import is_folder
from napari_micro_ktnet.sem.folders import LABELS_ENDING, image_files
from napari_micro_ktnet.sem.reader import SUFFIXES

# Bytes of a name with folders in front; file systems allow 255, and endings follow.
_LONGEST_NAME = 200
_PART = re.compile(r"(_p\d+)?(_z\d+)?$")


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
        error later, and folders without an image. Of folders the image files in them, not in
        subfolders; what an earlier run wrote there is left out.
    reserved : sequence of str
        Stems that no file may have.

    Returns
    -------
    tuple of PlannedFile
        Where stems would collide, their suffix is added, or the names of as many folders put in front as
        tell them apart, or both; where nothing does, a number.

    Raises
    ------
    InputError
        Nothing was given, or nothing but folders without an image.
    ReadError
        A folder cannot be looked into.
    """
    paths: list[Path] = []
    empty: list[Path] = []
    for given in inputs:
        path = Path(given)
        if not is_folder(path):
            paths.append(path)
            continue
        inside = [p for p in image_files(path) if not _is_result(p)]
        empty += [] if inside else [path]
        # Without images it gets its own error later, as a missing file does.
        paths += inside or [path]
    if not paths:
        raise InputError("No input was given. Name at least one image file or folder.")
    if len(empty) == len(paths):
        raise InputError(" ".join(no_image_in(path) for path in empty))
    different: dict[Path, Path] = {}
    for path in paths:
        different.setdefault(Path(os.path.realpath(path.parent)) / path.name, path)
    paths = list(different.values())
    return tuple(PlannedFile(p, s) for p, s in zip(paths, _unique_stems(paths, reserved), strict=True))


def with_subfolders(inputs: Sequence[str | Path]) -> list[Path]:
    """Put beside each folder all that lie in it, at any depth, as far as they hold images.

    Parameters
    ----------
    inputs : sequence of path
        Files and folders.

    Returns
    -------
    list of Path
        For `plan_files`. Hidden folders and links to folders are left out; a folder without an image, in
        itself or below, stays.

    Raises
    ------
    ReadError
        A folder cannot be looked into.
    """
    paths: list[Path] = []
    for given in map(Path, inputs):
        found = [folder for folder in _folders(given) if image_files(folder)] if is_folder(given) else []
        paths += found or [given]
    return paths


def _folders(top: Path) -> Iterator[Path]:
    yield top
    inside = [p for p in top.iterdir() if is_folder(p) and not p.is_symlink() and not p.name.startswith(".")]
    for folder in sorted(inside):
        yield from _folders(folder)


def no_image_in(folder: Path) -> str:
    """Say that a folder is of no use."""
    if image_files(folder):
        return (
            f"The folder {folder} holds results of earlier runs alone, which are no images to segment. "
            "Name the folder with the images."
        )
    return (
        f"The folder {folder} holds no image. Expected files ending in {', '.join(SUFFIXES)}; subfolders are "
        "searched on the command line alone, with --recursive."
    )


def _is_result(path: Path) -> bool:
    """Whether a file is what an earlier run left: labels, or what a record beside it names."""
    if path.stem.endswith(LABELS_ENDING):
        return True
    parts = path.stem.split("_")
    records = (path.with_name("_".join(parts[:n]) + ".json") for n in range(1, len(parts)))
    return any(path.name in (recorded_files(record) or {}) for record in records)


def _unique_stems(paths: Sequence[Path], reserved: Sequence[str]) -> list[str]:
    # File systems that ignore case would let A.tif and a.tif overwrite each other.
    same: dict[str, list[Path]] = {}
    for path in paths:
        if not is_folder(path):
            same.setdefault(path.stem.lower(), []).append(path)
    names = {path: name for group in same.values() for path, name in _told_apart(group).items()}
    stems = [names.get(path, path.stem) for path in paths]
    taken = {name.lower() for name in reserved}
    planned = {stem.lower() for stem in stems}
    for i, stem in enumerate(stems):
        name, number = stem, 2
        while name.lower() in taken or _is_part(name, planned):
            name, number = f"{stem}_{number}", number + 1
        taken.add(name.lower())
        stems[i] = name
    return stems


def _told_apart(group: Sequence[Path]) -> dict[Path, str]:
    """Name files of one stem by no more than tells them apart: their suffix, then folders above them."""
    for folders in range(max(len(_folders_above(path)) for path in group) + 1):
        for suffixed in (False, True):
            names = {path: _name(path, folders, suffixed) for path in group}
            fitting = folders == 0 or all(len(name.encode()) <= _LONGEST_NAME for name in names.values())
            if fitting and len({name.lower() for name in names.values()}) == len(group):
                return names
    return {path: path.stem for path in group}


def _name(path: Path, folders: int, suffixed: bool) -> str:
    above = _folders_above(path)
    above = above[max(0, len(above) - folders) :]
    name = "_".join((*above, path.stem, *([path.suffix[1:].lower()] if suffixed else [])))
    # Of a hidden folder the results should not be hidden as well.
    return name.lstrip(".") if above else name


def _folders_above(path: Path) -> tuple[str, ...]:
    # Links have the names that users know, unless ".." asks for what lies above their targets.
    parent = Path(os.path.realpath(path.parent)) if ".." in path.parts else path.parent.absolute()
    return parent.relative_to(parent.anchor).parts


def _is_part(stem: str, planned: Collection[str]) -> bool:
    """Whether a file would get the names of a page or slice of another: a_p0.tif those of a.tif."""
    whole = _PART.sub("", stem)
    return whole != stem and whole.lower() in planned
