"""Annotated layers as training data: suggestions, checks, and the files that a run is made of."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_micro_ktnet.gui import layers as convert
from napari_micro_ktnet.gui.inputs import check_image
from napari_micro_ktnet.gui.label_layers import stem
from napari_micro_ktnet.model.spec import AGGLOMERATE, LabelClass
from napari_micro_ktnet.sem.writer import write_image, write_labels
from napari_micro_ktnet.training.cuts import strips

if TYPE_CHECKING:
    from pathlib import Path

    from napari.layers import Image, Labels
    from numpy.typing import NDArray

    from napari_micro_ktnet.training.config import Annotation

ANNOTATION_KEY = "micro_ktnet_annotation"
"""Metadata of Labels layers that the widget made: ``{"kind": ..., "image": name}``."""

MATRIX = LabelClass(name="matrix", color="#2f7bff")
COLORS = ("#ffd400", "#ff4d4d", "#3fc060", "#b05bff", "#ff9d2e", "#20c8c8", "#d04090")
MOST_CLASSES = 20
_SPARSE = 0.2
_UNSAFE = re.compile(r"[^\w.-]+")

Counts = dict[int, int]


@dataclass(frozen=True, eq=False)
class LayerPair:
    """An Image layer with the Labels layer that annotates it.

    Attributes
    ----------
    image, labels : Image, Labels
        The layers.
    annotation : {"full", "scribbles"}
        What 0 means in `labels`, see `DataConfig`.
    """

    image: Image
    labels: Labels
    annotation: Annotation


@dataclass(frozen=True, eq=False)
class PairPixels:
    """A pair as it was when Train was pressed.

    Attributes
    ----------
    name : str
        Of the image.
    pixels : array-like, (Y, X), (Z, Y, X) or (Y, X, 3 | 4)
        Not copied.
    rgb : bool
        The last axis is colour.
    mask : uint8 ndarray, (Y, X) or (Z, Y, X)
        0 = not annotated, 1 = matrix, the classes follow.
    pixel_size : tuple of float or None
        nm, ``(y, x)``.
    """

    name: str
    pixels: Any
    rgb: bool
    mask: NDArray[np.uint8]
    pixel_size: tuple[float, float] | None


def label_counts(labels: Labels) -> Counts:
    """Count the pixels of each label that occurs, 0 too."""
    data = np.asarray(convert.full_data(labels))
    if data.dtype == np.uint8:
        found = np.bincount(data.ravel(), minlength=256)
        return {int(v): int(found[v]) for v in np.flatnonzero(found)}
    values, numbers = np.unique(data, return_counts=True)
    return {int(v): int(n) for v, n in zip(values, numbers, strict=True)}


def suggest_annotation(labels: Labels, counts: Counts) -> Annotation:
    """Guess what 0 means: not annotated where few pixels are labelled, and with 1 and more."""
    known = labels.metadata.get(ANNOTATION_KEY, {}).get("kind")
    if known in ("full", "scribbles"):
        return "scribbles" if known == "scribbles" else "full"
    labelled = sum(n for v, n in counts.items() if v)
    few = labelled < _SPARSE * sum(counts.values())
    return "scribbles" if few and 1 in counts and max(counts, default=0) >= 2 else "full"


def suggest_image(labels: Labels, images: Sequence[Image]) -> Image | None:
    """Find the image that a Labels layer lies on: the same grid, and of several that with a similar name."""
    fitting = [i for i in images if not check_grid(i, labels)]
    named = labels.metadata.get(ANNOTATION_KEY, {}).get("image")
    similar = [i for i in fitting if i.name == named or stem(i.name) == stem(labels.name)]
    return similar[0] if similar else fitting[0] if len(fitting) == 1 else None


def check_grid(image: Image, labels: Labels) -> str:
    """Why labels do not lie on an image pixel by pixel; empty if they do."""
    shape, own = convert.grid_shape(image), tuple(np.shape(convert.full_data(labels)))
    if shape != own:
        return (
            f"The labels {labels.name!r} have the shape {own}, the image {image.name!r} {shape}: choose the "
            "image that they were drawn on."
        )
    size, own_size = convert.pixel_size_nm(image), convert.pixel_size_nm(labels)
    if size is not None and own_size is not None:
        same = np.allclose(size, own_size, rtol=1e-3)
    else:
        same = size == own_size and np.allclose(image.scale[-2:], labels.scale[-2:], rtol=1e-3)
    if not same:
        return (
            f"The labels {labels.name!r} have another scale than the image {image.name!r} "
            f"({_scale(labels)} instead of {_scale(image)}): give both the same, or start with "
            "New annotation layer."
        )
    apart = np.abs(np.subtract(image.translate[-2:], labels.translate[-2:])) > 0.5 * np.abs(image.scale[-2:])
    if image.units[-2:] == labels.units[-2:] and apart.any():
        return f"The labels {labels.name!r} are shifted against the image {image.name!r}: move them back."
    return ""


def _scale(layer: Any) -> str:
    size = convert.pixel_size_nm(layer)
    return f"{size[1]:.4g} nm a pixel" if size else f"scale {layer.scale[-1]:.4g}, without a length"


def check_pair(pair: LayerPair, counts: Counts) -> str:
    """Why a pair cannot be trained on; empty if it can."""
    problem = check_image(pair.image) or check_grid(pair.image, pair.labels)
    if problem:
        return problem
    name, most = pair.labels.name, max(counts, default=0) - (pair.annotation == "scribbles")
    if not any(counts.get(v, 0) for v in counts if v):
        return f"The layer {name!r} holds no label yet: paint some, or leave it out."
    if min(counts) < 0:
        return f"The layer {name!r} holds negative labels: only 0 and up can be trained on."
    if most > MOST_CLASSES:
        return (
            f"The layer {name!r} holds labels up to {max(counts)}, as if each object had its own number. "
            "Give all objects of a class the same label."
        )
    return ""


def encode(data: NDArray[Any], annotation: Annotation, bar_top: int | None) -> NDArray[np.uint8]:
    """Labels ``(..., Y, X)`` with 0 = not annotated, 1 = matrix, the classes from 2; data bar rows 0."""
    mask = (data + 1 if annotation == "full" else data).astype(np.uint8)
    if bar_top is not None:
        mask[..., bar_top:, :] = 0
    return mask


def take_pixels(pair: LayerPair) -> PairPixels:
    """Copy the annotation of a pair, so that it can be painted on meanwhile."""
    sem = convert.sem_image_of(pair.image)
    bar = sem.data_bar.top if sem is not None and sem.data_bar is not None else None
    return PairPixels(
        pair.image.name,
        convert.full_data(pair.image),
        bool(pair.image.rgb),
        encode(np.asarray(convert.full_data(pair.labels)), pair.annotation, bar),
        convert.pixel_size_nm(pair.image),
    )


def slices(pair: PairPixels) -> Iterator[tuple[str, Any, NDArray[np.uint8]]]:
    """Name, pixels and mask of every annotated image ``(Y, X)`` of a pair."""
    if pair.mask.ndim == 2:
        yield pair.name, pair.pixels, pair.mask
        return
    for z in range(len(pair.mask)):
        if pair.mask[z].any():
            yield f"{pair.name} z{z}", pair.pixels[z], pair.mask[z]


def check_together(pairs: Sequence[LayerPair], counts: Sequence[Counts]) -> str:
    """Why pairs that are sound by themselves are not enough to train; empty if they are."""
    if not pairs:
        return "Annotate an image first: New annotation layer makes a Labels layer to paint on, or tick one."
    twins = _check_twins(pairs)
    if twins:
        return twins
    first = [
        counted.get(0 if p.annotation == "full" else 1) for p, counted in zip(pairs, counts, strict=True)
    ]
    highest = max(max(c) - (p.annotation == "scribbles") for p, c in zip(pairs, counts, strict=True))
    if highest < 1:
        return "Only matrix (label 1) is annotated: paint some agglomerates with label 2 too."
    if not any(first):
        return "No matrix is annotated" + (
            ": paint some with label 1."
            if any(p.annotation == "scribbles" for p in pairs)
            else ", every pixel has a label: leave matrix at 0."
        )
    if len(pairs) > 1 or _several_slices(pairs[0]):
        return ""
    return _check_one(take_pixels(pairs[0]))


def _check_twins(pairs: Sequence[LayerPair]) -> str:
    """Which two annotations have the same image; empty if none."""
    seen: dict[Image, Labels] = {}
    for pair in pairs:
        if pair.image in seen:
            return (
                f"{seen[pair.image].name!r} and {pair.labels.name!r} both annotate {pair.image.name!r}: a "
                "model could be scored on what it was trained on. Untick one, or choose another image for it."
            )
        seen[pair.image] = pair.labels
    return ""


def _several_slices(pair: LayerPair) -> bool:
    data = np.asarray(convert.full_data(pair.labels))
    if data.ndim == 2:
        return False
    return len(data) > 1 if pair.annotation == "full" else int(data.any(axis=(1, 2)).sum()) > 1


def _check_one(pair: PairPixels) -> str:
    """Why a single image leaves nothing to validate on; empty if it can be cut in two."""
    _, _, mask = next(slices(pair))
    labelled = mask >= 2
    for axis, training, validation in strips(mask.shape):
        parts = [np.take(labelled, range(s.start, s.stop), axis) for s in (training, validation)]
        if all(part.any() for part in parts):
            return ""
    return (
        "There is nothing to validate on: the only image cannot be cut into two parts that both hold "
        "labelled objects. Annotate more of it, or a second image."
    )


def write_pairs(pairs: Sequence[PairPixels], folder: Path) -> Iterator[str]:
    """Write images and masks to ``folder/images`` and ``folder/masks``, yielding what is written next."""
    number = 0
    for pair in pairs:
        for name, pixels, mask in slices(pair):
            yield f"Copying {name}"
            file = f"{number:03d}_{_UNSAFE.sub('_', name)[:80]}.tif"
            write_image(
                folder / "images" / file, _writable(np.asarray(pixels)), pair.pixel_size, rgb=pair.rgb
            )
            write_labels(folder / "masks" / file, mask, pair.pixel_size)
            number += 1


def _writable(pixels: NDArray[Any]) -> NDArray[Any]:
    wide = pixels.dtype.kind in "iu" and pixels.dtype.itemsize == 8
    return pixels.astype(np.float64) if wide else pixels


def read_classes(labels: Labels, annotation: Annotation, counts: Counts) -> tuple[LabelClass, ...]:
    """Names and colours of the classes in a Labels layer, from its features and its colours."""
    first = 2 if annotation == "scribbles" else 1
    names = _feature_names(labels)
    highest = max([*names, *counts, first])
    made = []
    for number, value in enumerate(range(first, min(highest, first + MOST_CLASSES) + 1)):
        default = AGGLOMERATE.name if number == 0 else f"class {number + 1}"
        made.append(LabelClass(name=names.get(value, default), color=_color(labels, value, number)))
    return tuple(made)


def _feature_names(labels: Labels) -> dict[int, str]:
    table = labels.features
    if not {"index", "class"} <= set(table.columns):
        return {}
    rows = zip(table["index"].tolist(), table["class"].tolist(), strict=True)
    return {int(index): str(name)[:80] for index, name in rows if str(name)}


def _color(labels: Labels, value: int, number: int) -> str:
    from napari.utils.colormaps import DirectLabelColormap

    color = labels.get_color(value) if isinstance(labels.colormap, DirectLabelColormap) else None
    if color is None:
        # Nobody chose the colours that napari cycles through.
        return COLORS[number % len(COLORS)]
    return "#" + "".join(f"{round(float(c) * 255):02x}" for c in color[:3])
