"""``micro-ktnet info``: one description for people, the same for programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_micro_ktnet.errors import MicroKTNetError
from napari_micro_ktnet.sem import SEMImage, read_sem_pages

_LINES = (
    ("vendor", "vendor", ""),
    ("instrument", "instrument", ""),
    ("detector", "detector", ""),
    ("beam", "beam", ""),
    ("accelerating_voltage_v", "accelerating voltage", " V"),
    ("working_distance_m", "working distance", " m"),
    ("magnification", "magnification", " x"),
    ("beam_current_a", "beam current", " A"),
    ("stage_tilt_deg", "stage tilt", " degrees"),
    ("dwell_s", "dwell time", " s"),
    ("acquired", "acquired", ""),
)


def describe(path: Path) -> list[dict[str, Any]]:
    """Describe every image of a file, or say why it cannot be read.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    list of dict
        One for each image, with values in SI units but for ``pixel_size_nm`` (``[y, x]``); or
        one with ``file`` and ``error``.
    """
    try:
        return [_describe(path, image) for image in read_sem_pages(path)]
    except MicroKTNetError as error:
        return [{"file": str(path), "error": str(error)}]


def _describe(path: Path, image: SEMImage) -> dict[str, Any]:
    metadata = image.metadata
    return {
        "file": str(path),
        "name": image.name,
        "width": image.width,
        "height": image.height,
        "slices": image.pixels.shape[0] if image.pixels.ndim == 3 and not image.rgb else 1,
        "dtype": str(image.pixels.dtype),
        "pixel_size_nm": list(image.pixel_size) if image.pixel_size else None,
        "pixel_size_source": image.pixel_size_source,
        "data_bar_rows": image.data_bar_rows,
        "vendor": metadata.vendor,
        "instrument": metadata.instrument,
        "detector": metadata.detector,
        "beam": metadata.beam,
        "accelerating_voltage_v": metadata.accelerating_voltage_v,
        "working_distance_m": metadata.working_distance_m,
        "magnification": metadata.magnification,
        "beam_current_a": metadata.beam_current_a,
        "stage_tilt_deg": metadata.stage_tilt_deg,
        "dwell_s": metadata.dwell_s,
        "acquired": metadata.acquired.isoformat() if metadata.acquired else None,
    }


def print_description(description: dict[str, Any]) -> None:
    """Print one description for people."""
    print(description["file"])
    if "error" in description:
        print(f"  error: {description['error']}")
        return
    size = description["pixel_size_nm"]
    print(f"  {description['width']} x {description['height']} pixels, {description['dtype']}")
    if size is None:
        print("  pixel size: unknown (the file does not say it)")
    else:
        source = description["pixel_size_source"]
        note = " (an estimate from the magnification)" if source == "estimated" else ""
        print(f"  pixel size: {size[1]:.6g} x {size[0]:.6g} nm (x, y), from {source}{note}")
    rows = description["data_bar_rows"]
    print(f"  data bar: {f'the last {rows} rows' if rows else 'none'}")
    for key, label, unit in _LINES:
        if description[key] is not None:
            print(f"  {label}: {description[key]}{unit}")
