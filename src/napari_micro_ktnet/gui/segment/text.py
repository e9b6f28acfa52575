"""What the Segment widget says about models, pixel sizes and results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_micro_ktnet.gui.layers import pixel_size_nm

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_micro_ktnet.gui.live_result import LiveResult
    from napari_micro_ktnet.model.registry import ModelInfo
    from napari_micro_ktnet.model.spec import ModelSpec


def describe_model(info: ModelInfo | None) -> str:
    """Say encoder, classes, training pixel size and licence in one line."""
    if info is None:
        return ""
    spec = info.spec
    parts = [
        f"{spec.architecture}, {spec.encoder}",
        "finds " + ", ".join(each.name for each in spec.classes),
        f"trained at {_size(spec.pixel_size_nm)}" if spec.pixel_size_nm else "trained at mixed pixel sizes",
        spec.licence or "licence not stated",
    ]
    return " · ".join(parts)


def describe_pixel_sizes(image: Image, spec: ModelSpec) -> str:
    """Warn that the image's pixel size is far from the model's."""
    return (
        f"The image's pixels are {_size(pixel_size_nm(image))}, the model was trained at "
        f"{_size(spec.pixel_size_nm)}: agglomerates look larger or smaller than those it knows."
    )


def describe_result(result: LiveResult) -> str:
    """Share of each class and what was left out."""
    shares = zip(result.spec.classes, result.area_fractions(), strict=False)
    text = ", ".join(f"{each.name} {share:.2%}" for each, share in shares) + " of the analysed area"
    if result.bar_rows:
        text += f"; a data bar of {result.bar_rows} rows was left out"
    return text + "."


def _size(size: tuple[float, float] | None) -> str:
    if size is None:
        return "unknown"
    y, x = size
    if abs(y - x) <= 1e-3 * x:
        return f"{x:.3g} nm"
    return f"{y:.3g} x {x:.3g} nm"
