"""napari reader: SEM files with pixel size, acquisition data and data bar; folders of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from napari.utils.notifications import show_warning

from napari_micro_ktnet.batch.record import is_result
from napari_micro_ktnet.errors import MicroKTNetError, ReadError
from napari_micro_ktnet.gui.layers import SAVED_KEY, image_layer_data, labels_layer_data
from napari_micro_ktnet.sem import SEMImage, read_sem_pages
from napari_micro_ktnet.sem.folders import LABELS_ENDING, image_files
from napari_micro_ktnet.sem.reader import SUFFIXES

PathOrPaths = str | Sequence[str]
LayerData = tuple[Any, dict[str, Any], str]

_MOST_REASONS = 5


def get_reader(path: PathOrPaths) -> Callable[[PathOrPaths], list[LayerData]] | None:
    """Offer to read image files, told by their suffix, and folders that hold some; npe2's reader contract."""
    paths = _paths(path)
    if paths and all(_is_readable(each) for each in paths):
        return read_layers
    return None


def read_layers(path: PathOrPaths) -> list[LayerData]:
    """Read every image of files and folders as a layer of its own.

    A file whose name ends with ``_labels`` and that holds integers becomes a Labels layer, any other
    an Image layer. Of a folder the images in it are read, in natural order, not those of subfolders;
    a warning in napari names those that cannot be.

    Raises
    ------
    ReadError
        A file is missing, truncated, or not an image; a folder holds no image, or none that can be
        read. napari shows the message.
    """
    return [
        layer
        for each in _paths(path)
        for layer in (_folder_layers(each) if each.is_dir() else _file_layers(each))
    ]


def _is_readable(path: Path) -> bool:
    if path.is_dir():
        # A zarr store is one image for another reader, whatever else lies in it.
        return path.suffix.lower() != ".zarr" and bool(image_files(path))
    return path.suffix.lower() in SUFFIXES


def _paths(path: PathOrPaths) -> list[Path]:
    return [Path(path)] if isinstance(path, str) else [Path(each) for each in path]


def _folder_layers(folder: Path) -> list[LayerData]:
    files = image_files(folder)
    if not files:
        raise ReadError(
            f"{folder}: the folder holds no image, expected files ending in {', '.join(SUFFIXES)}. "
            "Subfolders are not looked into: open the one that holds the images."
        )
    layers: list[LayerData] = []
    reasons: list[str] = []
    for file in files:
        try:
            layers += _file_layers(file)
        except MicroKTNetError as error:
            reasons.append(str(error))
    if reasons:
        more = len(reasons) - _MOST_REASONS
        shown = reasons[:_MOST_REASONS] + ([f"... and {more} more"] if more > 0 else [])
        count = f"{len(reasons)} of {len(files)} images of {folder.name} cannot be read:"
        message = "\n".join([count, *shown])
        if not layers:
            raise ReadError(message)
        show_warning(message)
    return layers


def _file_layers(path: Path) -> list[LayerData]:
    # Labels are painted on, which takes pixels in memory.
    images = read_sem_pages(path, lazy=False if path.stem.endswith(LABELS_ENDING) else "auto")
    return [_layer(image, path, _name(image, several=len(images) > 1)) for image in images]


def _layer(image: SEMImage, path: Path, name: str) -> LayerData:
    labels = path.stem.endswith(LABELS_ENDING) and image.pixels.dtype.kind in "ui" and not image.rgb
    if not labels:
        return image_layer_data(image, name)
    pixels, keywords, kind = labels_layer_data(image, name)
    return pixels, keywords | {"metadata": {SAVED_KEY: True}} if is_result(path) else keywords, kind


def _name(image: SEMImage, *, several: bool) -> str:
    # Among several images of one file the detector tells them apart.
    detector = image.metadata.detector
    return f"{image.name} [{detector}]" if several and detector else image.name
