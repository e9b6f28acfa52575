"""Olympus Soft Imaging: a binary block in tag 33560, after the layout that tifffile found out."""

from __future__ import annotations

import struct
from datetime import datetime

from napari_micro_ktnet.sem.image import SEMMetadata
from napari_micro_ktnet.sem.vendors._base import Dialect, Findings, Source, decode

TAG = 33560
_MAGIC = b"SIS0"
# Magic, minute, hour, day, month, year, name, number of entries.
_HEADER = struct.Struct("<4s6xhhhhh6x32sH")
_ENTRY = struct.Struct("<hhI")
# Power of ten, size of a pixel along x and y, magnification, camera, kind of image.
_GENERAL = struct.Struct("<10xhdd8xd2x34s32s")
_GENERAL_ENTRY = 1


def recognise(source: Source) -> bool:
    """Tell whether the tag points to such a block."""
    return source.tags.get(TAG, b"")[:4] == _MAGIC


def extract(source: Source) -> Findings:
    """Read the block's header, and the entry that it points to elsewhere in the file."""
    data = source.tags[TAG]
    if len(data) < _HEADER.size:
        return Findings(metadata=SEMMetadata(vendor=DIALECT.name))
    _, minute, hour, day, month, year, name, count = _HEADER.unpack_from(data)
    raw = {"name": _name(name)}
    general = _general(source, data, count)
    size: tuple[float, float] | None = None
    magnification: float | None = None
    if general is not None:
        power, x, y, magnification, camera, kind = general
        raw |= {"lenexp": str(power), "xcal": repr(x), "ycal": repr(y), "mag": repr(magnification)}
        raw |= {"camname": _name(camera), "pictype": _name(kind)}
        if -15 <= power <= 0:
            size = y * 10.0 ** (power + 9), x * 10.0 ** (power + 9)
    return Findings(
        metadata=SEMMetadata(
            vendor=DIALECT.name,
            instrument=raw.get("camname") or None,
            magnification=magnification if magnification and 0 < magnification < 1e8 else None,
            acquired=_moment(1900 + year, month + 1, day, hour, minute),
            raw=raw,
        ),
        pixel_size=size,
    )


def _general(source: Source, data: bytes, count: int) -> tuple[int, float, float, float, bytes, bytes] | None:
    for start in range(_HEADER.size, min(len(data) - 7, _HEADER.size + 8 * count), _ENTRY.size):
        kind, _, offset = _ENTRY.unpack_from(data, start)
        if kind == _GENERAL_ENTRY:
            with source.path.open("rb") as file:
                file.seek(offset)
                block = file.read(_GENERAL.size)
            return _GENERAL.unpack(block) if len(block) == _GENERAL.size else None
    return None


def _name(field: bytes) -> str:
    return decode(field.partition(b"\0")[0]).strip()


def _moment(*parts: int) -> datetime | None:
    try:
        return datetime(*parts)  # type: ignore[arg-type]
    except ValueError:
        return None


DIALECT = Dialect("Olympus SIS", recognise, extract)
