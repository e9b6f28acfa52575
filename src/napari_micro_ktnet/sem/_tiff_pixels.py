"""Pixels of a TIFF page: are they all in the file, and what grey or colour do they stand for."""

from __future__ import annotations

from collections import Counter
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from napari_micro_ktnet.errors import ReadError
from napari_micro_ktnet.sem._content import (
    LARGEST_EXPANSION,
    apply_palette,
    check_size,
    grey_if_grey,
    inverted,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_MINISWHITE, _RGB, PALETTE, _YCBCR = 0, 2, 3, 6
_HEADER_BYTES = 8
# What TIFF's compressions make of a blank image: none, PackBits, LZW, Deflate (two numbers), JPEG (two).
_EXPANSION = {1: 1, 32773: 64, 5: 2600, 8: 1032, 32946: 1032, 6: 2000, 7: 2000}


def check_page(path: Path, page: Any) -> None:
    """Refuse a page of absurd size, of no real numbers, or whose data are not all in the file.

    Parameters
    ----------
    path : Path
        The file, for messages.
    page : TiffPage or TiffFrame
        Page of a file that is open.

    Raises
    ------
    ReadError
        If its pixels cannot be read in full.
    """
    key = page.keyframe
    if key.compression not in tifffile.TIFF.DECOMPRESSORS:
        raise ReadError(
            f"{path}: its pixels are compressed in a way that cannot be read (number {key.compression:d}). "
            "The header is corrupt, or the format rare: export the image without compression."
        )
    check_size(path, key.imagewidth, key.imagelength, page.nbytes, _expansion(key))
    if key.dtype is None or key.dtype.kind not in "buif":
        raise ReadError(
            f"{path}: pixels of type {key.dtype} were found, expected integers or real numbers. "
            "Export the image as 8- or 16-bit grey."
        )
    if key.is_tiled:
        # A tile may be larger than the image.
        tile_bytes = prod(key.chunks) * key.dtype.itemsize
        check_size(path, key.tilewidth, key.tilelength, tile_bytes, _expansion(key))
    _check_segments(path, page, page.parent.filehandle.size)


def _expansion(key: Any) -> float:
    """Return how many decoded bytes a byte of the file can give; values of less than 8 bits get 8 each."""
    bits = min(8, max(1, int(key.bitspersample)))
    return _EXPANSION.get(int(key.compression), LARGEST_EXPANSION) * 8 / bits


def _check_segments(path: Path, page: Any, file_size: int) -> None:
    """Refuse a page whose data are not all in the file: tifffile would fill the gaps with zeros."""
    offsets, counts = list(page.dataoffsets), list(page.databytecounts)
    if page.is_contiguous:
        check_in_file(path, offsets[:1], [page.nbytes], file_size)
        return
    key = page.keyframe
    rows, columns = (key.tilelength, key.tilewidth) if key.is_tiled else (key.rowsperstrip, key.imagewidth)
    needed = -(-key.imagelength // max(1, rows)) * -(-key.imagewidth // max(1, columns))
    # As tifffile sees it: what is not contiguous is separate, even an invalid value.
    if key.planarconfig != 1:
        needed *= key.samplesperpixel
    if min(len(offsets), len(counts)) < needed:
        raise ReadError(
            f"{path}: the file lists {min(len(offsets), len(counts))} of the {needed} blocks of pixels that "
            "its image needs. It is truncated or corrupt: export it again."
        )
    check_in_file(path, offsets[:needed], counts[:needed], file_size)


def check_shared(path: Path, pages: Sequence[Any]) -> None:
    """Refuse pages that share their pixels: a small file could ask for any amount of memory.

    Parameters
    ----------
    path : Path
        The file, for messages.
    pages : sequence of TiffPage or TiffFrame
        All pages that are to be read.

    Raises
    ------
    ReadError
        If they have more bytes of pixels together than the files that they are in.
    """
    stored: Counter[Any] = Counter()
    for page in pages:
        stored[page.parent] += page.nbytes if page.is_contiguous else sum(page.databytecounts)
    for file, total in stored.items():
        if total > file.filehandle.size:
            raise ReadError(
                f"{path}: its {len(pages)} pages list {total} bytes of pixels, and the file has "
                f"{file.filehandle.size} bytes. It is truncated or corrupt: copy or export it again."
            )


def check_in_file(path: Path, offsets: Sequence[int], counts: Sequence[int], file_size: int) -> None:
    """Refuse blocks of bytes that are not all in the file."""
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


def decode(path: Path, page: Any) -> tuple[NDArray[Any], bool]:
    """Read a whole page: grey ``(Y, X)`` or ``(Z, Y, X)``, or ``(Y, X, C)`` and True where it is coloured."""
    pixels = native(page.asarray())
    key = page.keyframe
    if "S" in key.axes:
        return _decode_samples(path, key, np.moveaxis(pixels, key.axes.index("S"), -1))
    if pixels.ndim not in (2, 3):
        raise ReadError(
            f"{path}: an image with axes {key.axes} was found, expected Y, X. Export it as a plain image."
        )
    return shown_values(key, pixels)


def shown_values(key: Any, stored: NDArray[Any]) -> tuple[NDArray[Any], bool]:
    """Turn what one sample a pixel stores into grey ``(Y, X)``, or colour ``(Y, X, 3)`` and True."""
    if key.photometric == PALETTE and key.colormap is not None:
        return apply_palette(stored, np.asarray(key.colormap))
    if key.photometric == _MINISWHITE:
        stored = inverted(stored, key.bitspersample)
    return stored, False


def _decode_samples(path: Path, page: Any, pixels: NDArray[Any]) -> tuple[NDArray[Any], bool]:
    samples = pixels.shape[-1]
    if samples > 4 or (samples == 4 and page.photometric not in (_RGB, _YCBCR, 1)):
        raise ReadError(
            f"{path}: an image with {samples} channels was found (photometric {int(page.photometric)}), "
            "expected grey, RGB or RGBA. Export one channel as grey."
        )
    return grey_if_grey(pixels)


def native(pixels: NDArray[Any]) -> NDArray[Any]:
    """Pixels in the byte order of this machine."""
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
