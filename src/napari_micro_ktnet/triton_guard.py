"""Keep torch from crashing a process that has drawn with Mesa."""

from __future__ import annotations

import sys
from pathlib import Path

_MAPS = Path("/proc/self/maps")


def keep_triton_out() -> None:
    """Make triton look absent where loading it would crash; to be called before torch is imported.

    Mesa draws with LLVM (in software and on AMD); triton, which torch loads for its compiler, brings
    another LLVM, and the second to be loaded crashes the process. Nothing here is compiled, and torch
    does without triton where it cannot be imported.
    """
    if "triton" in sys.modules or not _MAPS.exists():
        return
    if "libLLVM" in _MAPS.read_text(encoding="utf-8", errors="replace"):
        sys.modules["triton"] = None  # type: ignore[assignment]
