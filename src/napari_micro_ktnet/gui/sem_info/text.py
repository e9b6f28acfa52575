"""What the SEM info widget says about a layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_micro_ktnet.gui import layers as convert
from napari_micro_ktnet.gui.pixel_size import opened, size_text, source_of
from napari_micro_ktnet.sem.describe import lines

if TYPE_CHECKING:
    from napari.layers import Image, Layer

_ESTIMATED = (
    "An estimate from the magnification can be off by several per cent, or by a factor where the image was "
    "exported at another size. Correct it below: measure the scale bar, or type the size."
)
_UNKNOWN = "Measure the burnt-in scale bar, or type the size, below. Until then lengths are in pixels."


def pixel_size_statement(layer: Image | None) -> str:
    """One line: the pixel size and where it comes from."""
    if layer is None:
        return "Open a SEM image first (File > Open, or drop a file on the viewer)."
    size = convert.pixel_size_nm(layer)
    if size is None:
        return "Pixel size unknown."
    before = opened(layer)
    image = before.image if before is not None else None
    file_says = ""
    if image is not None and image.pixel_size is not None:
        who = "magnification gives" if image.pixel_size_source == "estimated" else "file says"
        file_says = f"; the {who} {size_text(image.pixel_size)}"
    where = {
        "metadata": "from the file's metadata",
        "estimated": "estimated from the magnification",
        "user": "set by you",
        "layer": "from the layer's scale and units",
        "none": "",
    }
    return f"Pixel size {size_text(size)}, {where[source_of(layer)]}{file_says}."


def pixel_size_warning(layer: Image | None) -> str:
    """Say what is doubtful about the pixel size and what to do; empty if nothing is."""
    if layer is None:
        return ""
    source = source_of(layer)
    if source == "estimated":
        return _ESTIMATED
    if source != "none":
        return ""
    if convert.SEM_KEY in layer.metadata:
        return f"The file does not say it. {_UNKNOWN}"
    scale = [float(value) for value in layer.scale[-2:]]
    without_unit = "" if scale == [1, 1] else f"The layer has a scale of {scale[1]:g} but no unit of length. "
    return f"{without_unit or 'The layer is in pixels. '}{_UNKNOWN}"


def measured_text(pixels: float | None, nm: float | None) -> str:
    """Say what the line over the scale bar gives."""
    if pixels is None:
        return "Zoom in on the scale bar and draw a line from its one end to the other."
    length = f"The line is {pixels:.1f} pixels long"
    if nm is None:
        return f"{length}. Type what the scale bar says."
    return f"{length}: one pixel is {size_text((nm, nm))}."


def companions_text(layers: list[Layer]) -> tuple[str, str]:
    """Text and tooltip of the box that rescales other layers, too."""
    count = "1 layer" if len(layers) == 1 else f"{len(layers)} layers"
    names = "\n".join(layer.name for layer in layers)
    return f"Also to {count} on the same grid", f"Set the same pixel size on:\n{names}"


def as_text(description: dict[str, Any], statement: str) -> str:
    """Everything known about a layer as lines of text to paste."""
    rows = [("file", description["file"] or description["name"]), *lines(description)]
    return "\n".join([*(f"{label}: {text}" for label, text in rows), statement])
