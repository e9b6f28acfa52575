"""The Train widget: annotated layers or folders, a start, a press on Train; a model in the list."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QScrollArea, QVBoxLayout, QWidget

from napari_micro_ktnet.errors import MicroKTNetError
from napari_micro_ktnet.gui import inputs
from napari_micro_ktnet.gui import layers as convert
from napari_micro_ktnet.gui.links import ViewerLinks
from napari_micro_ktnet.gui.segment.widget import SegmentWidget
from napari_micro_ktnet.gui.train import data as data
from napari_micro_ktnet.gui.train import layers as made
from napari_micro_ktnet.gui.train.run import TrainRequest, free_name
from napari_micro_ktnet.gui.train.runs import RunPanel
from napari_micro_ktnet.gui.train.side import SideJobs
from napari_micro_ktnet.gui.train.view import HELP, TrainForm
from napari_micro_ktnet.model.registry import check_new_name
from napari_micro_ktnet.training.config import DataConfig
from napari_micro_ktnet.training.run import runs_folder

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_micro_ktnet.gui.train.session import TrainSession
    from napari_micro_ktnet.training.config import Annotation

_DEBOUNCE_MS = 300
_NARROWEST = 350
_NUMBER = re.compile(r"-\d+$")


class TrainWidget(QWidget):
    """Train a model on annotated images.

    Parameters
    ----------
    napari_viewer : Viewer
        The viewer whose layers are trained on.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        # A plugin gets a proxy, through which the same layer is never the same object twice.
        self.viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self.form = TrainForm(self.viewer)
        self.panel = RunPanel(self.viewer, self.form, self.update_checks, self._trained)
        self.side = SideJobs(self.form, self.request, self._preview_images)
        self._painted: set[Labels] = set()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_DEBOUNCE_MS)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        area.setWidget(self.form)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(area)
        self.setMinimumWidth(_NARROWEST)
        self.form.name.setText(free_name())
        self._connect_form()
        self._links = ViewerLinks(
            self.viewer, self._layers_changed, self._layers_changed, self._layers_changed, self._layer_painted
        )
        for forget in (self._links.cut, self.panel.abandon, self.side.abandon):
            self.destroyed.connect(forget)
        self._layers_changed()
        self.panel.refresh(offer=True)

    @property
    def session(self) -> TrainSession | None:
        """The run that is followed."""
        return self.panel.session

    @property
    def running(self) -> bool:
        """Whether a run is followed now."""
        return self.panel.running

    @property
    def folders(self) -> bool:
        """Whether folders are asked for rather than layers."""
        return self.form.source.currentIndex() == 1

    def update_checks(self) -> bool:
        """Mark bad fields, say the first problem, and let Train be pressed only where there is none."""
        if self._painted:
            self._count_painted()
        form = self.form
        # All of them, so that every bad field is marked.
        problems = [
            self._folder_problem() if self.folders else form.pairs.problem(),
            form.classes.problem(),
            form.start.problem(),
            form.settings.problem(),
            self._name_problem(),
        ]
        first = next((p for p in problems if p), "")
        form.correct.setEnabled(any(made.is_prediction(x) for x in self.viewer.layers))
        form.new_layer.setEnabled(any(isinstance(x, Image) for x in self.viewer.layers))
        form.estimate.setEnabled(not self.running and (self.side.estimating or not first))
        form.train.setEnabled(not first and not self.running)
        form.train.setToolTip(first or HELP["train"])
        if not self.running:
            self.panel.show_message(first)
        return not first

    def request(self) -> TrainRequest:
        """Put together what the fields say.

        Raises
        ------
        MicroKTNetError
            A setting is out of range.
        """
        form = self.form
        classes = form.classes.classes
        folders = None
        if self.folders:
            folders = DataConfig(
                images=Path(form.images.text()).expanduser().absolute(),
                masks=Path(form.masks.text()).expanduser().absolute(),
                annotation="scribbles" if form.annotation.currentText() == "scribbles" else "full",
                class_names=tuple(c.name for c in classes) if form.classes.edited else (),
            )
        return TrainRequest(
            form.name.text(),
            form.settings.config(classes=classes, **form.start.fields()),
            () if self.folders else [data.take_pixels(pair) for pair in form.pairs.pairs()],
            folders,
            form.settings.minutes,
        )

    def train(self) -> None:
        """Start a run."""
        if self.running or not self.update_checks():
            return
        self.panel.train(self.request)

    def new_annotation(self) -> None:
        """Add an empty Labels layer on the image that is worked on."""
        image = self._image_at_work()
        if image is not None:
            kind: Annotation = "full" if self.form.new_kind.currentText() == "full" else "scribbles"
            layer = made.add_annotation(self.viewer, image, self.form.classes.classes, kind)
            self.form.pairs.choose(layer, image, kind)

    def correct_prediction(self) -> None:
        """Copy a result of Segment, the selected one or the last, to be corrected and trained on."""
        active = self.viewer.layers.selection.active
        found = [x for x in self.viewer.layers if made.is_prediction(x)]
        if not found:
            return
        prediction = active if active in found else found[-1]
        names = prediction.metadata[convert.RESULT_KEY]["classes"]
        if not self.form.classes.edited:
            self.form.classes.take_up(data.read_classes(prediction, "full", {len(names): 1}))
        try:
            layer, image = made.correct(self.viewer, prediction, self.form.classes.classes)
        except MicroKTNetError as error:
            self.panel.show_message(str(error))
            return
        self.form.pairs.choose(layer, image, layer.metadata[data.ANNOTATION_KEY]["kind"])

    def _connect_form(self) -> None:
        form = self.form
        form.train.clicked.connect(self.train)
        form.new_layer.clicked.connect(self.new_annotation)
        form.correct.clicked.connect(self.correct_prediction)
        form.source.currentIndexChanged.connect(self._source_changed)
        form.pairs.changed.connect(self._pairs_changed)
        form.classes.changed.connect(self._classes_changed)
        self._timer.timeout.connect(self.update_checks)
        for changed in (form.start.changed, form.settings.changed):
            changed.connect(self.update_checks)
        for line in (form.images, form.masks, form.name):
            line.textChanged.connect(self.update_checks)

    def _source_changed(self) -> None:
        self.form.show_folders(self.folders)
        self.update_checks()

    def _layers_changed(self, layer: Any = None) -> None:
        self.form.pairs.refill()
        self.form.show_folders(self.folders)

    def _layer_painted(self, layer: Labels) -> None:
        # A stroke of the brush is many events.
        self._painted.add(layer)
        self._timer.start()

    def _count_painted(self) -> None:
        painted, self._painted = self._painted, set()
        for layer in painted:
            self.form.pairs.painted(layer)

    def _pairs_changed(self) -> None:
        pairs = self.form.pairs.pairs()
        found = [data.read_classes(p.labels, p.annotation, self.form.pairs.counts(p.labels)) for p in pairs]
        if found:
            self.form.classes.take_up(max(found, key=len))
        self.update_checks()

    def _classes_changed(self) -> None:
        if self.form.classes.edited and not self.form.classes.problem():
            made.recolor(self.viewer, self.form.classes.classes)
        self.update_checks()

    def _image_at_work(self) -> Image | None:
        """Find the selected image, else that of the selected labels, else one that nobody annotated yet."""
        active = self.viewer.layers.selection.active
        images = [x for x in self.viewer.layers if isinstance(x, Image) and not inputs.check_image(x)]
        images = [x for x in images if convert.RESULT_KEY not in x.metadata]
        if active in images:
            return active
        if isinstance(active, Labels) and (found := data.suggest_image(active, images)) is not None:
            return found
        annotated = [pair.image for pair in self.form.pairs.pairs()]
        return next((x for x in images if x not in annotated), images[-1] if images else None)

    def _folder_problem(self) -> str:
        problems = {}
        for name in ("images", "masks"):
            text = getattr(self.form, name).text().strip()
            good = bool(text) and Path(text).expanduser().is_dir()
            problems[name] = (
                "" if good else f"Choose the folder of {name}." if not text else f"There is no folder {text}."
            )
            inputs.mark(getattr(self.form, name), problems[name], HELP[name])
        return problems["images"] or problems["masks"]

    def _name_problem(self) -> str:
        name, text = self.form.name.text(), ""
        try:
            check_new_name(name)
        except MicroKTNetError as error:
            text = str(error)
        if not text and not self.running and (runs_folder() / name).exists():
            text = f"There is a run named {name!r} already: choose another name, or resume it below."
        inputs.mark(self.form.name, text, HELP["name"])
        return text

    def _preview_images(self) -> list[Any]:
        """Give what the preview of the augmentation cuts from: image layers, or files."""
        if self.folders:
            folder = Path(self.form.images.text()).expanduser()
            return sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))[:2]
        return [convert.full_data(pair.image) for pair in self.form.pairs.pairs()]

    def _trained(self) -> None:
        """Show the new model wherever models are chosen."""
        self.form.start.refresh()
        for widget in QApplication.allWidgets():
            if isinstance(widget, SegmentWidget):
                widget.refresh_models()
        self.form.name.setText(free_name(_NUMBER.sub("", self.form.name.text())))
