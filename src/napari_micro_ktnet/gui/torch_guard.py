"""Load torch beside a drawn window without bringing down the process."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from napari_micro_ktnet.errors import ModelError

_MAPS = Path("/proc/self/maps")


def import_prediction() -> Any:
    """Import `iter_segment`, and torch with it; takes seconds, so it belongs into a worker thread.

    Raises
    ------
    ModelError
        torch cannot be loaded.
    """
    _keep_triton_out()
    try:
        from napari_micro_ktnet.predict.inference import iter_segment
    except (ImportError, OSError) as error:
        raise ModelError(
            f"The network library torch cannot be loaded here ({error}). Expected a working installation of "
            "torch: install it again, or run `micro-ktnet segment` from a command line."
        ) from error
    return iter_segment


def _keep_triton_out() -> None:
    """Make triton look absent where loading it would crash.

    Mesa draws with LLVM (in software and on AMD); triton, which torch loads for its compiler, brings
    another LLVM, and the second to be loaded crashes the process. Nothing here is compiled, and torch
    does without triton where it cannot be imported.
    """
    if "triton" in sys.modules or not _MAPS.exists():
        return
    if "libLLVM" in _MAPS.read_text(encoding="utf-8", errors="replace"):
        sys.modules["triton"] = None  # type: ignore[assignment]
