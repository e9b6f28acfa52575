"""Fetching weights: progress, cache, and going on where a broken download stopped."""

from __future__ import annotations

import json
import re
import threading
import time
from pathlib import Path

import pytest
from loopback_server import BODY, ENTRY, OTHER_BODY, SIZE, Behaviour, Handler, break_after, files, get

from napari_micro_ktnet.errors import FetchError
from napari_micro_ktnet.files import file_sha256
from napari_micro_ktnet.model import download
from napari_micro_ktnet.model.cache import record_path
from napari_micro_ktnet.model.download import FetchReport, state_path
from napari_micro_ktnet.model.fetch import iter_fetch


def test_fetch_reports_progress_and_records_the_hash(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    url, behaviour = server
    reports: list[FetchReport] = []
    path = get(url, tmp_path, reports)
    assert path.read_bytes() == BODY
    received = [report.received for report in reports]
    assert received == sorted(received)
    assert (received[0], received[-1]) == (0, SIZE)
    assert len(set(received)) == SIZE // 10_000 + 1
    assert {report.total for report in reports} == {SIZE}
    assert behaviour.requests[0][0] == "/" + ENTRY.file_name
    record = json.loads(record_path(path).read_text())
    assert record["sha256"] == file_sha256(path)
    assert record["source"] == f"{url}/{ENTRY.file_name}"
    assert files(tmp_path) == {"", ".json"}


def test_cached_file_needs_no_server(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    url, behaviour = server
    get(url, tmp_path)
    behaviour.requests.clear()
    reports: list[FetchReport] = []
    assert get("http://127.0.0.1:9", tmp_path, reports).read_bytes() == BODY
    assert reports == [FetchReport(SIZE, SIZE)]
    assert behaviour.requests == []


def test_cancelled_fetch_leaves_a_part_and_the_next_continues_it(
    server: tuple[str, Behaviour], tmp_path: Path
) -> None:
    url, behaviour = server
    part = break_after(url, behaviour, tmp_path, 60_000)
    assert part.stat().st_size == 60_000
    assert files(tmp_path) == {".part", ".part.json"}
    reports: list[FetchReport] = []
    path = get(url, tmp_path, reports)
    assert path.read_bytes() == BODY
    assert behaviour.asked_ranges == ["bytes=60000-"]
    assert behaviour.requests[0][1]["If-Range"] == '"one"'
    assert reports[0] == FetchReport(60_000, SIZE)
    assert files(tmp_path) == {"", ".json"}


def test_broken_connections_are_continued_at_once(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    url, behaviour = server
    behaviour.break_at = [50_000, 120_000]
    assert get(url, tmp_path).read_bytes() == BODY
    assert behaviour.asked_ranges == [None, "bytes=50000-", "bytes=120000-"]


def test_server_that_always_breaks_is_given_up_and_the_part_kept(
    server: tuple[str, Behaviour], tmp_path: Path
) -> None:
    url, behaviour = server
    behaviour.break_at = [50_000] + [50_001] * 20
    with pytest.raises(FetchError, match=r"50,0\d\d bytes are kept.*models import FILE --encoder resnet18"):
        get(url, tmp_path)
    assert len(behaviour.requests) == download.RETRIES + 1
    assert files(tmp_path) == {".part", ".part.json"}
    behaviour.break_at = []
    assert get(url, tmp_path).read_bytes() == BODY


def test_server_that_does_not_say_the_size(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    url, behaviour = server
    behaviour.say_length = False
    reports: list[FetchReport] = []
    assert get(url, tmp_path, reports).read_bytes() == BODY
    assert reports[0].total is None


def test_server_that_ignores_ranges_starts_anew(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    url, behaviour = server
    break_after(url, behaviour, tmp_path, 60_000)
    behaviour.ranges = False
    reports: list[FetchReport] = []
    assert get(url, tmp_path, reports).read_bytes() == BODY
    assert behaviour.asked_ranges == ["bytes=60000-"]
    assert reports[0].received == 0


@pytest.mark.parametrize("mixed", [False, True])
def test_another_file_on_the_server_starts_anew(
    server: tuple[str, Behaviour], tmp_path: Path, mixed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, behaviour = server
    break_after(url, behaviour, tmp_path, 60_000)
    behaviour.body, behaviour.etag = OTHER_BODY, '"two"'
    if mixed:
        # A server that ignores If-Range would glue the two files together.
        monkeypatch.setattr(Handler, "_start", _start_without_if_range)
    assert get(url, tmp_path).read_bytes() == OTHER_BODY
    assert behaviour.asked_ranges == (["bytes=60000-", None] if mixed else ["bytes=60000-"])


def _start_without_if_range(handler: Handler) -> int:
    match = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
    return int(match[1]) if match else 0


def test_part_longer_than_the_file_is_dropped(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    url, behaviour = server
    part = break_after(url, behaviour, tmp_path, 60_000)
    part.write_bytes(bytes(SIZE + 5))
    assert get(url, tmp_path).read_bytes() == BODY
    assert behaviour.asked_ranges == [f"bytes={SIZE + 5}-", None]


def test_complete_part_is_taken_without_asking(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    url, behaviour = server
    part = break_after(url, behaviour, tmp_path, SIZE)
    assert part.stat().st_size == SIZE
    assert get(url, tmp_path).read_bytes() == BODY
    assert behaviour.requests == []


@pytest.mark.parametrize(
    ("etag", "last_modified", "continued"),
    [
        (None, "Wed, 21 Oct 2020 07:28:00 GMT", True),
        ('W/"weak"', "Wed, 21 Oct 2020 07:28:00 GMT", True),
        ('W/"weak"', None, False),
        (None, None, False),
    ],
)
def test_only_a_file_that_can_be_told_apart_is_continued(
    server: tuple[str, Behaviour],
    tmp_path: Path,
    etag: str | None,
    last_modified: str | None,
    continued: bool,
) -> None:
    url, behaviour = server
    behaviour.etag, behaviour.last_modified = etag, last_modified
    break_after(url, behaviour, tmp_path, 60_000)
    assert get(url, tmp_path).read_bytes() == BODY
    assert behaviour.asked_ranges == (["bytes=60000-"] if continued else [None])


def test_part_without_a_readable_record_starts_anew(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    url, behaviour = server
    part = break_after(url, behaviour, tmp_path, 60_000)
    state_path(part).write_text("{}")
    assert get(url, tmp_path).read_bytes() == BODY
    assert behaviour.asked_ranges == [None]


def test_proxy_of_the_environment_is_used(
    server: tuple[str, Behaviour], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, behaviour = server
    monkeypatch.setenv("http_proxy", url)
    assert get("http://weights.invalid/folder", tmp_path).read_bytes() == BODY
    assert behaviour.requests[0][0] == f"http://weights.invalid/folder/{ENTRY.file_name}"


def test_fetches_of_one_file_wait_for_each_other(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    url, behaviour = server
    first = iter_fetch("resnet18", "micronet", cache=tmp_path, base_url=url)
    while next(first).received < 60_000:
        pass
    second = iter_fetch("resnet18", "micronet", cache=tmp_path, base_url=url)
    assert next(second) == FetchReport(60_000, None)
    for _ in first:
        pass
    deadline = time.monotonic() + 10
    assert [r for r in second if r.total][-1] == FetchReport(SIZE, SIZE)
    assert time.monotonic() < deadline
    assert len(behaviour.requests) == 1


def test_threads_that_fetch_the_same_file_all_get_it(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    url, behaviour = server
    behaviour.break_at = [90_000]
    results: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: results.append(get(url, tmp_path).read_bytes())) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert results == [BODY] * 4
    assert len(behaviour.requests) == 2
