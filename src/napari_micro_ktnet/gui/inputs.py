"""Checks of what a user chose, before anything runs; and the widgets that show their outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import QComboBox, QWidget

from napari_micro_ktnet.gui import layers as convert
from napari_micro_ktnet.predict.scaling import scaling_problem
from napari_micro_ktnet.predict.tiles import MULTIPLE
from napari_micro_ktnet.sem import grey_if_grey

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel
    from napari.layers import Image, Layer, Shapes

    from napari_micro_ktnet.model.spec import ModelSpec

FAR = 1.5
"""Pixel sizes that differ by more than this factor call for a warning."""

_SAMPLE_SIDE = 256
_BAD = "QComboBox, QAbstractSpinBox, QCheckBox, QLineEdit { border: 1px solid #e5534b; border-radius: 2px; }"


def check_image(image: Image | None) -> str:
    """Why an image layer cannot be segmented; empty if it can."""
    if image is None:
        return "Open a SEM image first (File > Open, or drop a file on the viewer)."
    pixels = convert.full_data(image)
    shape = convert.grid_shape(image)
    if pixels.dtype.kind not in "buif":
        return f"The image has the type {pixels.dtype}; grey values are needed."
    if 0 in shape:
        return f"The image is empty (shape {shape})."
    if len(shape) not in (2, 3) or (image.rgb and len(shape) != 2):
        return (
            f"The image has the shape {tuple(pixels.shape)}; (Y, X) or a stack (Z, Y, X) is needed. "
            "Split its channels or time points into layers first (right click on the layer)."
        )
    if image.rgb and _is_coloured(pixels):
        return (
            "The image is truly coloured; a grey SEM image is needed. Use one channel of it "
            "(right click on the layer > Split RGB), or export it without colour overlay."
        )
    return ""


def _is_coloured(pixels: Any) -> bool:
    """Look at a sample; the run itself looks at every pixel."""
    height, width = pixels.shape[:2]
    if isinstance(pixels, np.ndarray):
        sample = pixels[:: max(1, height // _SAMPLE_SIDE), :: max(1, width // _SAMPLE_SIDE)]
    else:
        sample = np.asarray(pixels[:_SAMPLE_SIDE, :_SAMPLE_SIDE])
    return grey_if_grey(sample)[1]


def check_region(shapes: Shapes | None) -> str:
    """Why a Shapes layer cannot be a region; empty if it can, or if none is asked for."""
    if shapes is None or convert.has_area(shapes):
        return ""
    return f"The layer {shapes.name!r} has no rectangle, ellipse or polygon: draw one, or choose no region."


def check_view(viewer: ViewerModel, image: Image | None, view_only: bool) -> str:
    """Why the current field of view cannot be taken; empty if it can, or if it is not asked for."""
    if not view_only or image is None:
        return ""
    ndim = image.ndim
    shown = [axis - (viewer.dims.ndim - ndim) for axis in viewer.dims.displayed]
    if viewer.dims.ndisplay != 2 or sorted(shown) != [ndim - 2, ndim - 1]:
        return "The viewer must show Y and X in 2D to take its field of view."
    if any(s.stop - s.start < 1 for s in convert.view_box(image)):
        return "The image is outside of the field of view."
    return ""


def check_tile(tile: int) -> str:
    """Why a tile size cannot be used; empty if it can. 0 is automatic."""
    return (
        "" if tile == 0 or tile >= MULTIPLE else f"A tile must be at least {MULTIPLE} pixels, or automatic."
    )


def pixel_size_factors(image: Image | None, spec: ModelSpec | None) -> tuple[float, float] | None:
    """Divide the image's pixel size by the model's ``(y, x)``, where both are known and far apart."""
    if image is None or spec is None or spec.pixel_size_nm is None:
        return None
    size = convert.pixel_size_nm(image)
    if size is None:
        return None
    factors = (size[0] / spec.pixel_size_nm[0], size[1] / spec.pixel_size_nm[1])
    return factors if max(*factors, 1 / factors[0], 1 / factors[1]) > FAR else None


def check_rescale(image: Image | None, factors: tuple[float, float] | None) -> str:
    """Why an image cannot be rescaled by the factors; empty if it can, or if it is not asked for."""
    if image is None or factors is None:
        return ""
    return scaling_problem(convert.grid_shape(image)[-2:], factors)


def mark(widget: QWidget, problem: str, help_text: str) -> None:
    """Colour a field whose input is bad and let its tooltip say why; otherwise show the usual help."""
    widget.setStyleSheet(_BAD if problem else "")
    widget.setToolTip(problem or help_text)


class LayerCombo(QComboBox):
    """A choice among the layers of one type in a viewer.

    Parameters
    ----------
    viewer : ViewerModel
        Whose layers.
    kind : type
        Layer class.
    none : str, optional
        Text of a first entry that means no layer.
    accept : callable, optional
        Whether a layer is offered; without it, if this package did not make it.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        kind: type[Layer],
        none: str = "",
        accept: Callable[[Layer], bool] | None = None,
    ) -> None:
        super().__init__()
        self._viewer = viewer
        self._kind = kind
        self._none = none
        # What this package made of an image (a probability) is no image to start from.
        self._accept = accept or (lambda layer: convert.RESULT_KEY not in layer.metadata)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(8)
        self.refill()

    @property
    def layer(self) -> Any:
        """The chosen layer, or None."""
        return self.currentData()

    def choose(self, layer: Layer | None) -> None:
        """Choose a layer of the list."""
        for index in range(self.count()):
            if self.itemData(index) is layer:
                self.setCurrentIndex(index)

    def refill(self) -> None:
        """Show the layers as they are now and keep the choice where it still exists."""
        chosen = self.layer
        self.blockSignals(True)
        self.clear()
        if self._none:
            self.addItem(self._none, None)
        for layer in reversed(self._viewer.layers):
            if isinstance(layer, self._kind) and self._accept(layer):
                self.addItem(layer.name, layer)
        self.choose(chosen)
        self.blockSignals(False)
        if self.layer is not chosen:
            self.currentIndexChanged.emit(self.currentIndex())
