"""What splitting would do, shown while its depth is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_micro_ktnet.gui.agglomerates.layers import place_of, remove_preview, result_of, show_preview
from napari_micro_ktnet.gui.agglomerates.run import Preview, Step, preview_steps
from napari_micro_ktnet.gui.jobs import Cancelled, Done, Failed
from napari_micro_ktnet.gui.task import Task

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel
    from napari.layers import Labels, Layer

    from napari_micro_ktnet.gui.agglomerates.fields import ChosenField
    from napari_micro_ktnet.gui.agglomerates.run import FieldRequest, Options


class SplitPreview:
    """A layer with the parts that objects would fall into.

    Parameters
    ----------
    viewer : ViewerModel
        Where.
    on_change : callable
        Called when a preview begins, moves on, ends or goes.
    """

    def __init__(self, viewer: ViewerModel, on_change: Callable[[], None]) -> None:
        self._viewer = viewer
        self._on_change = on_change
        self._task: Task[Step, Preview] | None = None
        self._next: tuple[ChosenField, FieldRequest, Options] | None = None
        self._hidden: list[Layer] = []
        self._layer: Labels | None = None
        self._asked: tuple[Labels, Options] | None = None
        self.options: Options | None = None
        self.labels: Labels | None = None
        self.text = ""
        self.problem = ""

    @property
    def running(self) -> bool:
        """Whether a preview is being computed."""
        return self._task is not None

    @property
    def shown(self) -> bool:
        """Whether there is one to be seen."""
        return self._layer is not None and self._layer in self._viewer.layers

    def knows(self, labels: Labels, options: Options) -> bool:
        """Whether this was asked for already, shown or not."""
        return self._asked is not None and self._asked[0] is labels and self._asked[1] == options

    def forget(self, labels: Layer) -> None:
        """Compute it anew when it is asked for next: the labels were changed."""
        if self._asked is not None and self._asked[0] is labels:
            self._asked = None

    def show(self, chosen: ChosenField, request: FieldRequest, options: Options) -> None:
        """Compute a preview and show it; one that is at work is given up for it."""
        self._next, self._asked = (chosen, request, options), (chosen.labels, options)
        if self._task is not None:
            self._task.cancel()
            return
        self._begin()

    def cancel(self) -> None:
        """Give up what is at work; an earlier preview stays as it is."""
        self._next = None
        if self._task is not None:
            self._task.cancel()
            labels, options = self.labels, self.options
            self._asked = None if labels is None or options is None else (labels, options)

    def remove(self) -> None:
        """Take the preview away, and show again what it covered."""
        self.cancel()
        self._asked, self.text, self.problem = None, "", ""
        self._take_away()

    def _take_away(self) -> None:
        self.options = None
        for layer in self._hidden:
            if layer in self._viewer.layers:
                layer.visible = True
        self._hidden, layer, self._layer, self.labels = [], self._layer, None, None
        remove_preview(self._viewer, layer)

    def abandon(self) -> None:
        """Do the same, and tell nobody about it any more: the widget is gone."""
        self._on_change = lambda: None
        task, self._task = self._task, None
        if task is not None:
            task.abandon()
        self.remove()

    def _begin(self) -> None:
        if self._next is None:
            return
        (chosen, request, options), self._next = self._next, None
        self._task = Task(lambda: preview_steps(request, options), "Preview of splitting")
        self._task.on_step = self._step
        self._task.on_end = lambda outcome: self._ended(chosen, options, outcome)
        self.text = "Preview…"
        self._task.start()
        self._on_change()

    def _step(self, step: Step) -> None:
        self.text = f"Preview, {step.text}" if step.text else "Preview…"
        self._on_change()

    def _ended(
        self, chosen: ChosenField, options: Options, outcome: Done[Preview] | Failed | Cancelled
    ) -> None:
        self._task = None
        self.text = ""
        if isinstance(outcome, Done) and chosen.labels in self._viewer.layers:
            if self.labels is not chosen.labels:
                self._take_away()
            self._show(chosen, outcome.value)
            self.options, self.problem = options, ""
        elif isinstance(outcome, Failed):
            self.problem = str(outcome.error)
        if self._next is not None:
            self._begin()
        self._on_change()

    def _show(self, chosen: ChosenField, found: Preview) -> None:
        place = place_of(chosen.labels, chosen.image)
        if not self.shown:
            covered = [chosen.labels, result_of(self._viewer, place)]
            self._hidden = [x for x in covered if x is not None and x.visible]
        self._layer = show_preview(self._viewer, found.labels, place)
        self.labels = chosen.labels
        for layer in self._hidden:
            layer.visible = False
        self.text = (
            f"{found.cut} of {found.before} objects fall apart (coloured): {found.after} then. "
            "Press Measure for their sizes."
        )
