"""Metadata that JPEG and PNG files carry under the numbers of TIFF tags: EXIF and XMP."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# A segment of JPEG cannot be larger, so that what microscopes write there never is.
_LARGEST = 2**16
_XMP = 700
_TEXT_AND_BYTES = {1, 2, 6, 7}
_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_EXIF_HEAD, _XMP_HEAD = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
_PNG_XMP_HEAD = b"XML:com.adobe.xmp\0"
_MOST_CHUNKS = 2**18


def read_tags(path: Path, kind: str) -> dict[int, bytes]:
    """Read the text and byte tags of an image file that is no TIFF.

    Parameters
    ----------
    path : Path
        The file.
    kind : {"PNG", "JPEG", "BMP"}
        Its format.

    Returns
    -------
    dict of int to bytes
        TIFF tag code -> bytes of the value, from the first directory of the EXIF block; XMP as tag 700.
        Empty where there are none, or they are damaged: the image itself is fine.
    """
    if kind not in ("JPEG", "PNG"):
        return {}
    found: dict[int, bytes] = {}
    with path.open("rb") as file:
        for name, block in _jpeg_blocks(file) if kind == "JPEG" else _png_blocks(file):
            new = parse_exif(block) if name == "EXIF" else {_XMP: block}
            found = {**new, **found}
    return found


def parse_exif(data: bytes) -> dict[int, bytes]:
    """Text and byte tags of the first directory of an EXIF block.

    Parameters
    ----------
    data : bytes
        The block, from its byte order mark on.

    Returns
    -------
    dict of int to bytes
        What lies outside of the block is left out.
    """
    order = _ORDERS.get(data[:4])
    if order is None or len(data) < 8:
        return {}
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    if start + 2 > len(data):
        return {}
    (count,) = struct.unpack_from(f"{order}H", data, start)
    found: dict[int, bytes] = {}
    # Values that overlap could add up to far more than the block.
    left = len(data)
    for at in range(start + 2, min(start + 2 + 12 * count, len(data) - 11), 12):
        code, kind, length, offset = struct.unpack_from(f"{order}HHII", data, at)
        value = at + 8 if length <= 4 else offset
        if kind in _TEXT_AND_BYTES and length <= left and value + length <= len(data):
            found.setdefault(code, data[value : value + length])
            left -= length
    return found


def _jpeg_blocks(file: BinaryIO) -> Iterator[tuple[str, bytes]]:
    """EXIF and XMP among the segments before the pixels."""
    file.seek(2)
    while len(head := file.read(4)) == 4:
        mark, code, length = struct.unpack(">BBH", head)
        if mark != 0xFF or code == 0xDA or length < 2:
            return
        if code != 0xE1:
            file.seek(length - 2, 1)
            continue
        body = file.read(length - 2)
        if body.startswith(_EXIF_HEAD):
            yield "EXIF", body.removeprefix(_EXIF_HEAD)
        elif body.startswith(_XMP_HEAD):
            yield "XMP", body.removeprefix(_XMP_HEAD)


def _png_blocks(file: BinaryIO) -> Iterator[tuple[str, bytes]]:
    """EXIF and XMP among the chunks, which may come before or after the pixels."""
    file.seek(8)
    for _ in range(_MOST_CHUNKS):
        head = file.read(8)
        if len(head) < 8 or head[4:] == b"IEND":
            return
        length = int.from_bytes(head[:4], "big")
        if head[4:] not in (b"eXIf", b"iTXt") or length > _LARGEST:
            file.seek(length + 4, 1)
            continue
        body = file.read(length)
        file.seek(4, 1)
        if head[4:] == b"eXIf":
            yield "EXIF", body
        elif body.startswith(_PNG_XMP_HEAD):
            yield "XMP", _international_text(body.removeprefix(_PNG_XMP_HEAD))


def _international_text(body: bytes) -> bytes:
    """Text behind the flags for compression, the language and the translated keyword."""
    compressed, text = body[:1] == b"\1", body[2:].split(b"\0", 2)[-1]
    if not compressed:
        return text
    try:
        return zlib.decompressobj().decompress(text, _LARGEST)
    except zlib.error:
        return b""
