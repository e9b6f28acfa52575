"""A viewer, models that need no torch, and a network that is done at once."""

# ruff: noqa: E402 - the environment must be set before napari and Qt are imported

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copyfile
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("NAPARI_STRICT_QT", "1")
os.environ.setdefault("NAPARI_ENSURE_PLUGIN_MAIN_THREAD", "1")
HAS_DISPLAY = sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
if not HAS_DISPLAY:
    # Widgets do without a screen; only a drawn viewer needs OpenGL.
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
import pytest
from npe2 import PluginManager
from safetensors.numpy import save_file

pytest.importorskip("napari")
pytest.importorskip("qtpy")

from napari.components import ViewerModel
from napari.utils.notifications import Notification, NotificationSeverity, notification_manager

from blobs import blobs
from fake_training import FakeProcess
from napari_micro_ktnet.gui.segment import run as segment_run
from napari_micro_ktnet.gui.segment.widget import SegmentWidget
from napari_micro_ktnet.gui.train import run as train_run
from napari_micro_ktnet.gui.train.widget import TrainWidget
from napari_micro_ktnet.model.checkpoint import _Header
from napari_micro_ktnet.model.spec import LabelClass, ModelSpec
from napari_micro_ktnet.predict.result import Segmentation

ONE = ModelSpec(licence="BSD-3-Clause", pixel_size_nm=(20.0, 20.0))
TWO = ModelSpec(
    classes=(LabelClass(name="agglomerate", color="#ff0000"), LabelClass(name="pore", color="#00ff00"))
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not HAS_DISPLAY:
        for item in items:
            if item.get_closest_marker("gui"):
                item.add_marker(pytest.mark.skip(reason="no display to draw a napari window on"))


def write_model(path: Path, spec: ModelSpec) -> Path:
    """A file that says all about a model but has no weights for it."""
    save_file({"x": np.zeros(1)}, path, metadata={"micro_ktnet": _Header(spec=spec).model_dump_json()})
    return path


@pytest.fixture(autouse=True, scope="session")
def _plugins() -> None:
    """A viewer model alone does not look for plugins in every version of napari."""
    PluginManager.instance().discover()


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The models folder, with `one` and `two`."""
    folder = tmp_path / "models"
    folder.mkdir()
    monkeypatch.setenv("MICRO_KTNET_MODELS", str(folder))
    monkeypatch.setattr(
        "napari_micro_ktnet.model.registry.starter_path", lambda: tmp_path / "starter.safetensors"
    )
    write_model(folder / "one.safetensors", ONE)
    write_model(folder / "two.safetensors", TWO)
    return folder


class FakeNetwork:
    """Two tiles, left and right half; the probability of a pixel is its grey value / 255.

    Waits for `gate` before every tile, so that a test can look at, or disturb, a running job.
    """

    def __init__(self) -> None:
        self.gate = threading.Semaphore(1000)
        self.closed = threading.Event()
        self.error: Exception | None = None
        self.calls: list[tuple[Any, dict[str, Any]]] = []
        self.threads: list[int] = []

    def hold(self) -> None:
        """Let no tile through until `let` says so."""
        self.gate = threading.Semaphore(0)

    def let(self, tiles: int = 1) -> None:
        self.gate.release(tiles)

    def __call__(self, image: Any, model: str, **options: Any) -> Iterator[SimpleNamespace]:
        self.calls.append((image, {"model": model, **options}))
        self.threads.append(threading.get_ident())
        pixels = image.pixels[..., 0] if image.rgb else image.pixels
        slices = pixels if pixels.ndim == 3 else pixels[None]
        spec = TWO if model == "two" else ONE
        out = np.zeros((spec.channels, *slices.shape), np.float32)
        halves = (slice(0, pixels.shape[-1] // 2), slice(pixels.shape[-1] // 2, pixels.shape[-1]))
        region = options["region"]
        try:
            for step in range(2 * len(slices)):
                assert self.gate.acquire(timeout=30)
                if self.error is not None:
                    raise self.error
                z, columns = step // 2, halves[step % 2]
                grey = slices[z][:, columns] / np.float32(255)
                out[:, z, :, columns] = grey if len(out) == 1 else (1 - grey, grey * 0.75, grey * 0.25)
                rows = slice(0, pixels.shape[-2])
                yield SimpleNamespace(
                    done=step + 1,
                    total=2 * len(slices),
                    slice_index=z,
                    rows=rows,
                    columns=columns,
                    probability=out[:, z],
                )
            out[..., ~region] = 0
            return Segmentation(
                probability=out if pixels.ndim == 3 else out[:, 0],
                analysed=np.broadcast_to(region, pixels.shape).copy(),
                spec=spec,
                model_name=model,
                model_sha256="0" * 64,
                pixel_size=image.pixel_size,
                parameters={"device": "cpu"},
            )
        finally:
            self.closed.set()


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> FakeNetwork:
    fake = FakeNetwork()
    monkeypatch.setattr(segment_run, "import_prediction", lambda: fake)
    return fake


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Error messages that napari was asked to show."""
    shown: list[str] = []
    monkeypatch.setattr("napari_micro_ktnet.gui.jobs.show_error", shown.append)
    return shown


@pytest.fixture
def warned() -> Iterator[list[str]]:
    """Warnings that napari was asked to show, and nothing but warnings."""
    shown: list[str] = []

    def keep(notification: Notification) -> None:
        assert notification.severity == NotificationSeverity.WARNING
        shown.append(notification.message)

    notification_manager.notification_ready.connect(keep)
    yield shown
    notification_manager.notification_ready.disconnect(keep)


@pytest.fixture
def viewer() -> ViewerModel:
    return ViewerModel()


@pytest.fixture
def grey() -> np.ndarray:
    """``(40, 60)``, from 0 on the left to 236 on the right."""
    return np.tile((np.arange(60) * 4).astype(np.uint8), (40, 1))


@pytest.fixture
def widget(qtbot: Any, viewer: ViewerModel, models: Path, network: FakeNetwork) -> SegmentWidget:
    made = SegmentWidget(viewer)
    qtbot.addWidget(made)
    return made


@pytest.fixture
def run(qtbot: Any) -> Callable[[SegmentWidget], None]:
    """Press Run and wait for the end."""

    def press(widget: SegmentWidget) -> None:
        assert widget.form.run.isEnabled(), widget.form.message.text()
        widget.form.run.click()
        qtbot.waitUntil(lambda: not widget.running, timeout=20_000)

    return press


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MICRO_KTNET_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(train_run, "TrainingProcess", FakeProcess)
    FakeProcess.started = []
    FakeProcess.gate = threading.Semaphore(1000)
    FakeProcess.fail_at = 0
    return tmp_path / "runs"


@pytest.fixture
def train(qtbot: Any, viewer: Any, models: Path, runs: Path) -> TrainWidget:
    # A starter whose file says what it is, and no more.
    copyfile(models / "one.safetensors", models.parent / "starter.safetensors")
    made = TrainWidget(viewer)
    qtbot.addWidget(made)
    return made


@pytest.fixture
def annotated(viewer: Any, train: TrainWidget) -> list[Any]:
    """Two images with full masks, in turn."""
    made = []
    for i in range(2):
        grey, mask = blobs((160, 240), seed=i)
        made += [viewer.add_image(grey, name=f"field {i}", scale=(0.02, 0.02), units=("um", "um"))]
        made += [viewer.add_labels(mask, name=f"field {i}_mask", scale=(0.02, 0.02), units=("um", "um"))]
    return made


@pytest.fixture
def press(qtbot: Any) -> Callable[[TrainWidget], None]:
    def press(widget: TrainWidget) -> None:
        assert widget.form.train.isEnabled(), widget.form.message.text()
        widget.form.train.click()
        qtbot.waitUntil(lambda: not widget.running, timeout=20_000)

    return press
