"""Damaged and hostile image files: every case follows from a seed and an index alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import fuzz_metadata as metadata
import fuzz_structure as structure
from fuzz_samples import Sample
from fuzz_structure import Files

Mutation = Callable[[np.random.Generator, Sample], Files | None]


@dataclass(frozen=True)
class Case:
    """One set of files; the first is the image, None stands for a folder of that name."""

    index: int
    kind: str
    origin: str
    files: Files

    def write(self, folder: Path) -> Path:
        """Write the files into an empty folder, and return the image's path."""
        for name, data in self.files.items():
            if data is None:
                (folder / name).mkdir()
            else:
                (folder / name).write_bytes(data)
        return folder / next(iter(self.files))


def make_case(samples: Sequence[Sample], seed: int, index: int, kinds: Sequence[str] = ()) -> Case:
    """Derive one case; a kind that does not fit the file that was drawn is tried on another."""
    rng = np.random.default_rng((seed, index))
    names = list(kinds or KINDS)
    weights = np.array([KINDS[name][1] for name in names], float)
    kind = names[rng.choice(len(names), p=weights / weights.sum())]
    for _ in range(1000):
        sample = samples[rng.integers(len(samples))]
        files = KINDS[kind][0](rng, sample)
        if files is not None:
            return Case(index, kind, sample.name, files)
    raise ValueError(f"no sample fits the mutation {kind}")


# What each mutation is called, what does it, and how often it comes.
KINDS: dict[str, tuple[Mutation, float]] = {
    "truncated": (structure.truncated, 10),
    "bytes flipped: header": (structure.flipped_header, 6),
    "bytes flipped: directory": (structure.flipped_directory, 14),
    "bytes flipped: tag": (structure.flipped_tag, 8),
    "bytes flipped: pixels": (structure.flipped_pixels, 8),
    "bytes flipped: anywhere": (structure.flipped_anywhere, 8),
    "bytes inserted or deleted": (structure.shifted, 8),
    "absurd dimensions, counts, types": (structure.absurd_value, 14),
    "cyclic directories": (structure.cyclic, 3),
    "countless directories or tags": (structure.countless, 1),
    "hostile XML": (metadata.hostile_xml, 5),
    "garbage numbers": (metadata.hostile_numbers, 6),
    "long names": (metadata.long_names, 1),
    "huge metadata": (metadata.huge_metadata, 2),
    "garbage beside the image": (metadata.garbage_beside, 4),
    "hostile EXIF and text chunks": (metadata.hostile_exif, 2),
}
