"""TESCAN: the same keys in a file beside the image, ``name-tif.hdr`` or ``name.hdr``."""

from __future__ import annotations

from napari_micro_ktnet.sem.vendors import tescan
from napari_micro_ktnet.sem.vendors._base import SIDECAR, Dialect, Findings, Source, decode
from napari_micro_ktnet.sem.vendors._ini import parse_ini


def _text(source: Source) -> str:
    suffix = source.path.suffix.lower().lstrip(".")
    return decode(source.sidecars.read(f"-{suffix}.hdr", f"-{suffix[:3]}.hdr", ".hdr"))


def recognise(source: Source) -> bool:
    """Tell whether there is such a file: other programs write ``.hdr`` files too."""
    return "[MAIN]" in _text(source)


def extract(source: Source) -> Findings:
    """Read its sections."""
    return tescan.read_sections(source, parse_ini(_text(source)))


DIALECT = Dialect(tescan.DIALECT.name, recognise, extract, rank=SIDECAR)
