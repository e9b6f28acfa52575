"""Any SEM image file -> SEMImage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_micro_ktnet.errors import MicroKTNetError, ReadError
from napari_micro_ktnet.files import is_folder
from napari_micro_ktnet.sem._exif import read_tags
from napari_micro_ktnet.sem._raster import read_raster
from napari_micro_ktnet.sem._tiff import Lazy, TiffPicture, read_tiff
from napari_micro_ktnet.sem.databar import find_data_bar, may_be_bar
from napari_micro_ktnet.sem.image import DataBar, SEMImage
from napari_micro_ktnet.sem.vendors import has_vendor, identify
from napari_micro_ktnet.sem.vendors._base import Source

if TYPE_CHECKING:
    from os import PathLike

    from numpy.typing import NDArray

_SIGNATURES = {
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"BM": "BMP",
}
SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp")


def read_sem(path: str | PathLike[str], *, lazy: Lazy = False) -> SEMImage:
    """Read the image of a SEM file, or the first of several.

    Parameters
    ----------
    path : path-like
        TIFF, PNG, JPEG or BMP file; the content decides which, not the suffix.
    lazy : bool or "auto"
        Read pixels on demand: they are a dask array then, and a part of them that cannot be decoded
        raises ReadError only when it is computed. "auto" does so for images of more than 256 MiB.
        Images of which no part can be shown without the rest are read at once all the same: stored
        as colour, in one compressed block, or in another format than TIFF.

    Returns
    -------
    SEMImage
        Pixels ``(Y, X)``, ``(Z, Y, X)`` for a stack, ``(Y, X, 3 | 4)`` for a truly coloured image; in the
        file's dtype. Pixel size in nm, None where the file does not honestly say it.

    Raises
    ------
    ReadError
        If the file is missing, truncated, or not an image that can be read.
    """
    return _read(Path(path), lazy, first_only=True)[0]


def read_sem_pages(path: str | PathLike[str], *, lazy: Lazy = False) -> list[SEMImage]:
    """Read all images of a SEM file, such as the pages of several detectors; thumbnails are left out.

    Parameters
    ----------
    path : path-like
        As for `read_sem`.
    lazy : bool or "auto"
        As for `read_sem`; "auto" looks at the images of the file together.

    Returns
    -------
    list of SEMImage
        At least one.

    Raises
    ------
    ReadError
        If the file is missing, truncated, or not an image that can be read.
    """
    return _read(Path(path), lazy, first_only=False)


def _read(path: Path, lazy: Lazy, *, first_only: bool) -> list[SEMImage]:
    kind = _kind(path)
    try:
        if kind == "TIFF":
            pictures = read_tiff(path, has_vendor, first_only, lazy)
        else:
            pixels, rgb = read_raster(path, kind)
            pictures = [
                TiffPicture(
                    pixels, rgb, Source(path, pixels.shape[1], pixels.shape[0], read_tags(path, kind))
                )
            ]
    except MicroKTNetError:
        raise
    except MemoryError as error:
        raise ReadError(
            f"{path}: the image does not fit into memory. Close other programs; if it should be small, its "
            "header is corrupt: copy or export it again."
        ) from error
    except Exception as error:
        # Decoders fail in their own ways on corrupt data; all of them mean the same to a user.
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ReadError(
            f"{path}: the file begins as {kind}, but its image cannot be decoded ({reason}). "
            "It is truncated or corrupt: copy or export it again."
        ) from error
    return [_assemble(picture, path, i, len(pictures)) for i, picture in enumerate(pictures)]


def _kind(path: Path) -> str:
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except FileNotFoundError as error:
        raise ReadError(f"{path}: no such file. Check the name and the folder.") from error
    except IsADirectoryError as error:
        raise ReadError(f"{path}: a folder was given, expected an image file. Name a file in it.") from error
    except (OSError, ValueError) as error:
        hint = "a folder was given" if is_folder(path) else f"the file cannot be opened ({error})"
        raise ReadError(f"{path}: {hint}, expected a readable image file.") from error
    if not head:
        raise ReadError(f"{path}: the file is empty, expected an image. Copy or export it again.")
    for signature, kind in _SIGNATURES.items():
        if head.startswith(signature):
            return kind
    raise ReadError(
        f"{path}: the file begins with {head!r}, expected a TIFF, PNG, JPEG or BMP image whatever its "
        "suffix. Export the image in one of these formats."
    )


def _assemble(picture: TiffPicture, path: Path, index: int, count: int) -> SEMImage:
    found = identify(picture.source)
    return SEMImage(
        pixels=picture.pixels,
        pixel_size=found.pixel_size,
        pixel_size_source=found.pixel_size_source,
        metadata=found.metadata,
        data_bar=_data_bar(picture.pixels, picture.rgb, found.bar_rows),
        path=path,
        rgb=picture.rgb,
        name=path.stem if count == 1 else f"{path.stem}_{index + 1}",
    )


def _data_bar(pixels: NDArray[Any], rgb: bool, rows: int | None) -> DataBar | None:
    grey = pixels[..., 1] if rgb else pixels
    height = grey.shape[-2]
    # Some write 0 below a bar that is there, and some exports cut off the bar that they still tell of.
    if rows is not None and 0 < rows < height and may_be_bar(grey, rows):
        return DataBar(height - rows, height, "metadata")
    return find_data_bar(grey)
