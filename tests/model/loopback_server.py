"""A web server on the loopback address that breaks downloads in the ways real ones do."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_micro_ktnet.model.fetch import fetch, iter_fetch, micronet_path
from napari_micro_ktnet.model.micronet import find_micronet

if TYPE_CHECKING:
    from pathlib import Path

    from napari_micro_ktnet.model.download import FetchReport

SIZE = 200_000
BODY = b"PK\x03\x04" + np.random.default_rng(4).bytes(SIZE - 4)
OTHER_BODY = b"PK\x03\x04" + np.random.default_rng(5).bytes(SIZE - 4)
ENTRY = find_micronet("resnet18", "micronet")


@dataclass
class Behaviour:
    """What the server does, and what it was asked."""

    body: bytes = BODY
    etag: str | None = '"one"'
    last_modified: str | None = "Wed, 21 Oct 2020 07:28:00 GMT"
    break_at: list[int] = field(default_factory=list)
    status: list[int] = field(default_factory=list)
    ranges: bool = True
    say_length: bool = True
    content_type: str = "application/x-tar"
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    @property
    def asked_ranges(self) -> list[str | None]:
        return [headers.get("Range") for _, headers in self.requests]


class Handler(BaseHTTPRequestHandler):
    """Serves one body; ranges, breaks and errors as the test wants."""

    behaviour: Behaviour

    def do_GET(self) -> None:
        want = self.behaviour
        want.requests.append((self.path, dict(self.headers.items())))
        if want.status and (status := want.status.pop(0)) != 200:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = self._start()
        if start >= len(want.body):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(want.body)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self._head(start)
        stop = want.break_at.pop(0) if want.break_at else len(want.body)
        self.wfile.write(want.body[start:stop])
        self.close_connection = True

    def _start(self) -> int:
        want = self.behaviour
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        same = self.headers.get("If-Range") in (want.etag, want.last_modified)
        return int(match[1]) if match and same and want.ranges else 0

    def _head(self, start: int) -> None:
        want = self.behaviour
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(want.body) - 1}/{len(want.body)}")
        if want.say_length:
            self.send_header("Content-Length", str(len(want.body) - start))
        self.send_header("Content-Type", want.content_type)
        for name, value in (("ETag", want.etag), ("Last-Modified", want.last_modified)):
            if value:
                self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Keep the test's output clean."""


def get(url: str, cache: Path, reports: list[FetchReport] | None = None) -> Path:
    return fetch(
        "resnet18",
        "micronet",
        cache=cache,
        base_url=url,
        on_progress=reports.append if reports is not None else None,
    )


def files(cache: Path) -> set[str]:
    """Names in the cache, as what follows the published name."""
    names = {path.name.removeprefix(ENTRY.file_name) for path in (cache / "micronet").iterdir()}
    return names - {".lock"}


def break_after(url: str, behaviour: Behaviour, cache: Path, received: int) -> Path:
    """Cancel a download once `received` bytes are there; the partial file."""
    reports = iter_fetch("resnet18", "micronet", cache=cache, base_url=url)
    while next(reports).received < received:
        pass
    reports.close()
    behaviour.requests.clear()
    place = micronet_path(ENTRY, cache)
    return place.with_name(place.name + ".part")
