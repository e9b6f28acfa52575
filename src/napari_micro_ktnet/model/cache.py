"""A folder of weights: where it is, and a record beside each file of what the file was at first use."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import platformdirs
from filelock import FileLock
from pydantic import BaseModel, ConfigDict, ValidationError

from napari_micro_ktnet.errors import FetchError, OutputError
from napari_micro_ktnet.files import file_sha256, replacing, write_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

CACHE_VARIABLE = "MICRO_KTNET_CACHE"
_LOCK_TIMEOUT_S = 30.0


class WeightsRecord(BaseModel):
    """What is noted beside a file of weights when it is first used.

    Attributes
    ----------
    file_name : str
        Name of the file.
    sha256 : str
        64 hexadecimal digits.
    size : int
        Bytes.
    source : str
        URL or path that it came from.
    recorded : datetime
        When, in UTC.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    file_name: str
    sha256: str
    size: int
    source: str
    recorded: datetime


def cache_folder(folder: str | Path | None = None) -> Path:
    """Folder that holds fetched weights; it may not exist yet.

    Parameters
    ----------
    folder : str or Path, optional
        A setting of the user. Without it the environment variable ``MICRO_KTNET_CACHE`` is
        taken, else the platform's cache folder.

    Returns
    -------
    Path
    """
    chosen = folder or os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    return Path(platformdirs.user_cache_dir("napari-micro-ktnet", appauthor=False))


def file_lock(path: Path) -> FileLock:
    """Lock of a file in the cache, against other threads and processes."""
    # Not bound to a thread: a generator may be closed in another one than it ran in.
    return FileLock(path.with_name(path.name + ".lock"), thread_local=False)


def verify_file(path: Path, *, source: str) -> WeightsRecord:
    """Check a file against its record, or record it if this is its first use.

    Parameters
    ----------
    path : Path
        File of weights.
    source : str
        URL or path it came from, for the record.

    Returns
    -------
    WeightsRecord

    Raises
    ------
    FetchError
        The file is not the one that was recorded.
    OutputError
        The record cannot be written.
    """
    record = read_record(path)
    digest = file_sha256(path)
    if record is None:
        return write_record(path, digest, source)
    if digest != record.sha256:
        raise FetchError(
            f"{path} is not the file that was recorded on {record.recorded:%Y-%m-%d}: its SHA-256 is "
            f"{digest}, recorded is {record.sha256}. It was damaged or replaced: delete it, then fetch or "
            "import it again."
        )
    return record


def store_file(source: Path, path: Path) -> WeightsRecord:
    """Copy a file into the cache, whole or not at all, and record its hash anew.

    Raises
    ------
    OutputError
        It could not be written.
    """
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    with file_lock(path).acquire(timeout=_LOCK_TIMEOUT_S):
        with replacing(path) as temporary:
            shutil.copyfile(source, temporary)
            digest = file_sha256(temporary)
            record_path(path).unlink(missing_ok=True)
        return write_record(path, digest, str(source))


def record_path(path: Path) -> Path:
    """Path of the record beside a file of weights."""
    return path.with_name(path.name + ".json")


def read_record(path: Path) -> WeightsRecord | None:
    """Read the record of a file of weights; None if there is none yet.

    Raises
    ------
    FetchError
        The record is damaged.
    """
    place = record_path(path)
    try:
        return WeightsRecord.model_validate_json(place.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise FetchError(
            f"{place} is not a record of weights that can be read, so {path.name} cannot be checked. "
            "Delete both and fetch again."
        ) from error


def write_record(path: Path, sha256: str, source: str) -> WeightsRecord:
    """Note what a file is, beside it."""
    record = WeightsRecord(
        file_name=path.name,
        sha256=sha256,
        size=path.stat().st_size,
        source=source,
        recorded=datetime.now(UTC).replace(microsecond=0),
    )
    write_bytes(record_path(path), record.model_dump_json(indent=1).encode())
    return record


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a failure to write `path` into an `OutputError` that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OutputError(
                f"The disk is full: {path} could not be written. Free some space, or choose another "
                "cache folder (environment variable MICRO_KTNET_CACHE), and try again."
            ) from error
        raise OutputError(
            f"{path} could not be written: {error.strerror or error}. Choose a cache folder that you may "
            "write to (environment variable MICRO_KTNET_CACHE)."
        ) from error
