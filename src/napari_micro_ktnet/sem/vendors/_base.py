"""The parts every dialect is made of."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import isfinite
from typing import TYPE_CHECKING, Any

from napari_micro_ktnet.sem.image import PixelSizeSource, SEMMetadata
from napari_micro_ktnet.sem.vendors._sidecar import Sidecars

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

SMALLEST_PIXEL_NM = 1e-4
LARGEST_PIXEL_NM = 1e8
# Ranks: what the microscope wrote into the file, what it wrote beside it, what general programs write.
SIDECAR, GENERAL = 5, 10


@dataclass(frozen=True)
class Source:
    """What a dialect may look at.

    Attributes
    ----------
    path : Path
        The image file; sidecar files are looked for beside it.
    width, height : int
        Size of the image in pixels, data bar included.
    tags : Mapping[int, bytes]
        TIFF tag code -> bytes of the value as they lie in the file, for text and byte tags only.
        Empty for other formats.
    resolution : tuple of float or None
        Pixels per unit ``(y, x)`` of the TIFF resolution tags. They lie in most SEM files: only
        the dialects whose description makes them honest may use them.
    index : int
        Number of the image within its file, for descriptions that cover several.
    sidecars : Sidecars
        The text files beside the image.
    """

    path: Path
    width: int
    height: int
    tags: Mapping[int, bytes] = field(default_factory=dict)
    resolution: tuple[float, float] | None = None
    index: int = 0
    sidecars: Sidecars = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sidecars", Sidecars(self.path))

    def text(self, code: int) -> str:
        """Text of a tag: UTF-8 where it is valid, latin-1 otherwise; empty where there is none."""
        return decode(self.tags.get(code, b""))


@dataclass(frozen=True)
class Findings:
    """What a dialect read.

    Attributes
    ----------
    metadata : SEMMetadata
        Acquisition conditions.
    pixel_size : tuple of float or None
        nm, ``(y, x)``.
    pixel_size_source : {"metadata", "estimated", "none"}
        "estimated" for a scale derived from a magnification.
    bar_rows : int or None
        Rows from the bar's top edge to the last row, 0 = the file says there is no bar,
        None = the file does not say.
    """

    metadata: SEMMetadata = field(default_factory=SEMMetadata)
    pixel_size: tuple[float, float] | None = None
    pixel_size_source: PixelSizeSource = "none"
    bar_rows: int | None = None

    def __post_init__(self) -> None:
        if self.pixel_size is None or not all(map(_plausible, self.pixel_size)):
            object.__setattr__(self, "pixel_size", None)
            object.__setattr__(self, "pixel_size_source", "none")
        elif self.pixel_size_source == "none":
            object.__setattr__(self, "pixel_size_source", "metadata")

    def filled_from(self, other: Findings) -> Findings:
        """Return a copy whose gaps are filled from `other`.

        A pixel size that the file states takes the place of an estimated one.
        """
        filled = replace(self, metadata=_filled(self.metadata, other.metadata))
        stated = other.pixel_size_source == "metadata" and self.pixel_size_source == "estimated"
        if filled.pixel_size is None or stated:
            filled = replace(filled, pixel_size=other.pixel_size, pixel_size_source=other.pixel_size_source)
        if filled.bar_rows is None:
            filled = replace(filled, bar_rows=other.bar_rows)
        return filled


def _filled(known: SEMMetadata, other: SEMMetadata) -> SEMMetadata:
    if known.beam != other.beam and None not in (known.beam, other.beam):
        # The other dialect tells of the other column of the instrument.
        return known
    gaps = [name for name in SEMMetadata.__dataclass_fields__ if getattr(known, name) is None]
    values: dict[str, Any] = {name: getattr(other, name) for name in gaps}
    return replace(known, raw={**other.raw, **known.raw}, **values)


@dataclass(frozen=True)
class Dialect:
    """One way in which a program writes SEM metadata.

    Attributes
    ----------
    name : str
        Vendor or program, as shown to the user.
    recognise : callable
        True if the file is in this dialect. Cheap: it is asked for every image.
    extract : callable
        Read everything. It must cope with missing sections and with values that are no numbers.
    rank : int
        Lower ranks are asked first: 0 for what lies in the file, `SIDECAR` for files beside it,
        `GENERAL` for general image programs.
    """

    name: str
    recognise: Callable[[Source], bool]
    extract: Callable[[Source], Findings]
    rank: int = 0


@dataclass(frozen=True)
class Row:
    """One line of a dialect's table: vendor key -> field of SEMMetadata, through a converter."""

    key: str
    field: str
    convert: Callable[[str], Any]


def read_table(raw: Mapping[str, str], rows: Iterable[Row]) -> dict[str, Any]:
    """Return the fields of SEMMetadata that a table finds.

    The first row whose converter gives a value wins, so that keys can be listed in order of trust.
    """
    found: dict[str, Any] = {}
    for row in rows:
        if row.field not in found and row.key in raw:
            value = row.convert(raw[row.key])
            if value is not None and not (isinstance(value, float) and not isfinite(value)):
                found[row.field] = value
    return found


def decode(data: bytes) -> str:
    """Text of a tag or sidecar in whichever of the usual encodings it is."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace").rstrip("\0")
    if data[1:4:2] == b"\0\0" and 0 not in data[0:4:2]:
        return data.decode("utf-16-le", errors="replace").rstrip("\0")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return text.rstrip("\0")


def _plausible(size_nm: float) -> bool:
    return isfinite(size_nm) and SMALLEST_PIXEL_NM <= size_nm <= LARGEST_PIXEL_NM
