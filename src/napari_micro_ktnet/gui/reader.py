"""napari reader: SEM files with pixel size, acquisition data and data bar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from napari_micro_ktnet.gui.layers import image_layer_data
from napari_micro_ktnet.sem import SEMImage, read_sem_pages
from napari_micro_ktnet.sem.reader import SUFFIXES

PathOrPaths = str | Sequence[str]
LayerData = tuple[Any, dict[str, Any], str]


def get_reader(path: PathOrPaths) -> Callable[[PathOrPaths], list[LayerData]] | None:
    """Offer to read files whose suffix is that of an image; npe2's reader contract."""
    paths = _paths(path)
    if paths and all(each.suffix.lower() in SUFFIXES for each in paths):
        return read_layers
    return None


def read_layers(path: PathOrPaths) -> list[LayerData]:
    """Read every image of one or several files as an Image layer.

    Raises
    ------
    ReadError
        A file is missing, truncated, or not an image; napari shows the message.
    """
    return [layer for each in _paths(path) for layer in _file_layers(each)]


def _paths(path: PathOrPaths) -> list[Path]:
    return [Path(path)] if isinstance(path, str) else [Path(each) for each in path]


def _file_layers(path: Path) -> list[LayerData]:
    images = read_sem_pages(path)
    return [image_layer_data(image, _name(image, several=len(images) > 1)) for image in images]


def _name(image: SEMImage, *, several: bool) -> str:
    # Among several images of one file the detector tells them apart.
    detector = image.metadata.detector
    return f"{image.name} [{detector}]" if several and detector else image.name
