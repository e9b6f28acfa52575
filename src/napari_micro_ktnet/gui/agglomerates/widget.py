"""The Agglomerates widget: is this lot good? Labels are measured here, folders of files in its second tab."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QTabWidget, QVBoxLayout, QWidget

from napari_micro_ktnet.gui.agglomerates.batch import BatchTab
from napari_micro_ktnet.gui.agglomerates.measure import MeasureTab

if TYPE_CHECKING:
    from napari.viewer import Viewer

_NARROWEST = 340


class AgglomeratesWidget(QWidget):
    """Measure agglomerates, in layers or in folders of files.

    Parameters
    ----------
    napari_viewer : Viewer
        The viewer whose layers are measured.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        # A plugin gets a proxy, through which the same layer is never the same object twice.
        viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self.measure = MeasureTab(viewer)
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.addTab(self.measure, "Measure")
        self.batch = BatchTab(lambda: self.measure.form.options)
        self.tabs.addTab(self.batch, "Batch")
        self.tabs.currentChanged.connect(self.batch.refresh_models)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 0)
        column.addWidget(self.tabs)
        self.setMinimumWidth(_NARROWEST)
