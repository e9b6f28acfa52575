"""TIFF through tifffile: every image of a file, read at once or on demand."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import tifffile

from napari_micro_ktnet.errors import ReadError
from napari_micro_ktnet.sem._tiff_pages import (
    LARGEST_ALL,
    groups_of,
    left_out,
    source_of,
    tags_of,
    warn_of_previews,
)
from napari_micro_ktnet.sem._tiff_pixels import check_in_file, check_page, check_shared, decode, native
from napari_micro_ktnet.sem.vendors._base import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

LAZY_BYTES = 2**28
"""Images of a file that take more than this together are read on demand, where `lazy` is "auto"."""

# Images whose tags the others inherit; in files with more, each has its own.
_MOST_HEIRS = 8

Lazy = bool | Literal["auto"]

_messages: ContextVar[list[str] | None] = ContextVar("_messages", default=None)


@dataclass(frozen=True, eq=False)
class TiffPicture:
    """One image of a file: pixels, whether truly coloured, and what a dialect may look at."""

    pixels: NDArray[Any]
    rgb: bool
    source: Source


def _keep_message(record: logging.LogRecord) -> bool:
    kept = _messages.get()
    if kept is None:
        return True
    kept.append(record.getMessage())
    return False


logging.getLogger("tifffile").addFilter(_keep_message)


@contextmanager
def _collected_messages() -> Iterator[list[str]]:
    """Collect what tifffile logs while reading: the caller gets one error instead of log noise."""
    kept: list[str] = []
    token = _messages.set(kept)
    try:
        yield kept
    finally:
        _messages.reset(token)


def read_tiff(
    path: Path, has_vendor: Callable[[Source], bool], first_only: bool, lazy: Lazy = False
) -> list[TiffPicture]:
    """Read the images of a TIFF file.

    Parameters
    ----------
    path : Path
        The file.
    has_vendor : callable
        Tells whether a page carries a microscope's own metadata. Equal pages without it are a stack.
    first_only : bool
        Decode the first image only.
    lazy : bool or "auto"
        Give dask arrays where parts of an image can be read by themselves; "auto": only if the
        images take more than `LAZY_BYTES` together.

    Returns
    -------
    list of TiffPicture
        At least one. Pixels are ``(Y, X)``, ``(Z, Y, X)`` or ``(Y, X, C)``.

    Raises
    ------
    ReadError
        If there is no image page, or a page is incomplete, lazy or not.
    """
    with _collected_messages() as messages, tifffile.TiffFile(path) as tif:
        groups = groups_of(path, tif, has_vendor)
        if not groups:
            hint = f" ({messages[0][:120]})" if messages else ""
            raise ReadError(
                f"{path}: no image page was found in this TIFF{hint}, expected at least one. "
                "The file is truncated or not an image: export it again."
            )
        if not first_only:
            warn_of_previews(path, tif, groups)
        inherited = _inherited(tif, groups)
        wanted = groups[:1] if first_only else groups
        check_shared(path, [page for group in wanted for page in group])
        if lazy == "auto":
            lazy = sum(_decoded_bytes(tif, group) for group in wanted) > LAZY_BYTES
        pictures = []
        left = LARGEST_ALL
        for index, group in enumerate(wanted):
            own = tags_of(group[0], left)
            left -= sum(map(len, own.values()))
            source = source_of(path, group[0], {**inherited, **own}, index)
            pictures.append(TiffPicture(*_read_group(path, tif, group, lazy), source))
        return pictures


def _inherited(tif: Any, groups: Sequence[Sequence[Any]]) -> dict[int, bytes]:
    # Metadata may sit on another page only, so that each page inherits what it does not have itself.
    tags: dict[int, bytes] = {}
    for page in (*(group[0] for group in groups[:_MOST_HEIRS]), *left_out(tif, groups)):
        tags = {**tags_of(page), **tags}
    return tags


def _is_hyperstack(tif: Any, pages: Sequence[Any]) -> bool:
    # Above 4 GiB, ImageJ writes all planes behind one directory.
    return bool(len(pages) == len(tif.pages) == 1 and tif.is_imagej and tif.series[0].size > pages[0].size)


def _decoded_bytes(tif: Any, pages: Sequence[Any]) -> int:
    if _is_hyperstack(tif, pages):
        return int(tif.series[0].nbytes)
    return sum(page.nbytes for page in pages)


def _read_group(path: Path, tif: Any, pages: Sequence[Any], lazy: bool) -> tuple[Any, bool]:
    """Pixels of pages that belong together, and whether they are coloured."""
    if _is_hyperstack(tif, pages):
        return _read_hyperstack(path, tif, lazy), False
    for page in pages:
        check_page(path, page)
    if lazy:
        # dask takes as long to import as a dozen images to read.
        from napari_micro_ktnet.sem._lazy import can_read_parts, lazy_pages

        if can_read_parts(pages):
            return lazy_pages(pages), False
    pixels, rgb = decode(path, pages[0])
    if len(pages) > 1:
        stack = np.empty((len(pages), *pixels.shape), pixels.dtype)
        stack[0] = pixels
        for z, page in enumerate(pages[1:], start=1):
            stack[z] = decode(path, page)[0]
        pixels = stack
    return pixels, rgb


def _read_hyperstack(path: Path, tif: Any, lazy: bool) -> Any:
    series, first = tif.series[0], tif.pages.first
    check_in_file(path, [first.dataoffsets[0]], [series.nbytes], tif.filehandle.size)
    if lazy and first.is_final:
        from napari_micro_ktnet.sem._lazy import lazy_planes

        return lazy_planes(first, series.size // first.size)
    planes = series.asarray(squeeze=True)
    return native(planes.reshape(-1, *planes.shape[-2:]))
