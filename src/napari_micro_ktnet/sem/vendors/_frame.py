"""What is left of the frame that the microscope recorded: resized, with a bar below, or as it was."""

from __future__ import annotations

from dataclasses import dataclass

# A bar this much of the scanned height is still believed.
LARGEST_BAR = 0.35
# What vendors add below the scanned rows; a crop seldom has just these proportions.
_USUAL_BARS = (0.05, 0.12)
_ROUNDING = 0.01


@dataclass(frozen=True)
class Frame:
    """Size of the scanned image against the size of the file.

    Attributes
    ----------
    columns, rows : float or None
        What the metadata say of the scan, in pixels.
    width, height : int
        Size of the image in the file.
    with_bar : bool
        Whether the metadata count the rows of the data bar too.
    """

    columns: float | None
    rows: float | None
    width: int
    height: int
    with_bar: bool = False

    @property
    def shrunk_by(self) -> float:
        """Scanned columns per column of the file, for an image that was resized as a whole.

        A cropped image keeps its pixel size: 1.
        """
        if not self.columns or not self.rows or self.columns == self.width:
            return 1.0
        factor = self.columns / self.width
        added = self.height * factor / self.rows - 1
        with_bar = not self.with_bar and _USUAL_BARS[0] <= added <= _USUAL_BARS[1]
        return factor if abs(added) <= _ROUNDING or with_bar else 1.0

    @property
    def bar_rows(self) -> int | None:
        """Rows below the scanned ones; None where the image was cropped or resized, or it is not told."""
        if self.with_bar or not self.rows or (self.columns and self.columns != self.width):
            return None
        extra = self.height - int(self.rows)
        return extra if 0 <= extra <= LARGEST_BAR * self.rows else None
