"""Fetching weights: what goes wrong is said, and nothing half-done is left."""

from __future__ import annotations

import socket
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import requests
from loopback_server import BODY, ENTRY, OTHER_BODY, Behaviour, files, get

from napari_micro_ktnet.errors import FetchError, OutputError, WeightsError
from napari_micro_ktnet.model import download
from napari_micro_ktnet.model.cache import record_path
from napari_micro_ktnet.model.fetch import fetch


def test_busy_server_is_asked_again(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    url, behaviour = server
    behaviour.status = [503, 200]
    assert get(url, tmp_path).read_bytes() == BODY
    assert len(behaviour.requests) == 2


@pytest.mark.parametrize(("status", "requests"), [(404, 1), (403, 1), (500, download.RETRIES + 1)])
def test_http_errors_name_address_and_way_out(
    server: tuple[str, Behaviour], tmp_path: Path, status: int, requests: int
) -> None:
    url, behaviour = server
    behaviour.status = [status] * 10
    with pytest.raises(FetchError, match=rf"HTTP {status}.*without internet.*models import FILE") as caught:
        get(url, tmp_path)
    assert f"{url}/{ENTRY.file_name}" in str(caught.value)
    assert len(behaviour.requests) == requests
    assert files(tmp_path) == set()


@pytest.mark.parametrize(
    ("content_type", "body", "words"),
    [
        ("text/html; charset=utf-8", b"<html>log in</html>", "web page"),
        ("text/plain", b"hello", "no file of weights"),
    ],
)
def test_something_else_than_weights_is_not_kept(
    server: tuple[str, Behaviour], tmp_path: Path, content_type: str, body: bytes, words: str
) -> None:
    url, behaviour = server
    behaviour.content_type, behaviour.body = content_type, body
    with pytest.raises(FetchError, match=words):
        get(url, tmp_path)
    assert files(tmp_path) == set()


def test_changed_file_in_the_cache_is_noticed(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    url, _ = server
    path = get(url, tmp_path)
    path.write_bytes(OTHER_BODY)
    with pytest.raises(FetchError, match=r"not the file that was recorded.*delete it"):
        get(url, tmp_path)
    path.unlink()
    assert get(url, tmp_path).read_bytes() == BODY


def test_file_that_changed_on_the_server_since_first_use_is_refused(
    server: tuple[str, Behaviour], tmp_path: Path
) -> None:
    url, behaviour = server
    path = get(url, tmp_path)
    path.unlink()
    behaviour.body, behaviour.etag = OTHER_BODY, '"two"'
    with pytest.raises(
        FetchError, match=rf"{sha256(OTHER_BODY).hexdigest()}.*recorded is {sha256(BODY).hexdigest()}"
    ):
        get(url, tmp_path)
    assert files(tmp_path) == {".json"}
    record_path(path).unlink()
    assert get(url, tmp_path).read_bytes() == OTHER_BODY


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_dead_proxy_is_named(quick_download: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port()}")
    with pytest.raises(FetchError, match="proxy"):
        get("http://weights.invalid", tmp_path)


def test_no_connection_fails_at_once(
    quick_download: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "RETRY_WAIT_S", 60.0)
    with pytest.raises(FetchError, match=r"no connection.*models import FILE"):
        get(f"http://127.0.0.1:{closed_port()}", tmp_path)


def test_certificate_is_always_verified(
    server: tuple[str, Behaviour], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, behaviour = server
    verified: list[object] = []
    send = requests.Session.send

    def spy(self: requests.Session, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        verified.append(options["verify"])
        return send(self, request, **options)

    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    monkeypatch.setattr(requests.Session, "send", spy)
    # The server speaks plain HTTP: it has no certificate, so nothing may be fetched.
    with pytest.raises(FetchError, match="certificate"):
        get(url.replace("http:", "https:"), tmp_path)
    assert verified == [True]
    assert behaviour.requests == []


def test_full_disk_says_so_and_keeps_what_was_received(
    server: tuple[str, Behaviour], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, behaviour = server
    real = download._write_all

    def full(file: Any, data: bytes) -> None:
        if file.tell() >= 50_000:
            raise OSError(28, "No space left on device")
        real(file, data)

    monkeypatch.setattr(download, "_write_all", full)
    with pytest.raises(OutputError, match=r"disk is full.*MICRO_KTNET_CACHE"):
        get(url, tmp_path)
    assert files(tmp_path) == {".part", ".part.json"}
    monkeypatch.setattr(download, "_write_all", real)
    assert get(url, tmp_path).read_bytes() == BODY
    assert behaviour.asked_ranges == [None, "bytes=50000-"]


def test_cache_folder_that_cannot_be_made(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="could not be written"):
        get(server[0], tmp_path / "file")


def test_unknown_encoder_does_not_touch_the_cache(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="resnet18"):
        fetch("resnet1", "micronet", cache=tmp_path / "new")
    assert not (tmp_path / "new").exists()
