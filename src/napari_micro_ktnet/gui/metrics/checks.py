"""Why two layers cannot be compared, in sentences that help; empty where they can."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Labels

from napari_micro_ktnet.gui import layers as convert
from napari_micro_ktnet.gui.label_layers import LabelFacts
from napari_micro_ktnet.gui.metrics.data import NOT_ANNOTATED
from napari_micro_ktnet.measurement.label_grids import Grid, grid_problem
from napari_micro_ktnet.measurement.label_values import class_problem
from napari_micro_ktnet.sem.masks import MOST_CLASSES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Layer


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
    first, second = (Grid(s[-2:], convert.pixel_size_nm(x)) for s, x in zip(shapes, layers, strict=True))
    problem, resampling = grid_problem(first, second)
    return f"{problem} Resample to compare them." if resampling else problem, resampling


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
    return class_problem(names, dict(zip(("prediction", "truth"), values, strict=True)))


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
