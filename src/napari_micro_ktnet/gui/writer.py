"""napari writer: Labels as TIFF that keeps the pixel size."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_micro_ktnet.gui.layers import pixel_size_from_meta
from napari_micro_ktnet.sem import write_labels


def write_labels_layer(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write a Labels layer; the labels are unchanged, in the smallest integer type that holds them.

    Parameters
    ----------
    path : str
        File to write, ``.tif``.
    data : array or list of arrays
        ``(Y, X)`` or ``(Z, Y, X)``; of a multiscale layer the first level is written. Labels that
        this package has no format for (more axes, negative values) are left to napari's own writer.
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
    labels = np.asarray(data[0] if isinstance(data, (list, tuple)) or meta.get("multiscale") else data)
    if labels.ndim not in (2, 3) or labels.size == 0 or labels.min() < 0 or labels.max() >= 2**32:
        from napari_builtins.io import napari_write_labels  # type: ignore[import-untyped]

        written = napari_write_labels(path, labels, meta)
        return [written] if written else []
    return [str(write_labels(path, labels, pixel_size_from_meta(meta)))]
