"""What the events of a run add up to: losses, scores, and how long it will still take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_RECENT = 30


class History:
    """Curves and progress of a run, put together from its events.

    Attributes
    ----------
    step, steps : int
        Done and planned.
    losses : dict of int to float
        Training loss of each step.
    validations : dict of int to mapping
        Event of each validation, by its step.
    """

    def __init__(self, steps: int = 0, validate_every: int = 1) -> None:
        self.step, self.steps = 0, steps
        self.validate_every = validate_every
        self.losses: dict[int, float] = {}
        self.validations: dict[int, Mapping[str, Any]] = {}
        self._notices: dict[str, None] = {}
        self._times: dict[int, float] = {}

    def add(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Take in events; those that come again replace what was there."""
        for event in events:
            step = int(event.get("step", 0))
            if event["event"] == "started":
                self.steps = int(event["steps"])
                self._forget_after(step)
                # A pause between two sessions is no time that steps took.
                self._times = {step: event["time"]}
            elif event["event"] == "step":
                self.losses[step] = float(event["loss"])
                self._times[step] = event["time"]
            elif event["event"] == "validation":
                self.validations[step] = event
            elif event["event"] == "notice":
                self._notices[str(event["text"])] = None
            self.step = max(self.step, step)

    def _forget_after(self, step: int) -> None:
        self.step = step
        self.losses = {s: v for s, v in self.losses.items() if s <= step}
        self.validations = {s: v for s, v in self.validations.items() if s <= step}

    @property
    def notice(self) -> str:
        """What a user should know; empty for most runs."""
        return " ".join(self._notices)

    @property
    def epochs(self) -> tuple[int, int]:
        """Validations done and planned."""
        return len(self.validations), -(-self.steps // max(1, self.validate_every))

    @property
    def epoch_share(self) -> float:
        """How much of the way to the next validation is done, 0 to 1."""
        first = max(self.validations, default=0)
        length = min(self.validate_every, self.steps - first)
        return min(1.0, (self.step - first) / length) if length > 0 else 1.0

    @property
    def remaining_s(self) -> float | None:
        """Seconds to the end, as fast as the last steps and validations were; None before that is known."""
        window = max(_RECENT, 2 * self.validate_every)
        recent = [s for s in self._times if s >= self.step - window]
        if len(recent) < 3:
            return None
        first, last = min(recent), max(recent)
        return (self._times[last] - self._times[first]) / (last - first) * (self.steps - self.step)

    @property
    def best(self) -> float | None:
        """Best validation IoU so far."""
        return max((float(v["score"]) for v in self.validations.values()), default=None)


def describe_seconds(seconds: float) -> str:
    """Say a time roughly, as people do."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = seconds / 60
    return f"{round(minutes)} min" if minutes < 90 else f"{minutes / 60:.1f} h"
