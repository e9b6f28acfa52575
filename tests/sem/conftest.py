"""Synthetic vendor files."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

TagWriter = Callable[..., Path]


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(7).integers(20, 200, (96, 128), dtype=np.uint8)


@pytest.fixture
def tagged_tiff(tmp_path: Path) -> TagWriter:
    """Write a TIFF with private byte tags: ``tagged_tiff(pixels, {code: bytes}, **imwrite_options)``."""

    def write(pixels: np.ndarray, tags: dict[int, bytes], name: str = "image.tif", **options: Any) -> Path:
        extra: Iterable[tuple[int, int, int, bytes, bool]] = [
            (code, 7, len(value), value, True) for code, value in tags.items()
        ]
        path = tmp_path / name
        tifffile.imwrite(path, pixels, extratags=list(extra), metadata=None, **options)
        return path

    return write
