from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from napari_micro_ktnet.errors import InputError, OutputError
from napari_micro_ktnet.files import (
    append_text,
    check_writable,
    is_folder,
    replacing,
    unreadable,
    write_bytes,
)


def test_lines_are_appended(tmp_path: Path) -> None:
    for line in ("a\n", "é\n"):
        append_text(tmp_path / "log", line)
    assert (tmp_path / "log").read_text(encoding="utf-8") == "a\né\n"


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files as Linux does")
def test_a_line_that_does_not_fit_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    import resource
    import signal

    log = tmp_path / "log"
    append_text(log, "whole\n")
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (9, limits[1]))
    try:
        with pytest.raises(OutputError, match=r"disk is full|could not be written"):
            append_text(log, "does not fit\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert log.read_text() == "whole\n"
    append_text(log, "next\n")
    assert log.read_text() == "whole\nnext\n"


def test_a_full_disk_is_said_to_be_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OutputError, match="The disk is full"):
        append_text(tmp_path / "log", "a")


def test_a_disk_that_fills_up_under_numpy_is_said_to_be_full(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="The disk is full"), replacing(tmp_path / "labels.tif"):
        raise OSError("350000 requested and 270000 written")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("file", ""),
        ("none", "No such file"),
        ("file/below", "Not a directory"),
        ("folder", "it is no file"),
        ("a" * 300, "File name too long"),
        ("nul\0", "null"),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="the reasons are those of other systems")
def test_why_a_file_cannot_be_read(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    assert bool(unreadable(tmp_path / name)) == bool(reason)
    assert reason in unreadable(tmp_path / name)
    assert is_folder(tmp_path / name) == (name == "folder")


def test_what_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    (tmp_path / "a").touch()
    for name in ("open", "stat"):
        monkeypatch.setattr(Path, name, locked)
        assert unreadable(tmp_path / "a") == "Permission denied"
    assert not is_folder(tmp_path)


def test_looking_whether_a_folder_can_be_written_leaves_nothing(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "folder")
    check_writable(tmp_path)
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "folder"):
        with pytest.raises(InputError, match="Nothing can be written into"):
            check_writable(folder)


def test_a_file_within_a_file_is_named_by_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(OutputError) as raised, replacing(tmp_path / "taken") as temporary:
        write_bytes(temporary / "no folder", b"x")
    assert str(tmp_path / "taken") in str(raised.value)
    assert ".part" not in str(raised.value)
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]
