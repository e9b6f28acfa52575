"""Text and a scale bar burnt into a picture, over the sample, as some instruments do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LENGTHS_NM = np.outer(10.0 ** np.arange(7), (1, 2, 5)).ravel()[:-2]
_WHITE_SHARE, _TOP_SHARE = 0.85, 0.2


def scale_bar_length(rng: np.random.Generator, width: int, pixel_size_nm: float) -> tuple[float, int]:
    """Choose a round length in nm for a scale bar, and what that is in px, for an image `width` px wide."""
    wanted = rng.uniform(0.12, 0.25) * width
    nm = float(_LENGTHS_NM[np.argmin(np.abs(_LENGTHS_NM / pixel_size_nm - wanted))])
    return nm, int(np.clip(round(nm / pixel_size_nm), 2, width // 2))


def add_caption(rng: np.random.Generator, pixels: NDArray[np.uint8], pixel_size_nm: float) -> None:
    """Draw text and a scale bar over the picture ``(Y, X)``, in place, near its lower or upper edge."""
    height, width = pixels.shape
    size = float(np.clip(np.exp(rng.uniform(np.log(11), np.log(42))), 8, height / 4))
    rows = min(height, round(2.6 * size))
    top = 0 if rng.random() < _TOP_SHARE else height - rows
    strip = Image.fromarray(pixels[top : top + rows])
    pen = ImageDraw.Draw(strip)
    # Without smooth edges, as old instruments draw.
    pen.fontmode = "1" if rng.random() < 0.5 else "L"
    ink = 255 if rng.random() < _WHITE_SHARE else 0
    bold = int(rng.random() < 0.5) * max(1, round(size / 24))
    halo = int(rng.random() < 0.4) * max(1, round(size / 16))
    font = ImageFont.load_default(size)
    nm, length = scale_bar_length(rng, width, pixel_size_nm)
    line = 0.2 * size if rng.random() < 0.5 else 2.2 * size
    x = rng.uniform(0.2, 1.0) * size
    words = _words(rng)
    words.append(f"{nm:.0f} nm" if nm < 1000 else f"{nm / 1000:.0f}{rng.choice(('um', ' um'))}")
    for word in words:
        at = (x, rng.uniform(0.75, 0.95) * size)
        if halo:
            pen.text(at, word, fill=255 - ink, font=font, stroke_width=bold + halo)
        pen.text(at, word, fill=ink, font=font, stroke_width=bold)
        x += font.getlength(word) + rng.uniform(0.3, 2.5) * size
    left = rng.uniform(0.02, 0.9) * (width - length)
    _draw_scale_bar(rng, pen, (left, line), length, size / 10, ink)
    pixels[top : top + rows] = np.asarray(strip)


def _words(rng: np.random.Generator) -> list[str]:
    choices = (
        f"{rng.choice((1, 3, 5, 10, 15, 20, 25))}.0{rng.choice(('kV', ' kV'))}",
        f"{rng.choice(('', 'WD', 'WD '))}{rng.uniform(3, 25):.1f}mm",
        f"{rng.choice(('x', 'X', 'x '))}{int(rng.choice((50, 100, 250, 500, 1000, 2000, 5000, 10000))):,}",
        str(rng.choice(("SE(M)", "SEI", "LEI", "COMPO", "BSE", "SE1", "InLens"))),
        f"20{rng.integers(10, 27)}/{rng.integers(1, 13):02}/{rng.integers(1, 29):02}",
        f"No.{rng.integers(1, 400)}",
    )
    return [word for word in choices if rng.random() < 0.5]


def _draw_scale_bar(
    rng: np.random.Generator,
    pen: ImageDraw.ImageDraw,
    at: tuple[float, float],
    length: int,
    thickness: float,
    ink: int,
) -> None:
    """Draw a line, with or without ends, or only its eleven marks."""
    (x, y), thick = at, max(1, round(thickness))
    if rng.random() < 0.6:
        _fill(pen, x, y, length + 1, thick, ink)
        marks, half = (2 if rng.random() < 0.4 else 0), 2 * thick
    else:
        marks, half = 11, 3 * thick
    for mark in np.linspace(x, x + length, marks):
        _fill(pen, mark, y - half, thick, 2 * half + 1, ink)


def _fill(pen: ImageDraw.ImageDraw, x: float, y: float, width: int, height: int, ink: int) -> None:
    # Whole numbers: rounding of fractions can turn a line one pixel wide inside out, which Pillow refuses.
    left, top = int(x), int(y)
    pen.rectangle((left, top, left + width - 1, top + height - 1), fill=ink)
