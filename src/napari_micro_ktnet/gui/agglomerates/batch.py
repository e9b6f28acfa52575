"""The batch tab of the Agglomerates widget: a folder of SEM files to labels, tables and a report."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QFileDialog, QScrollArea, QVBoxLayout, QWidget

from napari_micro_ktnet.errors import InputError, MicroKTNetError
from napari_micro_ktnet.gui import inputs, settings
from napari_micro_ktnet.gui import pixel_size as sizes
from napari_micro_ktnet.gui.agglomerates.batch_run import (
    BatchOutcome,
    BatchRequest,
    BatchStep,
    batch_steps,
)
from napari_micro_ktnet.gui.agglomerates.batch_view import HELP, BatchForm
from napari_micro_ktnet.gui.agglomerates.checks import check_folders
from napari_micro_ktnet.gui.agglomerates.text import describe_options, summary, verdict_text
from napari_micro_ktnet.gui.jobs import Cancelled, Done, Failed
from napari_micro_ktnet.gui.parts import say
from napari_micro_ktnet.gui.task import Task
from napari_micro_ktnet.model.registry import list_models, model_info

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_micro_ktnet.gui.agglomerates.run import Options


class BatchTab(QWidget):
    """Segment and measure a folder.

    Parameters
    ----------
    options : callable
        Gives how to measure: as the measuring tab says.
    """

    def __init__(self, options: Callable[[], Options]) -> None:
        super().__init__()
        self.form = BatchForm()
        self.task: Task[BatchStep, BatchOutcome] | None = None
        self.outcome: BatchOutcome | None = None
        self._options = options
        self._done = BatchStep(0, 0)
        self._output = Path()
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        area.setWidget(self.form)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(area)
        self._connect_form()
        self.refresh_models()

    @property
    def running(self) -> bool:
        """Whether a batch is under way."""
        return self.task is not None

    def refresh_models(self) -> None:
        """Read the list of models again, and keep the choice where it still exists."""
        box = self.form.model
        chosen = box.currentData()
        files = [box.itemData(i) for i in range(box.count()) if Path(box.itemData(i)).suffix]
        box.blockSignals(True)
        box.clear()
        for info in list_models():
            box.addItem(info.name, info.name)
        for path in files:
            box.addItem(Path(path).stem, path)
        box.setCurrentIndex(max(0, box.findData(chosen)))
        box.blockSignals(False)
        self.update_checks()

    def update_checks(self) -> bool:
        """Mark bad fields, say the first problem, and let Run be pressed only where there is none."""
        form = self.form
        problems = check_folders(form.folder.text(), form.output.text())
        problems["model"] = self._model_problem()
        problems["pixel_size"] = self._pixel_size()[1]
        limits, limits_problem = form.limits.check()
        missing = [p for p in form.earlier_paths if not p.is_file()]
        problems["earlier"] = f"There is no file {missing[0]}." if missing else ""
        for name, problem in problems.items():
            inputs.mark(getattr(form, name), problem, HELP[name])
        first = next((p for p in (*problems.values(), limits_problem) if p), "")
        form.how.setText(describe_options(self._options(), limits))
        if not self.running:
            form.run.setEnabled(not first)
            form.run.setToolTip(first or "Segment and measure all images of the folder")
            say(form.message, first, "problem")
        return not first

    def run_or_cancel(self) -> None:
        """Start a batch, or cancel the one under way."""
        form = self.form
        if self.task is not None:
            self.task.cancel()
            form.run.setEnabled(False)
            form.run.setText("Cancelling…")
            return
        if not self.update_checks():
            return
        request = self._request()
        self._done, self._output, self.outcome = BatchStep(0, 0), request.output, None
        form.errors.clear()
        for each in (form.errors, form.verdict, form.open_report, form.open_folder):
            each.hide()
        form.progress.setRange(0, 0)
        form.progress.show()
        form.run.setText("Cancel")
        say(form.message, "Loading…")
        self.task = Task(lambda: batch_steps(request), f"Batch of {request.folder.name}")
        self.task.on_step = self._step
        self.task.on_end = partial(self._ended, self.task)
        # The widget may be deleted before the end; `self` must not be touched then.
        self.destroyed.connect(self.task.abandon)
        self.task.start()

    def _connect_form(self) -> None:
        form = self.form
        form.run.clicked.connect(self.run_or_cancel)
        for line in (form.folder, form.output, form.pixel_size, form.earlier, form.limits.path):
            line.textChanged.connect(self.update_checks)
        form.model.currentIndexChanged.connect(self.update_checks)
        form.browse_model.clicked.connect(self._browse_model)
        form.open_report.clicked.connect(self._open_report)
        form.open_folder.clicked.connect(lambda: _open(self._output))

    def _request(self) -> BatchRequest:
        form = self.form
        limits = form.limits.check()[0]
        return BatchRequest(
            folder=Path(form.folder.text().strip()),
            output=Path(form.output.text().strip()),
            model=str(form.model.currentData()),
            threshold=form.threshold.value,
            device=settings.preferred_device(),
            options=self._options().with_limits(limits),
            pixel_size=self._pixel_size()[0],
            limits=limits,
            report=form.report.isChecked(),
            lot=form.lot.text().strip(),
            operator=form.operator.text().strip(),
            earlier=form.earlier_paths,
        )

    def _pixel_size(self) -> tuple[float | None, str]:
        text = self.form.pixel_size.text().strip()
        if not text:
            return None, ""
        try:
            return sizes.check_pixel_size(sizes.read_length(text, "nm")), ""
        except InputError as error:
            return None, str(error)

    def _model_problem(self) -> str:
        name = self.form.model.currentData()
        if name is None:
            return "No model is installed: choose a model file with … or train one."
        try:
            model_info(name)
        except MicroKTNetError as error:
            return str(error)
        return ""

    def _browse_model(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self, "Choose a model", "", "Models (*.safetensors);;All files (*)"
        )
        if path:
            self.form.model.addItem(Path(path).stem, path)
            self.form.model.setCurrentIndex(self.form.model.count() - 1)

    def _step(self, step: BatchStep) -> None:
        form, self._done = self.form, step
        if step.total:
            form.progress.setRange(0, step.total)
            form.progress.setValue(step.done)
        counted = f"{step.done} of {step.total} files. " if step.total else ""
        say(form.message, f"{counted}{step.text}")
        if step.error:
            form.errors.addItem(step.error)
            form.errors.show()

    def _ended(
        self, task: Task[BatchStep, BatchOutcome], outcome: Done[BatchOutcome] | Failed | Cancelled
    ) -> None:
        self.destroyed.disconnect(task.abandon)
        form, self.task = self.form, None
        form.progress.hide()
        form.run.setText("Run")
        self.update_checks()
        form.open_folder.setVisible(self._output.is_dir())
        if isinstance(outcome, Done):
            self._show(outcome.value)
        elif isinstance(outcome, Cancelled):
            done = f"{self._done.done} of {self._done.total} files are finished" if self._done.total else ""
            say(form.message, f"Cancelled. {done}{': Run goes on from there.' if done else ''}")
        else:
            say(form.message, str(outcome.error), "problem")

    def _show(self, outcome: BatchOutcome) -> None:
        form, result = self.form, outcome.result
        self.outcome = outcome
        failed = f"{len(result.errors)} of {result.files} files failed. " if result.errors else ""
        reused = f"{self._done.reused} files were finished before. " if self._done.reused else ""
        if result.measurement is None:
            say(form.message, f"{failed}Nothing could be measured.", "problem")
            return
        say(form.message, f"{failed}{reused}{summary(result.measurement)}", "warning" if failed else "")
        verdict = result.measurement.verdict
        say(form.verdict, *(verdict_text(verdict) if verdict else ("", "")))
        form.open_report.setVisible(outcome.report is not None)

    def _open_report(self) -> None:
        if self.outcome is not None and self.outcome.report is not None:
            _open(self.outcome.report)


def _open(path: Path) -> None:
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(path)))
