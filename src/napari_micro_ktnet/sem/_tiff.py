"""TIFF through tifffile: which pages are images, are they complete, and what do they hold."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from napari_micro_ktnet.errors import ReadError
from napari_micro_ktnet.sem._content import apply_palette, check_size, grey_if_grey, inverted
from napari_micro_ktnet.sem.vendors._base import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_TEXT_AND_BYTES = {1, 2, 6, 7}
# Structure and bulk that no dialect reads: ICC, Photoshop, JPEG tables.
_UNREAD_TAGS = {347, 34377, 34675, 37724}
# Real ones have at most some 70 kB, but for the OME-XML of many planes.
_LARGEST_TAG, _LARGEST_DESCRIPTION = 2**21, 2**24
_DESCRIPTION = 270
# Of type LONG, but a block of bytes lies where it points to.
_OLYMPUS_SIS, _OLYMPUS_BYTES = 33560, 4096
_MOST_PAGES_LEFT_OUT = 8
_REDUCED_IMAGE = 1
_MINISWHITE, _RGB, _PALETTE, _YCBCR = 0, 2, 3, 6
_HEADER_BYTES = 8

_messages: ContextVar[list[str] | None] = ContextVar("_messages", default=None)


@dataclass(frozen=True, eq=False)
class TiffPicture:
    """One image of a TIFF file: pixels, whether truly coloured, and what a dialect may look at."""

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


def read_tiff(path: Path, has_vendor: Callable[[Source], bool], first_only: bool) -> list[TiffPicture]:
    """Read the images of a TIFF file.

    Parameters
    ----------
    path : Path
        The file.
    has_vendor : callable
        Tells whether a page carries a microscope's own metadata. Equal pages without it are a stack.
    first_only : bool
        Decode the first image only.

    Returns
    -------
    list of TiffPicture
        At least one. Pixels are ``(Y, X)``, ``(Z, Y, X)`` or ``(Y, X, C)``.

    Raises
    ------
    ReadError
        If there is no image page, or a page is incomplete.
    """
    with _collected_messages() as messages, tifffile.TiffFile(path) as tif:
        groups = _groups(path, tif, has_vendor)
        if not groups:
            hint = f" ({messages[0][:120]})" if messages else ""
            raise ReadError(
                f"{path}: no image page was found in this TIFF{hint}, expected at least one. "
                "The file is truncated or not an image: export it again."
            )
        every = [_tags(page) for page in (*(group[0] for group in groups), *_left_out(tif, groups))]
        wanted = groups[:1] if first_only else groups
        return [_read_group(path, tif, group, index, every) for index, group in enumerate(wanted)]


def _groups(path: Path, tif: Any, has_vendor: Callable[[Source], bool]) -> list[list[Any]]:
    """Pages that belong together, one list an image."""
    if _is_ome(tif):
        return _ome_groups(path, tif)
    pages = _image_pages(list(tif.pages))
    if len(pages) > 1 and len({(page.shape, page.dtype, page.photometric) for page in pages}) == 1:
        grey = pages[0].samplesperpixel == 1
        if grey and not any(has_vendor(_source(path, page, _tags(page), 0)) for page in pages):
            return [pages]
    return [[page] for page in pages]


def _is_ome(tif: Any) -> bool:
    # A document type could define entities without bound; OME-XML has none.
    return bool(tif.is_ome) and "<!" not in tif.pages.first.description.replace("<!--", "")


def _left_out(tif: Any, groups: Sequence[Sequence[Any]]) -> list[Any]:
    """Pages that are no images of their own: one of them may carry the metadata of all."""
    if _is_ome(tif):
        return []
    used = {page.offset for group in groups for page in group}
    first = (tif.pages[i] for i in range(min(len(tif.pages), _MOST_PAGES_LEFT_OUT)))
    return [page for page in first if page.offset not in used]


def _ome_groups(path: Path, tif: Any) -> list[list[Any]]:
    """Pages of one channel each: channels are detectors, every other axis makes a stack."""
    groups: list[list[Any]] = []
    for series in tif.series:
        pages = list(series.pages)
        if any(page is None for page in pages):
            raise ReadError(
                f"{path}: its OME description lists {len(pages)} planes and not all of them are there. "
                "Put the files of this data set into one folder, or export them again as one file."
            )
        sizes = zip(series.axes, series.shape, strict=True)
        axes = [(name, size) for name, size in sizes if name not in "YXS"]
        counts = [size for _, size in axes]
        if prod(counts) != len(pages):
            groups.append(pages[:1])
            continue
        order = np.arange(len(pages)).reshape(counts)
        where = next((i for i, (name, _) in enumerate(axes) if name == "C"), None)
        channels = [order] if where is None else list(np.moveaxis(order, where, 0))
        groups.extend([pages[i] for i in channel.ravel()] for channel in channels)
    return groups


def _image_pages(pages: Sequence[Any]) -> list[Any]:
    """Leave out thumbnails, previews and pages without pixels."""
    real = [page for page in pages if page.imagewidth > 0 and page.imagelength > 0 and page.dtype is not None]
    if not real:
        return []
    full = [page for page in real if not int(page.subfiletype) & _REDUCED_IMAGE] or real
    largest = max(page.imagewidth for page in full)
    full = [page for page in full if 2 * page.imagewidth > largest]
    grey = [page for page in full if page.photometric != _RGB]
    # A coloured page beside grey ones of its size is a preview of them.
    return grey or full


def _tags(page: Any) -> dict[int, bytes]:
    """Bytes of the page's text and byte tags."""
    page = page.keyframe
    handle = page.parent.filehandle
    found: dict[int, bytes] = {}
    for tag in page.tags:
        if tag.code == _OLYMPUS_SIS:
            handle.seek(min(tag.valueoffset, handle.size))
            found[tag.code] = handle.read(_OLYMPUS_BYTES)
            continue
        end = tag.valueoffset + tag.count
        if (
            int(tag.dtype) in _TEXT_AND_BYTES
            and tag.code not in _UNREAD_TAGS
            and tag.count <= (_LARGEST_DESCRIPTION if tag.code == _DESCRIPTION else _LARGEST_TAG)
            and end <= handle.size
        ):
            handle.seek(tag.valueoffset)
            found.setdefault(tag.code, handle.read(tag.count))
    return found


