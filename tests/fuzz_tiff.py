"""Where the parts of a TIFF lie, and how to change them: made of struct only, so that it can lie."""

from __future__ import annotations

import struct
from dataclasses import dataclass

_SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
_MOST_DIRECTORIES = 50


@dataclass(frozen=True)
class Entry:
    """One tag of a directory: where its twelve (twenty) bytes and its value lie."""

    start: int
    code: int
    kind: int
    count: int
    value: int
    length: int


@dataclass(frozen=True)
class Directory:
    """One directory: where it starts, its tags, and where the offset of the next one lies."""

    start: int
    entries: tuple[Entry, ...]
    next_at: int


class Tiff:
    """Layout of a TIFF file.

    Parameters
    ----------
    data : bytes
        A file in order.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.order = "<" if data[:2] == b"II" else ">"
        self.big = self._get("H", 2) == 43
        self.offset, self.number = ("Q", "Q") if self.big else ("I", "H")
        self.first_at = 8 if self.big else 4
        self.directories = self._read_directories()

    @property
    def header(self) -> int:
        """Bytes of the header."""
        return 16 if self.big else 8

    def _get(self, form: str, at: int) -> int:
        return int(struct.unpack_from(self.order + form, self.data, at)[0])

    def pack(self, form: str, *values: int) -> bytes:
        """Bytes in this file's order."""
        return struct.pack(self.order + form, *values)

    def _read_directories(self) -> list[Directory]:
        found: list[Directory] = []
        start = self._get(self.offset, self.first_at)
        while start and len(found) < _MOST_DIRECTORIES:
            width, head = (20, 8) if self.big else (12, 2)
            count = self._get(self.number, start)
            entries = tuple(self._read_entry(start + head + i * width) for i in range(count))
            next_at = start + head + count * width
            found.append(Directory(start, entries, next_at))
            start = self._get(self.offset, next_at)
        return found

    def _read_entry(self, at: int) -> Entry:
        code, kind = self._get("H", at), self._get("H", at + 2)
        count = self._get(self.offset, at + 4)
        value_at = at + (12 if self.big else 8)
        length = count * _SIZES.get(kind, 1)
        value = value_at if length <= (8 if self.big else 4) else self._get(self.offset, value_at)
        return Entry(at, code, kind, count, value, length)

    def value(self, entry: Entry) -> bytes:
        """Bytes of a tag."""
        return self.data[entry.value : entry.value + entry.length]

    def with_tag(self, code: int, value: bytes, kind: int = 7) -> bytes:
        """Return the file with a tag put into its first directory, which moves to the end."""
        first = self.directories[0]
        width = 20 if self.big else 12
        entries = {entry.code: self.data[entry.start : entry.start + width] for entry in first.entries}
        padded = self.data + bytes(len(self.data) % 2)
        inline = 8 if self.big else 4
        stored = value.ljust(inline, b"\0") if len(value) <= inline else self.pack(self.offset, len(padded))
        entries[code] = self.pack("HH" + self.offset, code, kind, len(value) // _SIZES[kind]) + stored
        if len(value) > inline:
            padded += value + bytes(len(value) % 2)
        follow = self.data[first.next_at : first.next_at + (8 if self.big else 4)]
        table = (
            self.pack(self.number, len(entries))
            + b"".join(entries[code] for code in sorted(entries))
            + follow
        )
        head = padded[: self.first_at] + self.pack(self.offset, len(padded))
        return head + padded[len(head) :] + table
