"""The limits file in the form: chosen, read again when it changes, or begun from an example."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QPushButton, QWidget

from napari_micro_ktnet.errors import MicroKTNetError
from napari_micro_ktnet.gui import inputs
from napari_micro_ktnet.gui.agglomerates.export import ask_path
from napari_micro_ktnet.gui.jobs import report_failure
from napari_micro_ktnet.gui.parts import tool

if TYPE_CHECKING:
    from napari_micro_ktnet.measurement.limits import Limits

HELP = "Limits of your lab (TOML): gives a verdict. Without a file there is none."


class LimitsField(QWidget):
    """Path of a limits file."""

    def __init__(self) -> None:
        super().__init__()
        self.path = QLineEdit()
        self.path.setPlaceholderText("no verdict")
        self.path.setToolTip(HELP)
        self.browse = tool("…", "Choose the limits file of your lab")
        self.new = QPushButton("New…")
        self.new.setToolTip("Write a limits file with remarks, to put your own numbers into")
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(self.path, 1)
        line.addWidget(self.browse)
        line.addWidget(self.new)
        self._read: tuple[object, Limits | None, str] = (None, None, "")
        self.browse.clicked.connect(self._choose)
        self.new.clicked.connect(self._begin)

    def check(self) -> tuple[Limits | None, str]:
        """Read the file unless it is as it was: its limits, or why there are none; mark the field."""
        text = self.path.text().strip()
        known = (text, _changed(Path(text))) if text else None
        if known != self._read[0]:
            self._read = (known, *_read(Path(text))) if text else (None, None, "")
        _, limits, problem = self._read
        inputs.mark(self.path, problem, HELP)
        return limits, problem

    def _choose(self) -> None:
        name, _ = QFileDialog.getOpenFileName(
            self, "Choose a limits file", "", "TOML (*.toml);;All files (*)"
        )
        if name:
            self.path.setText(name)

    def _begin(self) -> None:
        from napari_micro_ktnet.measurement.limits_example import write_example

        path = ask_path(self, "Write a limits file", "limits.toml")
        if path is None:
            return
        try:
            write_example(path)
        except MicroKTNetError as error:
            report_failure(error)
            return
        self.path.setText(str(path))


def _changed(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        # What is wrong with it is said by whoever reads it.
        return None
    return found.st_mtime_ns, found.st_size


def _read(path: Path) -> tuple[Limits | None, str]:
    from napari_micro_ktnet.measurement.limits import read_limits

    try:
        return read_limits(path), ""
    except MicroKTNetError as error:
        return None, str(error)
