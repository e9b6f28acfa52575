"""One comparison in a viewer."""

from __future__ import annotations

from napari_micro_ktnet.gui.jobs import Cancelled, Done, Failed
from napari_micro_ktnet.gui.metrics.run import Comparison, FoldersRequest, LayersRequest, Step, compare_steps
from napari_micro_ktnet.gui.task import Task

Outcome = Done[Comparison] | Failed | Cancelled


class MetricsSession(Task[Step, Comparison]):
    """Compare in the background; a cancelled comparison ends after the image at work.

    Parameters
    ----------
    request : LayersRequest or FoldersRequest
        What to do.
    """

    def __init__(self, request: LayersRequest | FoldersRequest) -> None:
        super().__init__(lambda: compare_steps(request), "Compare with the truth")
