"""One run in a viewer: the job, the layers it fills, and the way back if it does not finish."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from napari.utils import progress

from napari_micro_ktnet.gui.jobs import Cancelled, Done, Failed, Job, report_failure
from napari_micro_ktnet.gui.live_result import LiveResult, prepare_labels
from napari_micro_ktnet.gui.segment.run import Request, RunResult, TileDone, run_request

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_micro_ktnet.model.spec import ModelSpec

Outcome = Done[RunResult] | Failed | Cancelled


def _run(request: Request, spec: ModelSpec) -> Generator[TileDone, None, RunResult]:
    # Called in the worker's thread, where it keeps no window waiting.
    prepare_labels(spec)
    return run_request(request)


class RunSession:
    """Segment an image layer in the background.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layers go.
    image : Image
        The layer that `request` was made from.
    request : Request
        What to do.
    spec : ModelSpec
        Of the model that the request names.
    previous : LiveResult or None
        An earlier result of the same image; hidden, because it would shine through the new one.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        image: Image,
        request: Request,
        spec: ModelSpec,
        previous: LiveResult | None = None,
    ) -> None:
        self.viewer = viewer
        self.image = image
        self.live = LiveResult(viewer, image, spec)
        self.threshold: Callable[[], float] = lambda: 0.5
        self.on_tile: Callable[[TileDone], None] = lambda tile: None
        self.on_end: Callable[[Outcome], None] = lambda outcome: None
        self.seconds = 0.0
        self._started = 0.0
        self._covered = [x for x in (previous.layers if previous else []) if x.visible]
        self._bar: Any = None
        self._not_shown: Exception | None = None
        self._job = Job(partial(_run, request, spec), self._step, self._end)

    @property
    def running(self) -> bool:
        """Whether the end is still to come."""
        return self._job.running

    def start(self) -> None:
        """Begin."""
        self._started = time.perf_counter()
        self.viewer.layers.events.removed.connect(self._layer_removed)
        self._bar = progress(total=0, desc=f"Segment {self.image.name}")
        self._job.start()

    def cancel(self) -> None:
        """Stop after the tile at work; the viewer then is as it was before."""
        self._job.cancel()

    def abandon(self) -> None:
        """Cancel, and tell nobody about it any more: the widget is gone."""
        self.on_tile = lambda tile: None
        self.on_end = lambda outcome: None
        self.cancel()

    def _layer_removed(self, event: Any) -> None:
        # Whoever deletes the image or its growing result does not want the rest of it.
        if event.value is self.image or event.value is self.live.labels:
            self.cancel()

    def _step(self, tile: TileDone) -> None:
        try:
            self._show_covered(visible=tile.probability is None and self.live.labels is None)
            self.live.show_tile(tile, self.threshold())
        except Exception as error:  # noqa: BLE001 - told at the end; the tiles to come would fail in the same way
            self._not_shown = error
            self.cancel()
            return
        self.on_tile(tile)
        if tile.total:
            self._bar.total = tile.total
            self._bar.update(tile.done - self._bar.n)

    def _end(self, outcome: Outcome) -> None:
        self.seconds = time.perf_counter() - self._started
        self.viewer.layers.events.removed.disconnect(self._layer_removed)
        self._bar.close()
        if self._not_shown is not None:
            outcome = Failed(self._not_shown)
        if isinstance(outcome, Done):
            try:
                self._show_covered(visible=False)
                self.live.finish(outcome.value, self.threshold())
            except Exception as error:  # noqa: BLE001 - shown below, and the viewer becomes what it was
                outcome = Failed(error)
        if not isinstance(outcome, Done):
            self.live.discard()
            self._show_covered(visible=True)
        if isinstance(outcome, Failed):
            report_failure(outcome.error)
        self.on_end(outcome)

    def _show_covered(self, *, visible: bool) -> None:
        for layer in self._covered:
            if layer.visible != visible:
                layer.visible = visible
