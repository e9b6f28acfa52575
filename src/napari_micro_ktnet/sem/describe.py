"""One description of a SEM image, for people and for programs, shared by every interface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_micro_ktnet.sem.image import SEMImage

_PREFIXES = ((1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "u"), (1e-9, "n"), (1e-12, "p"))


def describe(image: SEMImage) -> dict[str, Any]:
    """Put together everything that is known about an image but its pixels and raw keys.

    Parameters
    ----------
    image : SEMImage
        The image.

    Returns
    -------
    dict
        Ready for JSON. Values in SI units but for ``pixel_size_nm`` (``[y, x]``); what is not known
        is None.
    """
    metadata = image.metadata
    return {
        "file": str(image.path) if image.path else None,
        "name": image.name,
        "width": image.width,
        "height": image.height,
        "slices": image.pixels.shape[0] if image.pixels.ndim == 3 and not image.rgb else 1,
        "dtype": str(image.pixels.dtype),
        "pixel_size_nm": list(image.pixel_size) if image.pixel_size else None,
        "pixel_size_source": image.pixel_size_source,
        "data_bar_rows": image.data_bar_rows,
        "data_bar_source": image.data_bar.source if image.data_bar else None,
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


def lines(description: dict[str, Any]) -> list[tuple[str, str]]:
    """Label and text of everything in a description that is known, but for file and pixel size.

    Parameters
    ----------
    description : dict
        From `describe`.

    Returns
    -------
    list of tuple of str
        In the order to show them; units are those that microscopists use.
    """
    texts = {
        "vendor": _text(description["vendor"]),
        "instrument": _text(description["instrument"]),
        "detector": _text(description["detector"]),
        "beam": _text(description["beam"]),
        "voltage": _prefixed(description["accelerating_voltage_v"], "V", "k"),
        "working distance": _prefixed(description["working_distance_m"], "m", "m"),
        "magnification": _with_unit(description["magnification"], "x"),
        "beam current": _prefixed(description["beam_current_a"], "A"),
        "stage tilt": _with_unit(_rounded(description["stage_tilt_deg"]), "degrees"),
        "dwell time": _prefixed(description["dwell_s"], "s"),
        "acquired": _text(description["acquired"]).replace("T", " "),
        "image": _size(description),
        "data bar": _bar(description),
    }
    return [(label, text) for label, text in texts.items() if text]


def number(value: float) -> str:
    """Six digits, without an exponent where a microscopist would write none."""
    return f"{value:.0f}" if 1e5 <= abs(value) < 1e12 else f"{value:.6g}"


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _with_unit(value: float | None, unit: str) -> str:
    return "" if value is None else f"{number(value)} {unit}"


def _rounded(angle: float | None) -> float | None:
    """Leave out what no stage can do; adding 0 takes the sign off a zero."""
    return None if angle is None else round(angle, 3) + 0.0


def _prefixed(value: float | None, unit: str, prefix: str | None = None) -> str:
    """Write a value with the given prefix, or with the largest one that leaves a digit before the point."""
    if value is None:
        return ""
    fitting = (pair for pair in _PREFIXES if abs(value) >= pair[0] * (1 - 1e-9))
    if prefix is not None:
        fitting = (pair for pair in _PREFIXES if pair[1] == prefix)
    factor, letter = next(fitting, _PREFIXES[-1] if value else (1.0, ""))
    return f"{number(value / factor)} {letter}{unit}"


def _size(description: dict[str, Any]) -> str:
    slices = f", {description['slices']} slices" if description["slices"] > 1 else ""
    return f"{description['width']} x {description['height']} pixels{slices}, {description['dtype']}"


def _bar(description: dict[str, Any]) -> str:
    rows = description["data_bar_rows"]
    if rows is None:
        return ""
    return f"last {rows} rows ({description['data_bar_source']})" if rows else "none"
