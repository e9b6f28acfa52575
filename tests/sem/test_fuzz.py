"""A few hundred damaged and hostile files; ``benchmarks/fuzz.py`` reads many more."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import tifffile

from fuzz_samples import Sample, real_samples, synthetic_samples
from fuzz_tiff import Tiff
from fuzz_worker import Worker, worker
from fuzzing import KINDS, make_case
from napari_micro_ktnet.errors import ReadError
from napari_micro_ktnet.sem import read_sem_pages
from napari_micro_ktnet.sem.vendors import _convert as to
from napari_micro_ktnet.sem.vendors._ini import parse_ini
from napari_micro_ktnet.sem.vendors._xml import LARGEST_XML, flatten, parse_xml

SEED = 20


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return synthetic_samples()


@pytest.fixture(scope="module")
def reader() -> Iterator[Worker]:
    with worker() as one:
        yield one


def test_samples_are_in_order(samples: list[Sample], tmp_path: Path) -> None:
    for sample in samples:
        folder = tmp_path / sample.name
        folder.mkdir()
        for name, data in {sample.name: sample.data, **sample.beside}.items():
            (folder / name).write_bytes(data)
        images = read_sem_pages(folder / sample.name)
        assert images[0].height == 96, sample.name
        assert images[0].width == 128, sample.name


def test_cases_follow_from_the_seed(samples: list[Sample]) -> None:
    for index in range(30):
        assert make_case(samples, SEED, index) == make_case(samples, SEED, index)


@pytest.mark.parametrize("kind", KINDS)
def test_only_own_errors(samples: list[Sample], reader: Worker, kind: str) -> None:
    cases = 40 if KINDS[kind][1] > 2 else 8
    for index in range(cases):
        case = make_case(samples, SEED, index, [kind])
        outcome = reader.run(case)
        assert outcome.fine, f"case {index} ({kind}, {case.origin}): {outcome.result}\n{outcome.detail}"


def test_only_own_errors_on_real_files(shared_data: Path, reader: Worker) -> None:
    samples = real_samples(shared_data / "sem_files", largest=2**21)
    for index in range(100):
        case = make_case(samples, SEED, index)
        outcome = reader.run(case)
        assert outcome.fine, f"case {index} ({case.kind}, {case.origin}): {outcome.result}\n{outcome.detail}"


def test_pages_that_share_their_pixels(tmp_path: Path) -> None:
    stream = BytesIO()
    tifffile.imwrite(stream, np.zeros((96, 128), np.uint8), metadata=None)
    data = bytearray(stream.getvalue())
    first = Tiff(bytes(data)).directories[0]
    table = data[first.start : first.next_at]
    copies = 1000
    data[first.next_at : first.next_at + 4] = struct.pack("<I", len(data))
    for i in range(copies):
        follow = len(data) + len(table) + 4 if i + 1 < copies else 0
        data += table + struct.pack("<I", follow)
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(ReadError, match="1001 pages list"):
        read_sem_pages(tmp_path / "a.tif")


@pytest.mark.parametrize("compression", [255, 34661])
def test_unknown_compression(tmp_path: Path, compression: int) -> None:
    stream = BytesIO()
    tifffile.imwrite(stream, np.zeros((96, 128), np.uint8), metadata=None)
    data = bytearray(stream.getvalue())
    entry = next(e for e in Tiff(bytes(data)).directories[0].entries if e.code == 259)
    data[entry.value : entry.value + 2] = struct.pack("<H", compression)
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(ReadError, match=f"number {compression}"):
        read_sem_pages(tmp_path / "a.tif")


def test_colours_that_are_not_all_there(tmp_path: Path) -> None:
    stream = BytesIO()
    tifffile.imwrite(stream, np.zeros((96, 128, 3), np.uint8), photometric="rgb", metadata=None)
    data = bytearray(stream.getvalue())
    entries = {e.code: e for e in Tiff(bytes(data)).directories[0].entries}
    # An invalid arrangement of the samples, which are of 7 bits: one block for three planes.
    data[entries[284].value : entries[284].value + 2] = struct.pack("<H", 7)
    data[entries[258].value : entries[258].value + 6] = struct.pack("<3H", 7, 7, 7)
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(ReadError, match="1 of the 3 blocks"):
        read_sem_pages(tmp_path / "a.tif")


def test_tile_far_larger_than_the_image(tmp_path: Path) -> None:
    stream = BytesIO()
    tifffile.imwrite(stream, np.zeros((96, 128), np.uint8), tile=(32, 32), compression="zlib", metadata=None)
    data = bytearray(stream.getvalue())
    entries = {e.code: e for e in Tiff(bytes(data)).directories[0].entries}
    for code in (322, 323):
        data[entries[code].start + 2 : entries[code].start + 12] = struct.pack("<HII", 4, 1, 2**20)
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(ReadError, match="1048576 x 1048576"):
        read_sem_pages(tmp_path / "a.tif")


def test_names_that_every_key_repeats_are_bounded() -> None:
    ini = parse_ini("[" + "n" * 10**6 + "]\n" + "a=1\n" * 1000)
    name = "n" * 400
    root = parse_xml("<a>" + f"<{name}>" * 50 + "<e>1</e>" * 2000 + f"</{name}>" * 50 + "</a>")
    assert root is not None
    xml = flatten(root)
    assert len(ini) == 1000
    assert sum(map(len, ini)) < 200_000
    assert 0 < len(xml) < 2000
    assert sum(map(len, xml)) <= LARGEST_XML


@pytest.mark.parametrize("value", ["1e308 km", "1e308 kV", "-1e308 kV"])
def test_overflowing_quantity(value: str) -> None:
    assert to.quantity(value) is None
