"""Load torch beside a drawn window without bringing down the process."""

from __future__ import annotations

from typing import Any

from napari_micro_ktnet.errors import ModelError
from napari_micro_ktnet.triton_guard import keep_triton_out


def import_prediction() -> Any:
    """Import `iter_segment`, and torch with it; takes seconds, so it belongs into a worker thread.

    Raises
    ------
    ModelError
        torch cannot be loaded.
    """
    keep_triton_out()
    try:
        from napari_micro_ktnet.predict.inference import iter_segment
    except (ImportError, OSError) as error:
        raise ModelError(
            f"The network library torch cannot be loaded here ({error}). Expected a working installation of "
            "torch: install it again, or run `micro-ktnet segment` from a command line."
        ) from error
    return iter_segment
