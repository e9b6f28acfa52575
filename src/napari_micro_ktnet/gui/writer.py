"""napari writers: Labels and Image layers as TIFF that keeps the pixel size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from napari.utils.notifications import show_warning
from numpy.typing import NDArray

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.gui.layers import pixel_size_from_meta
from napari_micro_ktnet.sem import write_image, write_labels


def write_image_layer(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write an Image layer; the pixels are unchanged.

    Parameters
    ----------
    path : str
        File to write, ``.tif``.
    data : array or list of arrays
        ``(Y, X)``, ``(Z, Y, X)`` or coloured ``(Y, X, 3 | 4)``; of a multiscale layer the first level is
        written. An image that this package has no format for (more axes, 64-bit integers) is left to
        napari's own writer, with a warning where that loses the pixel size.
    meta : dict
        The layer's attributes, of which ``scale`` and ``units`` say the pixel size.

    Returns
    -------
    list of str
        The file that was written.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    pixels = _full_data(data, meta)
    try:
        return [str(write_image(path, pixels, pixel_size_from_meta(meta), rgb=bool(meta.get("rgb"))))]
    except InputError:
        from napari_builtins.io import napari_write_image  # type: ignore[import-untyped]

        return _leave_to_napari(napari_write_image, path, pixels, meta)


def write_labels_layer(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write a Labels layer; the labels are unchanged, in the smallest integer type that holds them.

    Parameters
    ----------
    path : str
        File to write, ``.tif``.
    data : array or list of arrays
        ``(Y, X)`` or ``(Z, Y, X)``; of a multiscale layer the first level is written. Labels that
        this package has no format for (more axes, negative values) are left to napari's own writer,
        with a warning where that loses the pixel size.
    meta : dict
        The layer's attributes, of which ``scale`` and ``units`` say the pixel size.

    Returns
    -------
    list of str
        The file that was written.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    labels = _full_data(data, meta)
    if labels.ndim not in (2, 3) or labels.size == 0 or labels.min() < 0 or labels.max() >= 2**32:
        from napari_builtins.io import napari_write_labels

        return _leave_to_napari(napari_write_labels, path, labels, meta)
    return [str(write_labels(path, labels, pixel_size_from_meta(meta)))]


def _full_data(data: Any, meta: dict[str, Any]) -> NDArray[Any]:
    return np.asarray(data[0] if isinstance(data, (list, tuple)) or meta.get("multiscale") else data)


def _leave_to_napari(
    write: Callable[[str, Any, dict[str, Any]], str | None],
    path: str,
    pixels: NDArray[Any],
    meta: dict[str, Any],
) -> list[str]:
    written = write(path, pixels, meta)
    if written and pixel_size_from_meta(meta) is not None:
        show_warning(
            f"{written} was saved without its pixel size: no format keeps it for {pixels.dtype} of shape "
            f"{pixels.shape}. Convert the layer to 32 bits or less and at most three axes to keep it."
        )
    return [written] if written else []
