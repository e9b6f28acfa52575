"""Pages of a TIFF file: which are images, which belong together, and what a dialect may look at."""

from __future__ import annotations

import warnings
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_micro_ktnet.errors import ReadError
from napari_micro_ktnet.sem.vendors._base import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_TEXT_AND_BYTES = {1, 2, 6, 7}
# Structure and bulk that no dialect reads: ICC, Photoshop, JPEG tables.
_UNREAD_TAGS = {347, 34377, 34675, 37724}
# Real ones have at most some 70 kB, but for the OME-XML of many planes.
_LARGEST_TAG, _LARGEST_DESCRIPTION = 2**21, 2**24
# Of all tags of all images together: they may overlap, so that the file's size is no bound.
LARGEST_ALL = 2**25
# More pages than any microscope has detectors are slices.
_MOST_IMAGES = 256
_DESCRIPTION = 270
# Of type LONG, but a block of bytes lies where it points to.
_OLYMPUS_SIS, _OLYMPUS_BYTES = 33560, 4096
_MOST_PAGES_LEFT_OUT = 8
_REDUCED_IMAGE = 1
_RGB = 2

_warned: set[Path] = set()


def groups_of(path: Path, tif: Any, has_vendor: Callable[[Source], bool]) -> list[list[Any]]:
    """Pages that belong together, one list an image; pages with a vendor's metadata are no stack."""
    if _is_ome(tif):
        return _ome_groups(path, tif)
    pages = _image_pages(list(tif.pages))
    if len(pages) > 1 and len({(page.shape, page.dtype, page.photometric) for page in pages}) == 1:
        grey = pages[0].samplesperpixel == 1
        slices = len(pages) > _MOST_IMAGES
        if grey and (
            slices or not any(has_vendor(source_of(path, page, tags_of(page), 0)) for page in pages)
        ):
            return [pages]
    if len(pages) > _MOST_IMAGES:
        raise ReadError(
            f"{path}: {len(pages)} images of different form were found, expected at most {_MOST_IMAGES}. "
            "Split the file."
        )
    return [[page] for page in pages]


def _is_ome(tif: Any) -> bool:
    # A document type could define entities without bound; OME-XML has none.
    return bool(tif.is_ome) and "<!" not in tif.pages.first.description.replace("<!--", "")


def left_out(tif: Any, groups: Sequence[Sequence[Any]]) -> list[Any]:
    """Pages that are no images of their own: one of them may carry the metadata of all."""
    if _is_ome(tif):
        return []
    used = {page.offset for group in groups for page in group}
    first = (tif.pages[i] for i in range(min(len(tif.pages), _MOST_PAGES_LEFT_OUT)))
    return [page for page in first if page.offset not in used]


def warn_of_previews(path: Path, tif: Any, groups: Sequence[Sequence[Any]]) -> None:
    """Say which pages only look like previews: one may be an image after all."""
    largest = max((group[0].keyframe.imagewidth for group in groups), default=0)
    taken = [
        f"{page.imagewidth} x {page.imagelength}"
        for page in (page.keyframe for page in left_out(tif, groups))
        if 0 < 2 * page.imagewidth <= largest and not int(page.subfiletype) & _REDUCED_IMAGE
    ]
    if taken and path not in _warned:
        # A file is read again for its report, and again for its picture in it.
        _warned.add(path)
        warnings.warn(
            f"{path}: smaller pages ({', '.join(taken)} pixels) beside one {largest} pixels wide were taken "
            "for previews and left out, although the file does not say so. If they are images, save them as "
            "files of their own.",
            stacklevel=2,
        )


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


def tags_of(page: Any, left: int = LARGEST_ALL) -> dict[int, bytes]:
    """Bytes of the page's text and byte tags, `left` at most; what does not fit is left out."""
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
            and tag.count <= left
        ):
            left -= tag.count
            handle.seek(tag.valueoffset)
            found.setdefault(tag.code, handle.read(tag.count))
    return found


def source_of(path: Path, page: Any, tags: dict[int, bytes], index: int) -> Source:
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
