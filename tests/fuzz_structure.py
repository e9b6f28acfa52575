"""Damage to the bytes of an image file, and to the directories of a TIFF."""

from __future__ import annotations

import struct
import zlib

import numpy as np

from fuzz_samples import Sample
from fuzz_tiff import Directory, Entry, Tiff

Files = dict[str, bytes | None]
"""Name -> bytes; the first is the image, None stands for a folder of that name."""


def with_files(sample: Sample, data: bytes, **beside: bytes | None) -> Files:
    return {sample.name: data, **sample.beside, **beside}


def truncated(rng: np.random.Generator, sample: Sample) -> Files:
    longest = 512 if rng.random() < 0.3 else len(sample.data)
    return with_files(sample, sample.data[: rng.integers(longest)])


def flip(rng: np.random.Generator, data: bytes, start: int, stop: int) -> bytes:
    """Replace some bytes within a range, or one bit of them."""
    changed = np.frombuffer(data, np.uint8).copy()
    start, stop = max(0, start), min(stop, len(data))
    if stop <= start:
        return data
    where = rng.integers(start, stop, rng.choice([1, 2, 4, 16]))
    if rng.random() < 0.5:
        changed[where] = rng.choice([0, 1, 127, 128, 255, *range(256)], len(where))
    else:
        changed[where] ^= np.uint8(1) << rng.integers(0, 8, len(where)).astype(np.uint8)
    return changed.tobytes()


def flipped_header(rng: np.random.Generator, sample: Sample) -> Files:
    return with_files(sample, flip(rng, sample.data, 0, 16 if sample.is_tiff else 64))


def flipped_directory(rng: np.random.Generator, sample: Sample) -> Files | None:
    if not (directories := directories_of(sample)):
        return None
    directory = directories[rng.integers(len(directories))]
    return with_files(sample, flip(rng, sample.data, directory.start, directory.next_at + 8))


def flipped_tag(rng: np.random.Generator, sample: Sample) -> Files | None:
    entries = [
        entry for directory in directories_of(sample) for entry in directory.entries if entry.length > 8
    ]
    if not entries:
        return None
    entry = entries[rng.integers(len(entries))]
    return with_files(sample, flip(rng, sample.data, entry.value, entry.value + entry.length))


def flipped_pixels(rng: np.random.Generator, sample: Sample) -> Files | None:
    starts = [
        entry
        for directory in directories_of(sample)
        for entry in directory.entries
        if entry.code in (273, 324)
    ]
    if not starts:
        return with_files(sample, flip(rng, sample.data, 64, len(sample.data)))
    tiff, entry = Tiff(sample.data), starts[rng.integers(len(starts))]
    form = {3: "H", 4: "I", 13: "I", 16: "Q"}[entry.kind]
    (start,) = struct.unpack_from(tiff.order + form, sample.data, entry.value)
    return with_files(sample, flip(rng, sample.data, start, start + 4096))


def flipped_anywhere(rng: np.random.Generator, sample: Sample) -> Files:
    return with_files(sample, flip(rng, sample.data, 0, len(sample.data)))


def shifted(rng: np.random.Generator, sample: Sample) -> Files:
    at = int(rng.integers(2048 if rng.random() < 0.5 else len(sample.data)))
    length = int(rng.choice([1, 2, 3, 12, 1000]))
    rest = sample.data[at + length :] if rng.random() < 0.5 else rng.bytes(length) + sample.data[at:]
    return with_files(sample, sample.data[:at] + rest)


def directories_of(sample: Sample) -> list[Directory]:
    return Tiff(sample.data).directories if sample.is_tiff else []


def _entries_of(sample: Sample) -> list[Entry]:
    return [entry for directory in directories_of(sample) for entry in directory.entries]


_STRUCTURE = (
    254,
    256,
    257,
    258,
    259,
    262,
    273,
    277,
    278,
    279,
    284,
    317,
    320,
    322,
    323,
    324,
    325,
    330,
    338,
    339,
)


