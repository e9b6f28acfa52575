"""Fetch published encoder weights into a cache, and check them each time they are used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from napari_micro_ktnet.errors import FetchError, WeightsError
from napari_micro_ktnet.files import file_sha256
from napari_micro_ktnet.model.cache import (
    cache_folder,
    file_lock,
    read_record,
    record_path,
    verify_file,
    writing,
)
from napari_micro_ktnet.model.download import FetchReport, discard_part, iter_download
from napari_micro_ktnet.model.micronet import MICRONET_BASE_URL, MicroNetEntry, find_micronet

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

_LOCK_POLL_S = 0.2

# What torch.save has written since 1.6 (a zip file) and before (pickle protocol 2).
_TORCH_STARTS = (b"PK\x03\x04", b"\x80\x02")


def micronet_path(entry: MicroNetEntry, cache: str | Path | None = None) -> Path:
    """Where a published file lies, or would lie, in the cache."""
    return cache_folder(cache) / "micronet" / entry.file_name


def cached_micronet(encoder: str, variant: str, *, cache: str | Path | None = None) -> Path:
    """Path of weights that were fetched or imported before, checked against their hash.

    Parameters
    ----------
    encoder, variant : str
        See `find_micronet`.
    cache : str or Path, optional
        See `cache_folder`.

    Returns
    -------
    Path

    Raises
    ------
    WeightsError
        They are not there; the message says how to get them.
    FetchError
        They are not the bytes that were recorded at first use.
    """
    entry = find_micronet(encoder, variant)
    path = micronet_path(entry, cache)
    if not path.is_file():
        raise WeightsError(
            f"The {variant!r} weights of {entry.encoder!r} are not in {path.parent}. Fetch them with "
            f"`micro-ktnet models fetch {entry.encoder} --variant {variant}`, or, {_import_advice(entry)}"
        )
    verify_file(path, source=entry.url)
    return path


def fetch(
    encoder: str,
    variant: str = "imagenet-micronet",
    *,
    cache: str | Path | None = None,
    base_url: str | None = None,
    on_progress: Callable[[FetchReport], None] | None = None,
) -> Path:
    """Fetch published weights unless they are in the cache.

    Parameters
    ----------
    encoder, variant, cache, base_url
        See `iter_fetch`.
    on_progress : callable, optional
        Called with every `FetchReport`.

    Returns
    -------
    Path
        The checked file in the cache.

    Raises
    ------
    WeightsError, FetchError, OutputError
        See `iter_fetch`.
    """
    reports = iter_fetch(encoder, variant, cache=cache, base_url=base_url)
    while True:
        try:
            report = next(reports)
        except StopIteration as end:
            return Path(end.value)
        if on_progress is not None:
            on_progress(report)


def iter_fetch(
    encoder: str,
    variant: str = "imagenet-micronet",
    *,
    cache: str | Path | None = None,
    base_url: str | None = None,
) -> Generator[FetchReport, None, Path]:
    """Fetch published weights, yielding after every chunk; the only thing here that goes online.

    Closing the generator stops the download; what was received is kept as ``<name>.part`` and
    the next call goes on from there. Two fetches of one file wait for each other. The file has
    its final name only when it is complete, and its SHA-256 is recorded beside it.

    Parameters
    ----------
    encoder, variant : str
        See `find_micronet`.
    cache : str or Path, optional
        See `cache_folder`.
    base_url : str, optional
        A mirror that holds the same file names, instead of NASA's.

    Yields
    ------
    FetchReport

    Returns
    -------
    Path
        The checked file in the cache.

    Raises
    ------
    WeightsError
        There is no such encoder or variant.
    FetchError
        The file could not be fetched, or is not the one that was recorded at first use.
    OutputError
        The cache folder cannot be written, or the disk is full.
    """
    entry = find_micronet(encoder, variant)
    path = micronet_path(entry, cache)
    url = (base_url.rstrip("/") + "/" if base_url else MICRONET_BASE_URL) + entry.file_name
    part = path.with_name(path.name + ".part")
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    lock = file_lock(path)
    try:
        yield from _acquire(lock, part)
        if not path.is_file():
            yield from iter_download(url, part, advice=f"Or, {_import_advice(entry)}")
            _finish(part, path, url)
        record = verify_file(path, source=url)
    finally:
        lock.release()
    yield FetchReport(record.size, record.size)
    return path


def _acquire(lock: FileLock, part: Path) -> Generator[FetchReport, None, None]:
    """Wait for another fetch of the same file, showing how far it is."""
    while True:
        with writing(part):
            try:
                lock.acquire(timeout=_LOCK_POLL_S)
            except Timeout:
                received = part.stat().st_size if part.is_file() else 0
            else:
                return
        yield FetchReport(received, None)


def _finish(part: Path, path: Path, url: str) -> None:
    """Give a complete download its name, if it is what it should be."""
    with part.open("rb") as file:
        start = file.read(4)
    if not start.startswith(_TORCH_STARTS):
        discard_part(part)
        raise FetchError(
            f"{url} sent something that is no file of weights (it starts with {start!r}); it was removed."
        )
    record = read_record(path)
    if record is not None:
        digest = file_sha256(part)
        if digest != record.sha256:
            discard_part(part)
            raise FetchError(
                f"{url} sent another file than on {record.recorded:%Y-%m-%d}: its SHA-256 is {digest}, "
                f"recorded is {record.sha256}. It was not kept. If the publisher replaced it, delete "
                f"{record_path(path)} and fetch again."
            )
    with writing(path):
        part.replace(path)
    discard_part(part)


def _import_advice(entry: MicroNetEntry) -> str:
    return (
        f"without internet, download {entry.url} on another computer and import it here: "
        f"`micro-ktnet models import FILE --encoder {entry.encoder} --variant {entry.variant}`."
    )
