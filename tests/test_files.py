from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from napari_micro_ktnet.errors import InputError, OutputError
from napari_micro_ktnet.files import append_text, check_writable, replacing, write_bytes


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
