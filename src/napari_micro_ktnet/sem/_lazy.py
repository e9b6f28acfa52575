"""Large TIFF images as dask arrays: only what is looked at is read.

Every read opens the file anew and closes it, so that dask may read from many threads and nothing keeps
a user from deleting the file (Windows refuses as long as anyone has it open or mapped). Plain reads
rather than a memory map, which would take the whole process down if the file is cut short meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from uuid import uuid4

import dask.array as da
import numpy as np

from napari_micro_ktnet.errors import MicroKTNetError, ReadError
from napari_micro_ktnet.sem._tiff_pixels import PALETTE, native, shown_values

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

# 4 to 16 MB: long enough reads, little beside what is shown.
_CHUNK_SIDE = 2048


@dataclass(frozen=True, eq=False)
class _Plane:
    """Where one page's pixels lie.

    Attributes
    ----------
    path : Path
        The file.
    stamp : tuple of int
        Its size and time of change when it was opened.
    key : TiffPage
        Form of the stored data.
    contiguous : bool
        All rows lie one after another, as they are, from the first of `offsets` on.
    offsets, counts : sequence of int
        Of the strips or tiles, in bytes.
    decode : callable
        From the bytes and the number of a strip or tile to its values.
    """

    path: Path
    stamp: tuple[int, int]
    key: Any
    contiguous: bool
    offsets: Sequence[int]
    counts: Sequence[int]
    decode: Callable[..., Any]

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Pixels ``(Y, X)`` of a chunk."""
        try:
            with self.path.open("rb", buffering=0) as file:
                if _stamp(self.path) != self.stamp:
                    raise ReadError(f"{self.path}: the file has changed since it was opened. Open it again.")
                stored = (_read_rows if self.contiguous else _read_segments)(self, file, rows, columns)
        except (MicroKTNetError, MemoryError):
            raise
        except Exception as error:
            # As for whole images: decoders fail in their own ways, and files vanish.
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise ReadError(
                f"{self.path}: a part of the image (rows {rows.start} to {rows.stop}) cannot be read "
                f"({reason}). The file was moved, or is corrupt: copy or export it again."
            ) from error
        pixels: NDArray[Any] = shown_values(self.key, native(stored))[0]
        return pixels


def can_read_parts(pages: Sequence[Any]) -> bool:
    """Whether parts of equal pages can be read, and be shown without having seen the rest.

    Colour is only known to be grey once all of it was seen, and so are palettes with colours in them.
    One compressed block that holds a whole image would be decoded for each part again.
    """
    key = pages[0].keyframe
    if key.axes != "YX" or key.jpegheader is not None:
        return False
    if key.photometric == PALETTE and not all(_grey_palette(page.keyframe) for page in pages):
        return False
    if any(page.is_contiguous and not page.is_final for page in pages):
        return False
    # All planes are cut into chunks alike.
    if len({page.is_final or _segment_shape(page.keyframe) for page in pages}) > 1:
        return False
    return len(pages) > 1 or pages[0].is_final or prod(key.chunked) > 1


def _grey_palette(key: Any) -> bool:
    palette = key.colormap
    return palette is None or bool((palette == palette[0]).all())


def lazy_pages(pages: Sequence[Any]) -> Any:
    """Pixels of pages for which `can_read_parts` holds.

    Parameters
    ----------
    pages : sequence of TiffPage or TiffFrame
        Of files that are open; complete.

    Returns
    -------
    dask array
        ``(Y, X)`` of a single page, else ``(Z, Y, X)``.
    """
    planes = [
        _Plane(
            Path(page.parent.filehandle.path),
            _stamp(Path(page.parent.filehandle.path)),
            page.keyframe,
            page.is_final,
            page.dataoffsets,
            page.databytecounts,
            # Made while the file is open: what JPEG data mean stands in them.
            partial(page.keyframe.decode, jpegtables=page.jpegtables),
        )
        for page in pages
    ]
    array = _lazy_array(planes)
    return array if len(pages) > 1 else array[0]


def lazy_planes(page: Any, count: int) -> Any:
    """Pixels ``(Z, Y, X)`` of as many contiguous planes as lie one after another from a page's on."""
    path = Path(page.parent.filehandle.path)
    stamp, first, size = _stamp(path), page.dataoffsets[0], page.nbytes
    offsets = [[first + z * size] for z in range(count)]
    return _lazy_array([_Plane(path, stamp, page, True, at, [size], page.decode) for at in offsets])


def _lazy_array(planes: Sequence[_Plane]) -> Any:
    key = planes[0].key
    height, width = _chunk(planes[0])
    shape = (len(planes), key.imagelength, key.imagewidth)
    chunks = da.core.normalize_chunks((1, height, width), shape=shape)  # type: ignore[no-untyped-call]
    dtype = shown_values(key, np.zeros((1, 1), key.dtype))[0].dtype

    def read(block_info: Any = None) -> NDArray[Any]:
        (z, _), rows, columns = block_info[None]["array-location"]
        pixels: NDArray[Any] = planes[z].read(slice(*rows), slice(*columns))[None]
        return pixels

    return da.map_blocks(  # type: ignore[no-untyped-call]
        read, name=f"sem-{uuid4().hex}", chunks=chunks, dtype=dtype, meta=np.empty((0, 0, 0), dtype)
    )


def _chunk(plane: _Plane) -> tuple[int, int]:
    """Rows and columns of as many whole strips or tiles as make a good portion."""
    rows, columns = (1, plane.key.imagewidth) if plane.contiguous else _segment_shape(plane.key)
    columns = min(columns * max(1, _CHUNK_SIDE // columns), plane.key.imagewidth)
    rows = min(rows * max(1, _CHUNK_SIDE**2 // (rows * columns)), plane.key.imagelength)
    return rows, columns


def _segment_shape(key: Any) -> tuple[int, int]:
    if key.is_tiled:
        return key.tilelength, key.tilewidth
    return min(key.rowsperstrip, key.imagelength), key.imagewidth


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _read_rows(plane: _Plane, file: BinaryIO, rows: slice, columns: slice) -> NDArray[Any]:
    dtype = np.dtype(plane.key.parent.byteorder + plane.key.dtype.char)
    # Chunks of contiguous data have the full width.
    block = np.empty((rows.stop - rows.start, columns.stop), dtype)
    file.seek(plane.offsets[0] + rows.start * columns.stop * dtype.itemsize)
    if file.readinto(block.view(np.uint8)) != block.nbytes:  # type: ignore[attr-defined]
        raise ReadError(f"{plane.path}: the file ends within the image. Copy or export it again.")
    return block


def _read_segments(plane: _Plane, file: BinaryIO, rows: slice, columns: slice) -> NDArray[Any]:
    key = plane.key
    height, width = _segment_shape(key)
    across = -(-key.imagewidth // width)
    block = np.empty((rows.stop - rows.start, columns.stop - columns.start), key.dtype)
    # Chunks begin where a strip or tile begins.
    for top in range(rows.start, rows.stop, height):
        for left in range(columns.start, columns.stop, width):
            number = top // height * across + left // width
            file.seek(plane.offsets[number])
            data = file.read(plane.counts[number])
            values = plane.decode(data, number)[0][0, :, :, 0]
            place = block[top - rows.start :, left - columns.start :][:height, :width]
            place[...] = values[: place.shape[0], : place.shape[1]]
    return block