def absurd_value(rng: np.random.Generator, sample: Sample) -> Files | None:
    """Give a tag that says how the pixels lie another value, count or type; or an IHDR another size."""
    value = int(rng.choice([0, 1, 2, 3, 7, 64, 255, 65535, 10**5, 10**6, 2**31 - 1, 2**31, 2**32 - 1]))
    if not sample.is_tiff:
        at = {"png": 16, "bmp": 18}.get(sample.name[-3:])
        if at is None:
            return None
        form = ">I" if sample.name.endswith("png") else "<I"
        data = bytearray(sample.data)
        struct.pack_into(form, data, at + 4 * int(rng.integers(2)), value)
        if form == ">I":
            struct.pack_into(form, data, 29, zlib.crc32(data[12:29]))
        return with_files(sample, bytes(data))
    tiff = Tiff(sample.data)
    data = bytearray(sample.data)
    for _ in range(int(rng.choice([1, 1, 2, 3]))):
        directory = tiff.directories[rng.integers(len(tiff.directories))]
        entries = [entry for entry in directory.entries if entry.code in _STRUCTURE or rng.random() < 0.2]
        entry = entries[rng.integers(len(entries))]
        where = rng.random()
        if where < 0.6:
            # The value as LONG, whatever it was.
            data[entry.start + 2 : entry.start + 4] = tiff.pack("H", 4)
            width = 8 if tiff.big else 4
            data[entry.start + 4 : entry.start + 4 + width] = tiff.pack(tiff.offset, 1)
            data[entry.start + 4 + width : entry.start + 8 + width] = tiff.pack("I", value)
        elif where < 0.9:
            width = 8 if tiff.big else 4
            data[entry.start + 4 : entry.start + 4 + width] = tiff.pack(tiff.offset, value)
        else:
            data[entry.start + 2 : entry.start + 4] = tiff.pack("H", int(rng.integers(0, 20)))
    return with_files(sample, bytes(data))


def cyclic(rng: np.random.Generator, sample: Sample) -> Files | None:
    """Point the next directory, or sub-directories, back to a directory or into itself."""
    if not sample.is_tiff:
        return None
    tiff = Tiff(sample.data)
    directory = tiff.directories[rng.integers(len(tiff.directories))]
    targets = [entry.start for entry in tiff.directories] + [
        directory.next_at,
        directory.start + 1,
        tiff.header,
    ]
    target = int(rng.choice(targets))
    if rng.random() < 0.5:
        data = bytearray(sample.data)
        width = 8 if tiff.big else 4
        data[directory.next_at : directory.next_at + width] = tiff.pack(tiff.offset, target)
        return with_files(sample, bytes(data))
    kind, form = (16, "Q") if tiff.big else (4, "I")
    offsets = [target] * int(rng.choice([1, 3, 1000]))
    data = tiff.with_tag(330, tiff.pack(form * len(offsets), *offsets), kind)
    if rng.random() < 0.5:
        # The new directory is its own child, too.
        start = Tiff(data).directories[0].start
        data = tiff.with_tag(330, tiff.pack(form * len(offsets), *[start] * len(offsets)), kind)
    return with_files(sample, data)


def countless(rng: np.random.Generator, sample: Sample) -> Files | None:
    """Many directories, or tags, of a few bytes each that share their large values."""
    if not sample.is_tiff or Tiff(sample.data).big:
        return None
    tiff = Tiff(sample.data)
    block = 2**21 - 1
    data = sample.data + bytes(len(sample.data) % 2) + bytes(block + 1)
    tags = int(rng.choice([1, 20, 2000]))
    shared = [tiff.pack("HHII", 40000 + i, 7, block, len(data) - block - 1) for i in range(tags)]
    first = tiff.directories[0]
    own = [sample.data[entry.start : entry.start + 12] for entry in first.entries]
    entries = sorted(own + shared, key=lambda entry: struct.unpack(tiff.order + "H", entry[:2]))
    size = 2 + 12 * len(entries) + 4
    count = int(rng.choice([1, 100, 3000])) if tags < 2000 else 1
    start = len(data)
    tables = [
        tiff.pack("H", len(entries))
        + b"".join(entries)
        + tiff.pack("I", start + (i + 1) * size if i + 1 < count else 0)
        for i in range(min(count, 2**25 // size))
    ]
    return with_files(sample, tiff.data[:4] + tiff.pack("I", start) + data[8:] + b"".join(tables))
