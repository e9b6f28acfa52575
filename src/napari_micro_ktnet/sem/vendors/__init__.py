"""Vendor dialects: one module each, found by itself.

A dialect is a module in this package that defines ``DIALECT``. Modules whose name starts with an
underscore are helpers.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from napari_micro_ktnet.sem.vendors._base import SIDECAR, Dialect, Findings

if TYPE_CHECKING:
    from napari_micro_ktnet.sem.vendors._base import Source

__all__ = ["dialects", "has_vendor", "identify"]


@cache
def dialects() -> tuple[Dialect, ...]:
    """All known dialects, in the order in which they are asked."""
    names = sorted(info.name for info in iter_modules(__path__) if not info.name.startswith("_"))
    found: list[Dialect] = [import_module(f"{__name__}.{name}").DIALECT for name in names]
    return tuple(sorted(found, key=lambda dialect: dialect.rank))


def has_vendor(source: Source) -> bool:
    """Whether a microscope's own program wrote the metadata, not a general image program."""
    return any(dialect.rank == 0 and dialect.recognise(source) for dialect in dialects())


def identify(source: Source) -> Findings:
    """Return what the file says about an image.

    The first dialect that recognises the file gives the metadata. What it does not know is taken from
    the next dialect that does; a sidecar file of another vendor is not believed beside metadata in the
    file itself.

    Parameters
    ----------
    source : Source
        Tags, description, size and path of one image.

    Returns
    -------
    Findings
        Empty where no dialect recognises the file.
    """
    findings: Findings | None = None
    for dialect in dialects():
        foreign = findings is not None and findings.metadata.vendor != dialect.name
        if (dialect.rank == SIDECAR and foreign) or not dialect.recognise(source):
            continue
        more = dialect.extract(source)
        findings = more if findings is None else findings.filled_from(more)
    return Findings() if findings is None else findings
