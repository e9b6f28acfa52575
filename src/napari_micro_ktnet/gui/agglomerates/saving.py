"""Saving a measurement: the buttons of the export part at work."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from napari_micro_ktnet.errors import MicroKTNetError
from napari_micro_ktnet.gui.agglomerates import export as export
from napari_micro_ktnet.gui.agglomerates.trace import Origin, report_fields
from napari_micro_ktnet.gui.jobs import Cancelled, Done, Failed, report_failure
from napari_micro_ktnet.gui.parts import say
from napari_micro_ktnet.gui.task import Task

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_micro_ktnet.gui.agglomerates.run import Measured, Step


class Saving:
    """CSV, JSON and report of what is shown.

    Parameters
    ----------
    part : ExportPart
        Its buttons.
    """

    def __init__(self, part: export.ExportPart) -> None:
        self._part = part
        self._measured: Measured | None = None
        self._origins: list[Origin] = []
        self._task: Task[Step, Path] | None = None
        part.csv.clicked.connect(lambda: self._save("agglomerates.csv", export.write_csv))
        part.json.clicked.connect(lambda: self._save("agglomerates.json", export.write_json))
        part.report.clicked.connect(self._report)

    @property
    def running(self) -> bool:
        """Whether a report is being written."""
        return self._task is not None

    def offer(self, measured: Measured, origins: list[Origin]) -> None:
        """Save this from now on."""
        self._measured, self._origins = measured, origins
        self._part.show_report(None)
        say(self._part.message, "")

    def abandon(self) -> None:
        """Give a report up that is being written, and tell nobody about it: the widget is gone."""
        if self._task is not None:
            self._task.abandon()

    def _save(self, name: str, write: Callable[[Any, Path], None]) -> None:
        path = export.ask_path(self._part, "Save", name) if self._measured is not None else None
        if path is None or self._measured is None:
            return
        try:
            write(self._measured.measurement, path)
        except MicroKTNetError as error:
            report_failure(error)
            return
        say(self._part.message, f"Written: {path}", "good")

    def _report(self) -> None:
        measured, part = self._measured, self._part
        path = export.ask_path(part, "Write a report", "agglomerates.html") if measured else None
        if path is None or measured is None:
            return
        fields, text = partial(report_fields, measured, self._origins), part.typed
        self._task = Task(lambda: export.report_steps(path, measured, fields, text), "Write the report")
        self._task.on_end = self._reported
        part.report.setEnabled(False)
        part.show_report(None)
        say(part.message, "Writing the report…")
        self._task.start()

    def _reported(self, outcome: Done[Path] | Failed | Cancelled) -> None:
        self._task = None
        self._part.report.setEnabled(True)
        if isinstance(outcome, Done):
            say(self._part.message, f"Written: {outcome.value}", "good")
            self._part.show_report(outcome.value)
        else:
            say(self._part.message, str(outcome.error) if isinstance(outcome, Failed) else "", "problem")
