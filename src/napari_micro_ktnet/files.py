"""Writing files so that nothing half-written ever has the final name, and asking what can be read."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from napari_micro_ktnet.errors import InputError, OutputError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` that takes its name once it is complete.

    Parameters
    ----------
    path : Path
        Final name; its folder is made if missing, and an existing file is replaced at the end.

    Yields
    ------
    Path
        Where to write. It is removed if anything goes wrong, and `path` is then as it was.

    Raises
    ------
    OutputError
        The folder or the file cannot be written.
    """
    # The name is cut because file systems allow 255 bytes.
    temporary = path.with_name(f".{path.name[:100]}.{uuid4().hex}.part")
    with _explaining(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.touch()
            mode = temporary.stat().st_mode
            yield temporary
            # Some writers make files that only their owner can read, which is no use on a shared disk.
            temporary.chmod(mode)
            temporary.replace(path)
        except OutputError as error:
            # Of a file that was written in the same way under the temporary name, which nobody knows.
            raise OutputError(str(error).replace(str(temporary), str(path))) from error
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def _explaining(path: Path) -> Iterator[None]:
    """Say in words why a file could not be written."""
    try:
        yield
    except OSError as error:
        # NumPy, where a disk fills up within a write, gives numbers instead of a reason.
        full = error.errno in (errno.ENOSPC, errno.EDQUOT) or "requested and" in str(error)
        if full or "No space left" in str(error):
            raise OutputError(
                f"The disk is full: {path} could not be written. Free some space and try again."
            ) from error
        raise OutputError(
            f"{path} could not be written ({error.strerror or error}). "
            "Check that the folder exists and that you may write to it."
        ) from error


def write_bytes(path: Path, content: bytes) -> Path:
    """Write a small file, whole or not at all.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return path


def append_text(path: Path, text: str) -> None:
    """Append to a file, whole or not at all.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    with _explaining(path), path.open("ab", buffering=0) as file:
        size, content = file.seek(0, os.SEEK_END), text.encode()
        try:
            if file.write(content) != len(content):
                # How a disk that fills up within a write says it.
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            file.truncate(size)
            raise


def check_writable(folder: Path) -> None:
    """See whether files can be written into a folder that is there or can be made; it is not made yet.

    Raises
    ------
    InputError
        They cannot. Better known before hours of work than after.
    """
    there = next((p for p in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(p)), None)
    try:
        if there is None:
            raise FileNotFoundError(errno.ENOENT, "no such drive or share")
        # Where folders may be made, files sometimes may not, so that what will be done is what is tried.
        probe = there / f".{uuid4().hex}.part"
        if there == folder.absolute():
            probe.touch(exist_ok=False)
            probe.unlink()
        else:
            probe.mkdir()
            probe.rmdir()
    except OSError as error:
        raise InputError(
            f"Nothing can be written into {folder} ({error.strerror or error}). Choose another output folder."
        ) from error


def unreadable(path: Path) -> str:
    """Say why a file cannot be read; empty if it can."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return "it is no file"
        path.open("rb").close()
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)
    return ""


def is_folder(path: Path) -> bool:
    """Whether a folder is there; not if nobody may look, or no folder can have the name."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def file_sha256(path: Path) -> str:
    """SHA-256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
