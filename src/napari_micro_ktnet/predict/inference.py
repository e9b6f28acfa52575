"""Tiled inference: a generator that yields after every tile, and a function that drains it."""

from __future__ import annotations

import os
from collections.abc import Generator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.model.registry import STARTER, Model, load_model
from napari_micro_ktnet.predict.inputs import ImageLike, as_grey_image
from napari_micro_ktnet.predict.result import Segmentation
from napari_micro_ktnet.predict.runner import Runner, TileReport, make_options


def segment(
    image: ImageLike,
    model: str | os.PathLike[str] | Model = STARTER,
    *,
    region: NDArray[np.bool_] | None = None,
    match_pixel_size: bool = False,
    **options: Any,
) -> Segmentation:
    """Find the classes of a model in an image.

    Parameters
    ----------
    image : SEMImage, array or path
        ``(Y, X)``, a stack ``(Z, Y, X)``, grey stored as RGB, or a file.
    model : str, path or Model
        A name from `list_models`, a file, or what `load_model` gave.
    region : ndarray of bool, (Y, X), optional
        Look only where it is True.
    match_pixel_size : bool
        Bring the image to the pixel size that the model was trained at, where both are known;
        the result has the image's own size again.
    **options
        Fields of `PredictOptions`: ``tile``, ``overlap``, ``batch_size``, ``device``,
        ``precision``.

    Returns
    -------
    Segmentation
        ``.probability (C, Y, X)`` and ``.labels(threshold)``.

    Raises
    ------
    InputError
        The image, the region or an option cannot be used.
    ReadError
        The file cannot be read.
    ModelError
        The model cannot be loaded.

    Examples
    --------
    >>> from napari_micro_ktnet import segment
    >>> labels = segment("image.tif").labels()  # doctest: +SKIP
    """
    steps = iter_segment(image, model, region=region, match_pixel_size=match_pixel_size, **options)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result: Segmentation = stop.value
            return result


def iter_segment(
    image: ImageLike,
    model: str | os.PathLike[str] | Model = STARTER,
    *,
    region: NDArray[np.bool_] | None = None,
    match_pixel_size: bool = False,
    **options: Any,
) -> Generator[TileReport, None, Segmentation]:
    """Do the work of `segment`, yielding after every tile; the result is the return value.

    Takes what `segment` takes. Closing the generator stops the work and leaves nothing behind.
    """
    settings = make_options(options)
    grey = as_grey_image(image)
    loaded = load_model(model)
    analysed = _analysed(grey.pixels, grey.analysed_rows, region)
    factors = _scale_factors(grey.pixel_size, loaded.spec.pixel_size_nm) if match_pixel_size else None
    runner = Runner(loaded, settings)
    slices = grey.pixels if grey.pixels.ndim == 3 else grey.pixels[None]
    probability = np.zeros((loaded.spec.channels, *slices.shape), np.float32)
    for z, pixels in enumerate(slices):
        # Of a stack that is read on demand one slice after the other is in memory.
        for report in runner.run(np.asarray(pixels), analysed, probability[:, z], factors):
            yield replace(
                report,
                slice_index=z,
                done=report.done + z * report.total,
                total=report.total * len(slices),
            )
    return Segmentation(
        probability=probability if grey.pixels.ndim == 3 else probability[:, 0],
        analysed=analysed,
        spec=loaded.spec,
        model_name=loaded.name,
        model_sha256=loaded.sha256,
        pixel_size=grey.pixel_size,
        parameters=runner.parameters | {"match_pixel_size": factors is not None},
    )


def _analysed(pixels: NDArray[Any], rows: slice, region: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
    """Where to look, ``(Y, X)``."""
    shape = pixels.shape[-2:]
    analysed = np.zeros(shape, bool)
    analysed[rows] = True
    if region is not None:
        if region.shape != shape:
            raise InputError(f"The region has the shape {region.shape}; the image's is {shape}.")
        analysed &= region.astype(bool)
    if pixels.dtype.kind == "f":
        for each in pixels if pixels.ndim == 3 else (pixels,):
            analysed &= np.asarray(np.isfinite(each))
    if not analysed.any():
        raise InputError(
            "Nothing is left to analyse: every pixel is in the data bar, outside the region, or not a "
            "finite number. Check the region and the image's grey values."
        )
    return analysed


def _scale_factors(
    found: tuple[float, float] | None, trained: tuple[float, float] | None
) -> tuple[float, float] | None:
    if found is None or trained is None:
        raise InputError(
            f"The image's pixel size is {found or 'unknown'} and the model's is {trained or 'unknown'} (nm, "
            "y and x): both must be known to bring one to the other. Set the pixel size, or do not rescale."
        )
    return found[0] / trained[0], found[1] / trained[1]
