"""Find agglomerates in SEM images with Micro-KTNet.

Everything public is imported on first use, so that neither torch nor Qt is loaded by
``import napari_micro_ktnet``.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from napari_micro_ktnet.triton_guard import keep_triton_out

if TYPE_CHECKING:
    from napari_micro_ktnet.measurement.evaluation import evaluate
    from napari_micro_ktnet.measurement.measuring import measure
    from napari_micro_ktnet.model.registry import list_models, load_model
    from napari_micro_ktnet.predict.inference import segment
    from napari_micro_ktnet.sem import SEMImage, read_sem
    from napari_micro_ktnet.training.loop import train

__version__ = version("napari-micro-ktnet")

_WHERE = {
    "SEMImage": "napari_micro_ktnet.sem",
    "read_sem": "napari_micro_ktnet.sem",
    "segment": "napari_micro_ktnet.predict.inference",
    "load_model": "napari_micro_ktnet.model.registry",
    "list_models": "napari_micro_ktnet.model.registry",
    "evaluate": "napari_micro_ktnet.measurement.evaluation",
    "measure": "napari_micro_ktnet.measurement.measuring",
    "train": "napari_micro_ktnet.training.loop",
}

__all__ = [
    "SEMImage",
    "__version__",
    "evaluate",
    "list_models",
    "load_model",
    "measure",
    "read_sem",
    "segment",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        # In napari's console the window has drawn before torch is imported.
        keep_triton_out()
        return getattr(import_module(_WHERE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
