"""What the Train widget does beside training: the estimate, and the preview of varied crops."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QDialog, QLabel, QVBoxLayout, QWidget

from napari_micro_ktnet.errors import MicroKTNetError
from napari_micro_ktnet.gui.jobs import Cancelled, Done, Failed, Job, report_failure
from napari_micro_ktnet.gui.parts import say
from napari_micro_ktnet.gui.train.jobs import crops_steps, estimate_steps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_micro_ktnet.gui.train.run import TrainRequest
    from napari_micro_ktnet.gui.train.view import TrainForm

_DARKEST, _BRIGHTEST = -0.2, 1.2
_CROPS_WIDTH = 1000
_ESTIMATE = "Estimate time and memory"


class CropsDialog(QDialog):
    """Show varied crops.

    Parameters
    ----------
    parent : QWidget
        The widget that asks.
    mosaic : float32 ndarray, (Y, X)
        Stretched grey values.
    """

    def __init__(self, parent: QWidget, mosaic: NDArray[np.float32]) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Eight crops as training sees them")
        grey = (mosaic - _DARKEST) / (_BRIGHTEST - _DARKEST) * 255
        pixels = np.ascontiguousarray(grey.clip(0, 255).astype(np.uint8))
        height, width = pixels.shape
        image = QImage(pixels.tobytes(), width, height, width, QImage.Format.Format_Grayscale8)
        smooth = Qt.TransformationMode.SmoothTransformation
        self.picture = QLabel()
        self.picture.setPixmap(QPixmap.fromImage(image).scaledToWidth(_CROPS_WIDTH, smooth))
        QVBoxLayout(self).addWidget(self.picture)


class SideJobs:
    """Run them, one of each at a time.

    Parameters
    ----------
    form : TrainForm
        Says how it goes.
    request : callable
        Gives what the form asks for.
    images : callable
        Gives the images to take crops from.
    """

    def __init__(
        self,
        form: TrainForm,
        request: Callable[[], TrainRequest],
        images: Callable[[], list[Any]],
    ) -> None:
        self._form, self._request, self._images = form, request, images
        self._estimate: Job[None, str] | None = None
        self._crops: Job[None, Any] | None = None
        self.dialog: CropsDialog | None = None
        self._gone = False
        form.estimate.clicked.connect(self.estimate_or_cancel)
        form.settings.preview_asked.connect(self.show_crops)

    @property
    def estimating(self) -> bool:
        """Whether an estimate is being made."""
        return self._estimate is not None

    def estimate_or_cancel(self) -> None:
        """Measure time and memory, or stop doing so."""
        if self._estimate is not None:
            self._estimate.cancel()
            return
        try:
            request = self._request()
        except MicroKTNetError as error:
            say(self._form.estimated, str(error), "problem")
            return
        self._estimate = Job(lambda: estimate_steps(request), lambda _: None, self._estimated)
        say(self._form.estimated, "Taking a few steps to measure them…")
        self._form.estimate.setText("Cancel the estimate")
        self._estimate.start()

    def show_crops(self) -> None:
        """Show eight varied crops in a window."""
        if self._crops is not None:
            return
        images = self._images()
        if not images:
            say(self._form.estimated, "Choose annotated images first: crops of them are shown.", "problem")
            return
        config = self._form.settings.config()
        self._form.settings.show_augment.setEnabled(False)
        self._crops = Job(lambda: crops_steps(images, config), lambda _: None, self._show)
        self._crops.start()

    def abandon(self) -> None:
        """End both: the widget is gone."""
        for job in (self._estimate, self._crops):
            if job is not None:
                job.cancel()
        self._gone = True

    def _estimated(self, outcome: Done[str] | Failed | Cancelled) -> None:
        self._estimate = None
        if self._gone:
            return
        self._form.estimate.setText(_ESTIMATE)
        if isinstance(outcome, Done):
            say(self._form.estimated, outcome.value)
        else:
            failed = isinstance(outcome, Failed)
            say(
                self._form.estimated,
                str(outcome.error) if isinstance(outcome, Failed) else "",
                "problem" * failed,
            )

    def _show(self, outcome: Done[Any] | Failed | Cancelled) -> None:
        self._crops = None
        if self._gone:
            return
        self._form.settings.show_augment.setEnabled(True)
        if isinstance(outcome, Failed):
            report_failure(outcome.error)
        elif isinstance(outcome, Done):
            self.dialog = CropsDialog(self._form, outcome.value)
            self.dialog.show()
