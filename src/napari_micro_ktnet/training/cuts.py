"""Where one image may be cut into a part to train on and a part to validate on."""

from __future__ import annotations

from collections.abc import Iterator

# Pixels between the two parts.
_GAP = 32
_SMALLEST_SIDE = 64
_SHARES = (0.2, 0.25, 0.3, 0.35)


def strips(shape: tuple[int, int]) -> Iterator[tuple[int, slice, slice]]:
    """Give every way to take a strip off one side of an image.

    Parameters
    ----------
    shape : tuple of int
        ``(Y, X)``.

    Yields
    ------
    axis : int
        0: the parts are rows, 1: columns.
    training, validation : slice
        Along that axis.
    """
    for axis, length in enumerate(shape):
        for share in _SHARES:
            width = round(length * share)
            if width < _SMALLEST_SIDE or length - width - _GAP < _SMALLEST_SIDE:
                continue
            yield axis, slice(0, length - width - _GAP), slice(length - width, length)
            yield axis, slice(width + _GAP, length), slice(0, width)
