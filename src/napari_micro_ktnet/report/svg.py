"""Plain drawing of plots as SVG: axes, bars, lines and points, nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from napari_micro_ktnet.report.numbers import thousands

INK, FAINT, GRID = "#1f2933", "#5f6c7b", "#e3e7ec"
FONT = 12


@dataclass(frozen=True)
class Axis:
    """From values to places in the picture.

    Attributes
    ----------
    low, high : float
        Values at the two ends, ``low < high``; positive on a log axis.
    start, stop : float
        Places of the two ends.
    log : bool
        Logarithmic.
    """

    low: float
    high: float
    start: float
    stop: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Place of a value; values beyond an end are put at it."""
        low, high, value = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        share = min(max((value - low) / (high - low), 0.0), 1.0)
        return self.start + share * (self.stop - self.start)

    def ticks(self, most: int = 6) -> list[float]:
        """Round values between the ends."""
        if self.log and self.high / self.low > 3:
            return self._log_ticks(most)
        step = nice_step((self.high - self.low) / (most - 1))
        first = math.ceil(self.low / step - 1e-9)
        return [float(f"{k * step:.10g}") for k in range(first, math.floor(self.high / step + 1e-9) + 1)]

    def _log_ticks(self, most: int) -> list[float]:
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        found: list[float] = []
        for steps in ((1, 2, 5), (1, 3), (1,)):
            values = [float(f"{s}e{d}") for d in decades for s in steps]
            found = [v for v in values if self.low * 0.999 <= v <= self.high * 1.001]
            if len(found) <= most:
                break
        return found


def nice_step(least: float) -> float:
    """Smallest of 1, 2, 5, 10, ... that is at least this."""
    if not (least > 0 and math.isfinite(least)):
        return 1.0
    decade = 10.0 ** math.floor(math.log10(least))
    return next(float(f"{s * decade:.10g}") for s in (1, 2, 5, 10) if s * decade >= least * (1 - 1e-9))


def top_of(values: Iterable[float]) -> float:
    """Give the end of an axis that begins at 0 and holds the values with some room above."""
    largest = max(values, default=0.0)
    return largest * 1.12 if largest > 0 else 1.0


def left_margin(high: float) -> float:
    """Room for the labels of an axis that ends at `high`."""
    return max(46.0, 12 + 6.5 * len(_tick(high))) if high >= 1e4 else 46.0


def _tick(value: float) -> str:
    return thousands(value) if abs(value) >= 1e4 else f"{value:g}"


@dataclass
class Plot:
    """A picture that is drawn piece by piece; places in units of its view box.

    Attributes
    ----------
    width, height : float
        Size of the view box.
    left, right, top, bottom : float
        Margins around the frame.
    """

    width: float = 400
    height: float = 250
    left: float = 46.0
    right: float = 14
    top: float = 24
    bottom: float = 40
    parts: list[Markup] = field(default_factory=list)

    def x_axis(self, low: float, high: float, *, log: bool = False) -> Axis:
        """Axis over the width of the frame."""
        return Axis(low, high, self.left, self.width - self.right, log)

    def y_axis(self, low: float, high: float) -> Axis:
        """Axis over the height of the frame, upwards."""
        return Axis(low, high, self.height - self.bottom, self.top)

    def add(self, template: str, **values: object) -> None:
        """Add a piece; what is put in is escaped."""
        self.parts.append(Markup(template).format(**values))  # noqa: S704 - format escapes

    def text(self, x: float, y: float, content: str, anchor: str = "middle", **style: object) -> None:
        """Add a line of text at its base line."""
        more = Markup("").join(
            Markup(' {}="{}"').format(name.replace("_", "-"), value) for name, value in style.items()
        )
        self.add(
            '<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{content}</text>',
            x=x,
            y=y,
            anchor=anchor,
            more=more,
            content=content,
        )

    def line(
        self, points: Sequence[tuple[float, float]], color: str, width: float = 1.5, dash: str = ""
    ) -> None:
        """Add a line through places."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.add(
            '<polyline points="{path}" fill="none" stroke="{color}" stroke-width="{width}"'
            ' stroke-dasharray="{dash}" stroke-linejoin="round"/>',
            path=path,
            color=color,
            width=width,
            dash=dash or "none",
        )

    def area(self, points: Sequence[tuple[float, float]], color: str, opacity: float = 0.18) -> None:
        """Add a filled polygon."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.add(
            '<polygon points="{path}" fill="{color}" fill-opacity="{opacity}"/>',
            path=path,
            color=color,
            opacity=opacity,
        )

    def bar(self, x: float, right: float, y: float, bottom: float, color: str) -> None:
        """Add a filled rectangle."""
        self.add(
            '<rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" fill="{color}"/>',
            x=x,
            y=y,
            w=max(right - x, 0),
            h=max(bottom - y, 0),
            color=color,
        )

    def dot(self, x: float, y: float, color: str, radius: float = 3.2) -> None:
        """Add a filled circle."""
        self.add(
            '<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{color}"/>',
            x=x,
            y=y,
            radius=radius,
            color=color,
        )

    def draw_x(self, axis: Axis, title: str) -> None:
        """Draw the lower edge of the frame with ticks and title."""
        base = self.height - self.bottom
        for value in axis.ticks():
            x = axis(value)
            self.line([(x, base), (x, base + 4)], FAINT, 1)
            self.text(x, base + 17, _tick(value), fill=FAINT)
        self.line([(axis.start, base), (axis.stop, base)], FAINT, 1)
        self.text((axis.start + axis.stop) / 2, self.height - 5, title)

    def draw_y(self, axis: Axis, title: str, *, grid: bool = True) -> None:
        """Draw the ticks of the left side, with lines across; the title goes above."""
        for value in axis.ticks(5):
            y = axis(value)
            if grid:
                self.line([(self.left, y), (self.width - self.right, y)], GRID, 1)
            self.text(self.left - 6, y + 4, _tick(value), "end", fill=FAINT)
        self.text(2, 13, title, "start", font_weight="600")

    def markup(self, alternative: str) -> Markup:
        """Give the finished picture.

        Parameters
        ----------
        alternative : str
            What it shows, for those who cannot see it.
        """
        return Markup(
            '<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{alternative}" font-size="{font}"'
            ' fill="{ink}">{parts}</svg>'
        ).format(
            width=self.width,
            height=self.height,
            alternative=alternative,
            font=FONT,
            ink=INK,
            parts=Markup("\n").join(self.parts),
        )
