"""Why fields cannot be measured, and what is odd about them, in sentences that help."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Image

from napari_micro_ktnet.errors import MicroKTNetError
from napari_micro_ktnet.gui import layers as convert
from napari_micro_ktnet.gui.label_layers import holds_labels, record_of
from napari_micro_ktnet.gui.pixel_size import size_text
from napari_micro_ktnet.sem.folders import LABELS_ENDING, image_files

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from napari.layers import Labels, Layer
    from numpy.typing import NDArray

    from napari_micro_ktnet.gui.agglomerates.fields import ChosenField
    from napari_micro_ktnet.gui.label_layers import LabelFacts

_OTHER_MAGNIFICATION = 1.1


def check_chosen(layers: Sequence[Layer], chosen: Sequence[ChosenField]) -> str:
    """Why there is nothing to measure; empty if there is."""
    if chosen:
        return ""
    images = [x for x in layers if isinstance(x, Image) and convert.RESULT_KEY not in x.metadata]
    if any(holds_labels(x) for x in layers):
        return "Tick the Labels layers to measure; where there is none, run Segment first."
    if images:
        return (
            f"{images[-1].name!r} is an image, and labels are measured: run Segment on it. If it is a mask "
            "already, right click on the layer > Convert to Labels."
        )
    return "There are no labels: open an image and run Segment, or open a *_labels.tif file."


def check_labels(labels: Labels, facts: LabelFacts) -> str:
    """Why a Labels layer cannot be measured; empty if it can."""
    name = repr(labels.name)
    if 0 in facts.shape:
        return f"{name} is empty (shape {facts.shape})."
    if len(facts.shape) != 2:
        return (
            f"{name} is a stack of the shape {facts.shape}, and one field (Y, X) is measured at a time: "
            "right click on the layer > Split Stack, then tick its slices."
        )
    if facts.lowest < 0:
        return f"{name} holds the negative label {facts.lowest}; labels are 0 and more."
    return ""


def check_border(border: str, region: NDArray[np.bool_] | None) -> str:
    """Why a border rule does not suit the analysed region; empty if it does."""
    if border != "weight" or region is None:
        return ""
    rows, columns = region.any(axis=1), region.any(axis=0)
    if rows.sum() * columns.sum() == region.sum():
        return ""
    return (
        "The correction for objects at the edge needs a rectangular region, and what was analysed is none: "
        "choose another rule."
    )


def check_min_size(unit: str, least: float, known: Sequence[bool]) -> str:
    """Why a least size cannot be used; empty if it can."""
    if not least or unit == "px" or all(known):
        return ""
    return "The pixel size is not known: give the minimum size in px, or the pixel size above."


def check_folders(folder: str, output: str) -> dict[str, str]:
    """Why a batch cannot begin, for the fields ``folder`` and ``output``."""
    found = {"folder": "", "output": ""}
    images = Path(folder.strip())
    if not folder.strip():
        found["folder"] = "Choose the folder of SEM images."
    elif not images.is_dir():
        found["folder"] = f"There is no folder {images}."
    else:
        try:
            inside = [p for p in image_files(images) if not p.stem.endswith(LABELS_ENDING)]
        except MicroKTNetError as error:
            return found | {"folder": str(error)}
        if not inside:
            found["folder"] = f"The folder {images} holds no image that can be read."
    if not output.strip():
        found["output"] = "Choose a folder for the results."
    elif Path(output.strip()).is_file():
        found["output"] = f"{output.strip()} is a file; a folder is needed."
    return found


def odd_fields(chosen: Sequence[ChosenField], facts: Sequence[LabelFacts]) -> list[str]:
    """Say what is odd about sound fields, but does not keep them from being measured."""
    found = [text for each, known in zip(chosen, facts, strict=True) if (text := _odd(each, known))]
    images = [each.image for each in chosen if each.image is not None]
    twice = next((x for x in images if images.count(x) > 1), None)
    if twice is not None:
        found.append(f"Several of the layers show {twice.name!r}: its objects count more than once.")
    return found


def mixed_fields(chosen: Sequence[ChosenField], typed: bool) -> list[str]:
    """Say why figures of these fields together may mean little; the measurement says so, too."""
    found = []
    sizes = [each.pixel_size for each in chosen]
    known = [size for size in sizes if size is not None]
    sides = [(y * x) ** 0.5 for y, x in known]
    if sides and max(sides) > _OTHER_MAGNIFICATION * min(sides):
        low, high = (size_text(f(known)) for f in (min, max))
        found.append(
            f"Fields of different magnification ({low} to {high} a pixel): small objects are seen in the "
            "finer ones only. Set a minimum size that all of them show."
        )
    if known and len(known) < len(sizes) and not typed:
        found.append("Some pixel sizes are not known, so that there are no sizes of all fields together.")
    return found


def _odd(chosen: ChosenField, facts: LabelFacts) -> str:
    name = repr(chosen.labels.name)
    if not facts.looked:
        return ""
    if not facts.values:
        return f"{name} holds no object: it counts as an empty field."
    classes = record_of(chosen.labels).get("classes", ())
    if len(classes) > 1:
        return f"{name} holds {len(classes)} classes, which are measured together: {', '.join(classes)}."
    if len(facts.values) > 1:
        return f"{name} numbers {len(facts.values)} objects already: those with different numbers stay apart."
    return ""
