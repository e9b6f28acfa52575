"""Fixtures of the tests that fetch weights."""

from __future__ import annotations

import threading
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from loopback_server import Behaviour, Handler

from napari_micro_ktnet.model import download

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def quick_download(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small chunks, no waiting, and no proxy of the machine that runs the tests."""
    monkeypatch.setattr(download, "CHUNK_BYTES", 10_000)
    monkeypatch.setattr(download, "RETRY_WAIT_S", 0.001)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def server(quick_download: None) -> Iterator[tuple[str, Behaviour]]:
    behaviour = Behaviour()
    handler = type("TestHandler", (Handler,), {"behaviour": behaviour})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}", behaviour
        http.shutdown()
        thread.join(timeout=10)
