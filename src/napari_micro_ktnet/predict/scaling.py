"""Bringing an image to the pixel size that a model was trained at: by how much, and whether at all."""

from __future__ import annotations

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.predict.tiles import MULTIPLE

_MOST_PIXELS = 400_000_000
# What is hardly changed may be as thin as it is.
_MUCH = 0.5

Pair = tuple[float, float]


def scale_factors(found: Pair | None, trained: Pair | None) -> Pair:
    """Divide an image's pixel size by the model's, both nm ``(y, x)``.

    Raises
    ------
    InputError
        One of them is not known.
    """
    if found is None or trained is None:
        raise InputError(
            f"The image's pixel size is {found or 'unknown'} and the model's is {trained or 'unknown'} (nm, "
            "y and x): both must be known to bring one to the other. Set the pixel size, or do not rescale."
        )
    return found[0] / trained[0], found[1] / trained[1]


def scaled_shape(shape: tuple[int, ...], factors: Pair) -> tuple[int, int]:
    """Size ``(Y, X)`` of a rescaled image."""
    height, width = (max(1, round(n * f)) for n, f in zip(shape, factors, strict=True))
    return height, width


def scaling_problem(shape: tuple[int, ...], factors: Pair) -> str:
    """Why an image ``(Y, X)`` cannot be rescaled by the factors; empty if it can."""
    height, width = scaled_shape(shape, factors)
    if height * width > _MOST_PIXELS:
        return f"Rescaled, the image would have {height} x {width} pixels: do not rescale it."
    if min(height, width) < MULTIPLE and min(factors) < _MUCH:
        return f"Rescaled, the image would have only {height} x {width} pixels: do not rescale it."
    return ""
