"""Tiled inference: a generator that yields after every tile, and a function that drains it."""

from __future__ import annotations

import os
from collections.abc import Generator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.model.registry import STARTER, Model, load_model
from napari_micro_ktnet.predict.device import explaining_memory
from napari_micro_ktnet.predict.inputs import ImageLike, as_array, as_grey_image
from napari_micro_ktnet.predict.result import Segmentation
from napari_micro_ktnet.predict.runner import Runner, TileReport, make_options
from napari_micro_ktnet.predict.scaling import scale_factors, scaling_problem
from napari_micro_ktnet.sem import SEMImage


def segment(
    image: ImageLike,
    model: str | os.PathLike[str] | Model = STARTER,
    *,
    region: ArrayLike | None = None,
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
    region : array of bool, (Y, X), optional
        Look only where it is True, in every slice.
    match_pixel_size : bool
        Bring the image to the pixel size that the model was trained at, where both are known;
        the result has the image's own size again.
    **options
        Fields of `PredictOptions`: ``tile``, ``overlap``, ``batch_size``, ``device``,
        ``precision``, ``orientations``.

    Returns
    -------
    Segmentation
        ``.probability (C, Y, X)`` and ``.labels(threshold)``.

    Raises
    ------
    InputError
        The image, the region or an option cannot be used, or memory is too small for them.
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
    region: ArrayLike | None = None,
    match_pixel_size: bool = False,
    **options: Any,
) -> Generator[TileReport, None, Segmentation]:
    """Do the work of `segment`, yielding after every tile; the result is the return value.

    Takes what `segment` takes. Closing the generator stops the work and leaves nothing behind.
    """
    settings = make_options(options)
    grey = as_grey_image(image)
    loaded = load_model(model)
    slices = grey.pixels if grey.pixels.ndim == 3 else grey.pixels[None]
    asked = _asked(slices.shape[1:], grey.analysed_rows, region)
    factors = _factors(grey, loaded.spec.pixel_size_nm) if match_pixel_size else None
    with explaining_memory(f"an image of shape {grey.pixels.shape}"):
        runner = Runner(loaded, settings)
        probability = np.zeros((loaded.spec.channels, *slices.shape), np.float32)
        analysed = np.zeros(slices.shape, bool)
        before = 0
        for z, each in enumerate(slices):
            # Of a stack that is read on demand one slice after the other is in memory.
            pixels = np.asarray(each)
            analysed[z] = asked & np.isfinite(pixels) if pixels.dtype.kind == "f" else asked
            if not analysed[z].any():
                continue
            left = len(slices) - z
            for report in runner.run(pixels, analysed[z], probability[:, z], factors):
                done, total = before + report.done, before + report.total * left
                yield replace(report, slice_index=z, done=done, total=total)
            before += report.total
    if not analysed.any():
        raise InputError(
            "Nothing is left to analyse: every pixel is in the data bar, outside the region, or not a "
            "finite number. Check the region and the image's grey values."
        )
    return Segmentation(
        probability=probability if grey.pixels.ndim == 3 else probability[:, 0],
        analysed=analysed if grey.pixels.ndim == 3 else analysed[0],
        spec=loaded.spec,
        model_name=loaded.name,
        model_sha256=loaded.sha256,
        pixel_size=grey.pixel_size,
        parameters=runner.parameters | {"match_pixel_size": factors is not None},
    )


def _asked(shape: tuple[int, ...], rows: slice, region: ArrayLike | None) -> NDArray[np.bool_]:
    """Where to look in every slice ``(Y, X)``, as far as its grey values are numbers."""
    asked = np.zeros(shape, bool)
    asked[rows] = True
    if region is not None:
        inside = as_array(region, "the region")
        if inside.shape != shape:
            raise InputError(f"The region has the shape {inside.shape}; the image's is {shape}.")
        asked &= inside.astype(bool)
    return asked


def _factors(image: SEMImage, trained: tuple[float, float] | None) -> tuple[float, float]:
    factors = scale_factors(image.pixel_size, trained)
    problem = scaling_problem(image.pixels.shape[-2:], factors)
    if problem:
        raise InputError(problem)
    return factors
