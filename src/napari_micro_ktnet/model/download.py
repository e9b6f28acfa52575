"""Download one file over HTTP, and go on where a broken download stopped."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import requests
from pydantic import BaseModel, ConfigDict, ValidationError
from urllib3.exceptions import MaxRetryError

from napari_micro_ktnet.errors import FetchError
from napari_micro_ktnet.files import write_bytes
from napari_micro_ktnet.model.cache import writing

if TYPE_CHECKING:
    from collections.abc import Generator
    from io import FileIO
    from pathlib import Path

CHUNK_BYTES = 128 * 1024
CONNECT_TIMEOUT_S = 15.0
READ_TIMEOUT_S = 60.0
RETRIES = 4
RETRY_WAIT_S = 1.0

_BUSY = frozenset({429, 500, 502, 503, 504})


@dataclass(frozen=True)
class FetchReport:
    """How far a download is.

    Attributes
    ----------
    received : int
        Bytes that are on disk, those of an earlier, broken download included.
    total : int or None
        Size of the whole file in bytes; None where the server does not say.
    """

    received: int
    total: int | None


class PartState(BaseModel):
    """What lies beside a partial file, so that it is only continued if the source is unchanged."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    url: str
    etag: str | None = None
    last_modified: str | None = None
    total: int | None = None

    @property
    def validator(self) -> str | None:
        """Value for ``If-Range``; a weak ETag is not allowed there (RFC 9110, section 13.1.5)."""
        if self.etag and not self.etag.startswith("W/"):
            return self.etag
        return self.last_modified

    def same_source(self, other: PartState) -> bool:
        """Whether `other` describes the same bytes, as far as can be told."""
        return self.url == other.url and self.validator is not None and self.validator == other.validator


class _DroppedError(Exception):
    """The connection broke; what was received is on disk."""


class _UnreachableError(_DroppedError):
    """There was no connection at all."""


def state_path(part: Path) -> Path:
    """Path of the small file beside the partial file `part`."""
    return part.with_name(part.name + ".json")


def iter_download(url: str, part: Path, *, advice: str) -> Generator[FetchReport, None, None]:
    """Download `url` into `part`, yielding after every chunk.

    A generator that is closed leaves `part` behind, and the next call continues it if the server
    still has the same file. Proxies and certificates come from the environment
    (``HTTPS_PROXY``, ``NO_PROXY``, ``REQUESTS_CA_BUNDLE``); TLS is always verified.

    Parameters
    ----------
    url : str
        ``https://`` or ``http://``.
    part : Path
        Partial file; complete when the generator ends.
    advice : str
        Last sentence of every error message: what else the user can do.

    Yields
    ------
    FetchReport

    Raises
    ------
    FetchError
        The server cannot be reached, refuses, or sends something else.
    OutputError
        The partial file cannot be written.
    """
    with requests.Session() as session:
        session.headers.update({"User-Agent": "napari-micro-ktnet", "Accept-Encoding": "identity"})
        for attempt in range(RETRIES + 1):
            try:
                yield from _attempt(session, url, part, advice)
            except _DroppedError as error:
                # Without any connection at first, waiting does not help: the lab may be offline.
                if attempt == RETRIES or (attempt == 0 and isinstance(error, _UnreachableError)):
                    raise FetchError(_broken(url, part, error, advice)) from error
            except requests.RequestException as error:
                raise FetchError(f"{url} could not be fetched: {_reason(error)}. {advice}") from error
            else:
                return
            time.sleep(RETRY_WAIT_S * 2**attempt)


def _broken(url: str, part: Path, error: Exception, advice: str) -> str:
    kept = f" {_size(part):,} bytes are kept and the next try continues there." if _size(part) else ""
    return f"{url} could not be fetched: {error}.{kept} {advice}"


def _attempt(
    session: requests.Session, url: str, part: Path, advice: str
) -> Generator[FetchReport, None, None]:
    old = _read_state(part)
    offset = _size(part) if old is not None and old.url == url and old.validator else 0
    if old is not None and offset and offset == old.total:
        yield FetchReport(offset, offset)
        return
    headers = {}
    if old is not None and old.validator and offset:
        headers = {"Range": f"bytes={offset}-", "If-Range": old.validator}
    with _get(session, url, headers) as response:
        if response.status_code == 416:
            discard_part(part)
            raise _DroppedError("the server has no more bytes than the partial file, which was dropped")
        _check_response(response, url, advice)
        new = _state_of(response, url)
        if response.status_code == 206 and not _continues(response, offset, old, new):
            discard_part(part)
            raise _DroppedError("the file on the server is another one now")
        offset = offset if response.status_code == 206 else 0
        _write_state(part, new)
        yield FetchReport(offset, new.total)
        yield from _receive(response, part, offset, new.total)


