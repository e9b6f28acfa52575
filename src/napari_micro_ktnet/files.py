"""Writing files so that nothing half-written ever has the final name."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from uuid import uuid4

from napari_micro_ktnet.errors import OutputError


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
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.touch()
            mode = temporary.stat().st_mode
            yield temporary
            # Some writers make files that only their owner can read, which is no use on a shared disk.
            temporary.chmod(mode)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error):
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


def check_writable(folder: Path) -> None:
    """Make a folder if it is missing, and see whether files can be written there.

    Raises
    ------
    OutputError
        They cannot. Better known before hours of work than after.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(
            f"Nothing can be written into {folder} ({error.strerror or error}). Choose another output folder."
        ) from error


def file_sha256(path: Path) -> str:
    """SHA-256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
