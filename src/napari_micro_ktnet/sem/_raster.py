"""PNG, JPEG and BMP through Pillow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

import imagecodecs
import numpy as np
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from napari_micro_ktnet.sem._content import apply_palette, check_size, grey_if_grey

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL import Image, ImageFile

# The classes are used by themselves because Image.open() guards against large images with one
# limit for the whole process, below the size of a stitched SEM image.
_OPENERS: dict[str, type[ImageFile.ImageFile]] = {
    "PNG": PngImageFile,
    "JPEG": JpegImageFile,
    "BMP": BmpImageFile,
}
_PNG_DEPTH, _PNG_COLOUR = 24, 25
# What the compression makes of a blank image: Deflate 1032 to 1, and 8 pixels of one bit each; JPEG two
# bits for a block of 64; BMP 255 pixels for two bytes.
_EXPANSION = {"PNG": 8 * 1032, "JPEG": 2000, "BMP": 2000}
_BYTES = {"1": 1, "L": 1, "P": 1, "LA": 2, "I;16": 2, "RGB": 3}


def read_raster(path: Path, kind: str) -> tuple[NDArray[Any], bool]:
    """Read a PNG, JPEG or BMP file.

    Parameters
    ----------
    path : Path
        The file.
    kind : {"PNG", "JPEG", "BMP"}
        Its format.

    Returns
    -------
    pixels : ndarray of shape (Y, X), (Y, X, 3) or (Y, X, 4)
        bool, uint8 or uint16.
    rgb : bool
        True for a truly coloured image.
    """
    with path.open("rb") as file:
        if kind == "PNG" and _is_deep_colour(file):
            return _read_deep_png(path, file)
        image = _OPENERS[kind](file)
        check_size(
            path, *image.size, image.width * image.height * _BYTES.get(image.mode, 4), _EXPANSION[kind]
        )
        image.load()
        return _from_pillow(image)


def _is_deep_colour(file: BinaryIO) -> bool:
    header = file.read(26)
    file.seek(0)
    # Pillow cuts 16-bit colour (type 2) and 16-bit with alpha (4, 6) down to 8 bits.
    return len(header) == 26 and header[_PNG_DEPTH] == 16 and header[_PNG_COLOUR] in (2, 4, 6)


def _read_deep_png(path: Path, file: BinaryIO) -> tuple[NDArray[Any], bool]:
    data = file.read()
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    check_size(path, width, height, width * height * 8, _EXPANSION["PNG"])
    return grey_if_grey(np.asarray(imagecodecs.png_decode(data)))


def _from_pillow(image: Image.Image) -> tuple[NDArray[Any], bool]:
    if image.mode == "P":
        palette = np.asarray(image.getpalette("RGB") or [0, 0, 0], dtype=np.uint16).reshape(-1, 3).T
        full = np.zeros((3, 256), dtype=np.uint16)
        full[:, : palette.shape[1]] = palette * 257
        return apply_palette(np.array(image), full)
    if image.mode in ("LA", "RGB", "RGBA"):
        return grey_if_grey(np.array(image))
    if image.mode in ("CMYK", "YCbCr", "LAB", "HSV", "PA", "RGBX"):
        return grey_if_grey(np.array(image.convert("RGB")))
    pixels = np.array(image)
    if image.mode.startswith("I"):
        # Older Pillow widens 16-bit PNG to 32 bits.
        pixels = pixels.astype(np.uint16)
    return pixels, False
