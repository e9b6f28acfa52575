"""Mirrored and turned copies of images, and the way back."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Orientation(NamedTuple):
    """One of the eight ways to lay a rectangle on its axes.

    Attributes
    ----------
    transposed : bool
        Rows and columns are exchanged, first.
    mirrored : tuple of int
        Axes that are reversed, -2 for Y and -1 for X.
    """

    transposed: bool
    mirrored: tuple[int, ...]

    def turn(self, image: Tensor) -> Tensor:
        """Lay images ``(..., Y, X)`` so."""
        image = image.mT if self.transposed else image
        return image.flip(self.mirrored) if self.mirrored else image

    def turn_back(self, image: Tensor) -> Tensor:
        """Undo `turn`."""
        image = image.flip(self.mirrored) if self.mirrored else image
        return image.mT if self.transposed else image


# As it is, upside down, the two mirror images, then the same four transposed. The first two and the first
# four are groups too, so that a mean over them follows an image that is laid in these ways.
ORIENTATIONS = tuple(
    Orientation(transposed, mirrored)
    for transposed in (False, True)
    for mirrored in ((), (-2, -1), (-1,), (-2,))
)