def _source(path: Path, page: Any, tags: dict[int, bytes], index: int) -> Source:
    key = page.keyframe
    return Source(path, key.imagewidth, key.imagelength, tags, _resolution(key), index)


def _resolution(page: Any) -> tuple[float, float] | None:
    per_unit: list[float] = []
    for code in (283, 282):
        value = page.tags.valueof(code)
        if not (isinstance(value, tuple) and len(value) == 2 and value[1]):
            return None
        per_unit.append(value[0] / value[1])
    return per_unit[0], per_unit[1]


def _read_group(
    path: Path, tif: Any, pages: Sequence[Any], index: int, every: Sequence[dict[int, bytes]]
) -> TiffPicture:
    first = pages[0]
    # Metadata may sit on another page only, so that each page inherits what it does not have itself.
    tags: dict[int, bytes] = {}
    for other in every:
        tags = {**other, **tags}
    source = _source(path, first, {**tags, **_tags(first)}, index)
    if len(pages) == 1 and tif.is_imagej and len(tif.pages) == 1 and tif.series[0].size > first.size:
        # Above 4 GiB, ImageJ writes all planes behind one directory.
        _check_in_file(path, [first.dataoffsets[0]], [tif.series[0].nbytes], tif.filehandle.size)
        planes = tif.series[0].asarray(squeeze=True)
        return TiffPicture(_native(planes.reshape(-1, *planes.shape[-2:])), False, source)
    for page in pages:
        check_size(path, page.keyframe.imagewidth, page.keyframe.imagelength, page.nbytes)
        _check_segments(path, page, page.parent.filehandle.size)
    pixels, rgb = _decode(path, first)
    if len(pages) > 1:
        stack = np.empty((len(pages), *pixels.shape), pixels.dtype)
        stack[0] = pixels
        for z, page in enumerate(pages[1:], start=1):
            stack[z] = _decode(path, page)[0]
        pixels = stack
    return TiffPicture(pixels, rgb, source)


def _check_segments(path: Path, page: Any, file_size: int) -> None:
    """Refuse a page whose data are not all in the file: tifffile would fill the gaps with zeros."""
    offsets, counts = list(page.dataoffsets), list(page.databytecounts)
    if page.is_contiguous:
        _check_in_file(path, offsets[:1], [page.nbytes], file_size)
        return
    key = page.keyframe
    rows, columns = (key.tilelength, key.tilewidth) if key.is_tiled else (key.rowsperstrip, key.imagewidth)
    needed = -(-key.imagelength // max(1, rows)) * -(-key.imagewidth // max(1, columns))
    if key.planarconfig == 2:
        needed *= key.samplesperpixel
    if min(len(offsets), len(counts)) < needed:
        raise ReadError(
            f"{path}: the file lists {min(len(offsets), len(counts))} of the {needed} blocks of pixels that "
            "its image needs. It is truncated or corrupt: export it again."
        )
    _check_in_file(path, offsets[:needed], counts[:needed], file_size)


def _check_in_file(path: Path, offsets: Sequence[int], counts: Sequence[int], file_size: int) -> None:
    for offset, count in zip(offsets, counts, strict=True):
        if offset < _HEADER_BYTES or count < 1:
            raise ReadError(
                f"{path}: a part of the pixels is missing (a block of {count} bytes at offset {offset}). "
                "The file is corrupt or was not written to the end: export it again."
            )
        if offset + count > file_size:
            raise ReadError(
                f"{path}: truncated: pixels are expected up to byte {offset + count}, and the file has "
                f"{file_size} bytes. Copy or export it again."
            )


def _decode(path: Path, page: Any) -> tuple[NDArray[Any], bool]:
    pixels = _native(page.asarray())
    if pixels.dtype.kind not in "buif":
        raise ReadError(
            f"{path}: pixels of type {pixels.dtype} were found, expected integers or real numbers. "
            "Export the image as 8- or 16-bit grey."
        )
    page = page.keyframe
    axes = page.axes
    if "S" in axes:
        pixels = np.moveaxis(pixels, axes.index("S"), -1)
        return _decode_samples(path, page, pixels)
    if pixels.ndim not in (2, 3):
        raise ReadError(
            f"{path}: an image with axes {axes} was found, expected Y, X. Export it as a plain image."
        )
    if page.photometric == _PALETTE and page.colormap is not None:
        return apply_palette(pixels, np.asarray(page.colormap))
    if page.photometric == _MINISWHITE:
        pixels = inverted(pixels, page.bitspersample)
    return pixels, False


def _decode_samples(path: Path, page: Any, pixels: NDArray[Any]) -> tuple[NDArray[Any], bool]:
    samples = pixels.shape[-1]
    if samples > 4 or (samples == 4 and page.photometric not in (_RGB, _YCBCR, 1)):
        raise ReadError(
            f"{path}: an image with {samples} channels was found (photometric {int(page.photometric)}), "
            "expected grey, RGB or RGBA. Export one channel as grey."
        )
    return grey_if_grey(pixels)


def _native(pixels: NDArray[Any]) -> NDArray[Any]:
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
