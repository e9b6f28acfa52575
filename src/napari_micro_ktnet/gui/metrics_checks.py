"""Why two layers cannot be compared, in sentences that help; empty where they can."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Labels

from napari_micro_ktnet.gui import layers as convert
from napari_micro_ktnet.gui.metrics_data import NOT_ANNOTATED, LabelFacts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Layer

MOST_CLASSES = 20
"""Labels that look like more classes than this are numbers of objects, or grey values."""

_SAME = 0.01
_SHOWN = 6


def check_labels(layer: Layer | None, facts: LabelFacts | None, side: str) -> str:
    """Why a layer cannot be a prediction or truth."""
    if layer is None or facts is None:
        if side == "prediction":
            return "There is no prediction: open an image and run Segment, or add a Labels layer."
        return "There is no truth to compare with: open its mask, or add a Labels layer."
    name = repr(layer.name)
    if getattr(layer, "rgb", False):
        return f"{name} is a colour image, not labels. Save the mask with one number for each class."
    if facts.dtype.kind not in "bui":
        return (
            f"{name} holds real numbers ({facts.dtype}), not labels. Apply a threshold first; if it is a "
            "probability, choose the labels that were made from it here, and it as the probability below."
        )
    if 0 in facts.shape:
        return f"{name} is empty (shape {facts.shape})."
    if len(facts.shape) not in (2, 3):
        return f"{name} has the shape {facts.shape}; (Y, X) or a stack (Z, Y, X) is needed."
    if facts.lowest < 0:
        return f"{name} holds the negative label {facts.lowest}; labels are 0 and more."
    if not isinstance(layer, Labels) and len(facts.values) > MOST_CLASSES:
        return f"{name} looks like an image, not like labels: it has {len(facts.values) + 1} grey values."
    return ""


def check_together(layers: tuple[Layer, Layer], facts: tuple[LabelFacts, LabelFacts]) -> tuple[str, bool]:
    """Why two sound layers do not fit together, and whether resampling the first would help.

    Parameters
    ----------
    layers, facts
        Of the prediction and of the truth.
    """
    prediction, truth = layers
    if prediction is truth:
        return "Prediction and truth are the same layer. Choose another one for the truth.", False
    shapes = facts[0].shape, facts[1].shape
    if len(shapes[0]) != len(shapes[1]) or shapes[0][:-2] != shapes[1][:-2]:
        return f"The prediction has the shape {shapes[0]}, the truth {shapes[1]}: they are no pair.", False
    down, across = (t / p for t, p in zip(shapes[1][-2:], shapes[0][-2:], strict=True))
    rounding = 1 / min(*shapes[0][-2:], *shapes[1][-2:])
    sizes = convert.pixel_size_nm(prediction), convert.pixel_size_nm(truth)
    text = f"The prediction has {_pixels(shapes[0])} pixels, the truth {_pixels(shapes[1])}"
    if abs(down / across - 1) > _SAME + rounding:
        return f"{text}, of other proportions: they do not show the same field.", False
    if sizes[0] is not None and sizes[1] is not None:
        for axis in (0, 1):
            extents = [
                s[-2:][axis] * size[axis] for s, size in zip(shapes, (sizes[0], sizes[1]), strict=True)
            ]
            if abs(extents[0] / extents[1] - 1) > _SAME + rounding:
                return (
                    f"{text} of {sizes[0][1]:.4g} and {sizes[1][1]:.4g} nm: the fields differ in size. "
                    "Correct the pixel size of one of them (SEM info), or compare labels of one image."
                ), False
    if shapes[0] != shapes[1]:
        return f"{text}: the same field at another scale. Resample to compare them.", True
    return "", False


def check_classes(
    names: Sequence[str], instances: bool, values: tuple[tuple[int, ...], tuple[int, ...]]
) -> str:
    """Why the labels do not fit the classes.

    Parameters
    ----------
    names : sequence of str
        Classes besides matrix; none = as many as the labels hold.
    instances : bool
        Labels number objects of one class.
    values : tuple of tuple of int
        Labels that occur in prediction and truth, 0 left out.
    """
    if len(set(names)) < len(names):
        return "Two classes have the same name."
    if instances:
        if len(names) > 1:
            return "Where every object has its own label there is one class; name only one."
        return ""
    # Where there is one class its label may be any, such as 255.
    one = len(names) == 1 or (not names and all(len(v) <= 1 for v in values))
    highest = [min(1, len(v)) if one and len(v) <= 1 else max(v, default=0) for v in values]
    for side, high, found in zip(("prediction", "truth"), highest, values, strict=True):
        if (names and high > len(names)) or (not names and high > MOST_CLASSES):
            known = f"0 (matrix) to {len(names)} ({', '.join(names)})" if names else f"at most {MOST_CLASSES}"
            return (
                f"The {side} holds the labels {_listed(found)}; expected {known}. Name all classes, or say "
                "that every object has its own label."
            )
    if not names and highest[0] != highest[1] and min(highest) > 0:
        return (
            f"The prediction holds the labels {_listed(values[0])}, the truth {_listed(values[1])}: one has "
            "more classes. If this is meant, name all classes, separated by commas."
        )
    return ""


def check_not_annotated(label: int | None, values: tuple[int, ...]) -> str:
    """Why a label cannot mean not annotated; `values` are all of the truth but 0."""
    if label is not None and values == (label,):
        return (
            f"{label} is the only label of the truth: it seems to mean the class itself, and nothing would "
            "be left to find. Choose 'no label'."
        )
    return ""


def check_not_empty(values: tuple[tuple[int, ...], tuple[int, ...]]) -> str:
    """Why there is nothing to compare."""
    if not values[0] and not values[1]:
        return "Neither layer has a labelled pixel: there is nothing to compare."
    return ""


def check_probability(probability: Layer | None, truth: LabelFacts | None) -> str:
    """Why a layer cannot be the probability of a threshold curve; None is no curve."""
    if probability is None or truth is None:
        return ""
    shape = tuple(int(n) for n in convert.full_data(probability).shape)
    if shape != truth.shape:
        return (
            f"The probability has the shape {shape}, the truth {truth.shape}: no curve can be made of them."
        )
    return ""


def check_folder(text: str, side: str) -> str:
    """Why a folder cannot be compared."""
    if not text.strip():
        return f"Choose the folder of the {side}."
    return "" if Path(text.strip()).is_dir() else f"There is no folder {text.strip()}."


def suggest_instances(names: Sequence[str], values: tuple[tuple[int, ...], tuple[int, ...]]) -> bool:
    """Guess whether labels number objects: too many to be classes, or many where the other side has one."""
    if len(names) > 1:
        return False
    numbers = [len([v for v in side if v != NOT_ANNOTATED]) for side in values]
    return max(numbers) > MOST_CLASSES or (min(numbers) == 1 and max(numbers) > 3)


def _pixels(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in shape)


def _listed(values: tuple[int, ...]) -> str:
    if len(values) <= _SHOWN:
        return ", ".join(map(str, values))
    return ", ".join(map(str, values[: _SHOWN - 1])) + f" ... {values[-1]}"