def _get(session: requests.Session, url: str, headers: dict[str, str]) -> requests.Response:
    try:
        return session.get(url, headers=headers, stream=True, timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S))
    except (requests.exceptions.SSLError, requests.exceptions.ProxyError):
        raise
    except (requests.ConnectionError, requests.Timeout) as error:
        never = bool(error.args) and isinstance(error.args[0], MaxRetryError)
        raise (_UnreachableError if never else _DroppedError)(_reason(error)) from error


def _check_response(response: requests.Response, url: str, advice: str) -> None:
    status = response.status_code
    if status in _BUSY:
        raise _DroppedError(f"the server is busy (HTTP {status})")
    if status not in (200, 206):
        raise FetchError(
            f"{url} could not be fetched: the server answered HTTP {status} {response.reason}. {advice}"
        )
    if url.startswith("https:") and not response.url.startswith("https:"):
        raise FetchError(f"{url} leads to {response.url}, which is not encrypted: refused. {advice}")
    if "html" in response.headers.get("Content-Type", ""):
        raise FetchError(
            f"{url} answered with a web page, not a file: a proxy may want you to log in. {advice}"
        )
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise FetchError(f"{url} was re-encoded on its way, so its size and hash cannot be checked. {advice}")


def _state_of(response: requests.Response, url: str) -> PartState:
    length = response.headers.get("Content-Length")
    total = int(length) if length and length.isdigit() else None
    if response.status_code == 206:
        match = re.fullmatch(r"bytes \d+-\d+/(\d+)", response.headers.get("Content-Range", ""))
        total = int(match[1]) if match else None
    return PartState(
        url=url,
        etag=response.headers.get("ETag"),
        last_modified=response.headers.get("Last-Modified"),
        total=total,
    )


def _continues(response: requests.Response, offset: int, old: PartState | None, new: PartState) -> bool:
    """Whether a 206 answer starts at `offset` of the very file that `old` describes."""
    starts = response.headers.get("Content-Range", "").startswith(f"bytes {offset}-")
    return starts and old is not None and old.same_source(new) and old.total in (None, new.total)


def _receive(
    response: requests.Response, part: Path, offset: int, total: int | None
) -> Generator[FetchReport, None, None]:
    received = offset
    chunks = response.iter_content(CHUNK_BYTES)
    with writing(part):
        file = part.open("ab" if offset else "wb", buffering=0)
    with file:
        while True:
            try:
                chunk = next(chunks, b"")
            except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
                raise _DroppedError(f"the connection broke after {received:,} bytes") from error
            if not chunk:
                break
            with writing(part):
                _write_all(file, chunk)
            received += len(chunk)
            yield FetchReport(received, total)
    if total is not None and received != total:
        if received > total:
            discard_part(part)
        raise _DroppedError(f"{received:,} of {total:,} bytes arrived")


def _write_all(file: FileIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def discard_part(part: Path) -> None:
    """Remove a partial file and what lies beside it."""
    with writing(part):
        part.unlink(missing_ok=True)
        state_path(part).unlink(missing_ok=True)


def _size(part: Path) -> int:
    try:
        return part.stat().st_size
    except FileNotFoundError:
        return 0


def _read_state(part: Path) -> PartState | None:
    try:
        return PartState.model_validate_json(state_path(part).read_text(encoding="utf-8"))
    except (FileNotFoundError, UnicodeDecodeError, ValidationError):
        # Without a trustworthy record of the source the download starts anew.
        return None


def _write_state(part: Path, state: PartState) -> None:
    write_bytes(state_path(part), state.model_dump_json(indent=1).encode())


def _reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy of the environment (HTTPS_PROXY, HTTP_PROXY) cannot be reached or refuses"
    if isinstance(error, requests.exceptions.SSLError):
        return (
            "the server's certificate could not be verified "
            "(behind a company proxy, set REQUESTS_CA_BUNDLE to its certificate)"
        )
    if isinstance(error, requests.Timeout):
        return "the server did not answer in time"
    if isinstance(error, requests.ConnectionError):
        return "no connection to the server"
    return f"{type(error).__name__}: {error}"
