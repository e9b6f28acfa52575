"""Colours of size classes: the same in pictures, histograms and tables."""

from __future__ import annotations

NOT_COUNTED = "#9aa0a6"
"""Of objects that the border rule leaves out."""

# Blue for small to red for large; all of them stand out from grey.
_RAMP = ((47, 128, 237), (22, 178, 170), (124, 190, 45), (250, 190, 20), (240, 110, 30), (205, 30, 55))


def class_colors(count: int) -> tuple[str, ...]:
    """Give each of `count` size classes a colour ``#rrggbb``, from the smallest to the largest."""
    out = []
    for k in range(count):
        at = k / max(count - 1, 1) * (len(_RAMP) - 1)
        first = min(int(at), len(_RAMP) - 2)
        mixed = (
            round(a + (at - first) * (b - a)) for a, b in zip(_RAMP[first], _RAMP[first + 1], strict=True)
        )
        out.append("#{:02x}{:02x}{:02x}".format(*mixed))
    return tuple(out)
