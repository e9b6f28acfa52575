"""Variation of training crops. Every draw comes from the generator that is handed in."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from napari_micro_ktnet.training.config import AugmentConfig
from napari_micro_ktnet.training.losses import IGNORE


def take_crop(
    image: NDArray[np.floating],
    mask: NDArray[np.uint8],
    centre: tuple[int, int],
    size: int,
    magnification: float,
) -> tuple[Tensor, Tensor]:
    """Cut a square around a pixel and resize it.

    Parameters
    ----------
    image, mask : ndarray, (Y, X)
        Stretched grey values, and classes.
    centre : tuple of int
        Pixel ``(y, x)`` to be near the centre; the square is moved to lie inside the image, and
        reflected parts fill what an image smaller than the square lacks.
    size : int
        Side of the result in pixels.
    magnification : float
        Above 1 the square is smaller than `size` and enlarged.

    Returns
    -------
    image : Tensor, (size, size), float32
    mask : Tensor, (size, size), uint8
    """
    side = max(2, round(size / magnification))
    rows, columns = (_span(c, side, length) for c, length in zip(centre, image.shape, strict=True))
    x = torch.from_numpy(image[rows, columns].astype(np.float32))
    t = torch.from_numpy(mask[rows, columns])
    if x.shape != (side, side):
        pad = [(0, side - n) for n in x.shape]
        x = torch.from_numpy(np.pad(x.numpy(), pad, "symmetric"))
        t = torch.from_numpy(np.pad(t.numpy(), pad, constant_values=IGNORE))
    if side != size:
        shrink = side > size
        x = F.interpolate(x[None, None], (size, size), mode="bilinear", antialias=shrink)[0, 0]
        t = F.interpolate(t[None, None], (size, size), mode="nearest-exact")[0, 0]
    return x, t


def _span(centre: int, side: int, length: int) -> slice:
    start = min(max(centre - side // 2, 0), max(length - side, 0))
    return slice(start, min(start + side, length))


def vary(
    image: Tensor, mask: Tensor, rng: np.random.Generator, config: AugmentConfig
) -> tuple[Tensor, Tensor]:
    """Flip a crop and change its grey values.

    Parameters
    ----------
    image : Tensor, (Y, X)
        Stretched to about 0..1; values beyond are kept.
    mask : Tensor, (Y, X)
        Classes; only flipped.
    rng : numpy Generator
        Source of every draw.
    config : AugmentConfig
        How much.
    """
    for axis, probability in ((1, config.horizontal_flip), (0, config.vertical_flip)):
        if rng.random() < probability:
            image, mask = image.flip(axis), mask.flip(axis)
    if rng.random() < config.transpose:
        image, mask = image.T, mask.T
    image = _optics(image, rng, config)
    return _grey_values(image, rng, config), mask.contiguous()


def _optics(image: Tensor, rng: np.random.Generator, config: AugmentConfig) -> Tensor:
    """Defocus or edge enhancement, never both."""
    draw = rng.random()
    if draw >= config.blur + config.sharpen:
        return image
    sigma = rng.uniform(0.3, config.blur_sigma)
    width = 2 * int(np.ceil(3 * sigma)) + 1
    blurred: Tensor = tv.gaussian_blur(image[None], [width, width], [sigma, sigma])[0]
    if draw < config.blur:
        return blurred
    sharpened: Tensor = image + float(rng.uniform(0.3, 1.2)) * (image - blurred)
    return sharpened


def _grey_values(image: Tensor, rng: np.random.Generator, config: AugmentConfig) -> Tensor:
    # Gamma is defined on 0..1; what lies beyond is mapped linearly so that nothing is cut off.
    gamma = float(np.exp(rng.uniform(-1, 1) * np.log1p(config.gamma)))
    inside = image.clamp(0, 1)
    image = inside.pow(gamma) + (image - inside)
    contrast = 1 + rng.uniform(-config.contrast, config.contrast)
    brightness = rng.uniform(-config.brightness, config.brightness)
    image = (image - 0.5) * contrast + 0.5 + brightness
    if config.shading:
        knots = torch.from_numpy(rng.uniform(-1, 1, (1, 1, 3, 3)).astype(np.float32))
        drift = F.interpolate(knots, image.shape, mode="bicubic", align_corners=True)[0, 0]
        image = image + drift * float(rng.uniform(0, config.shading))
    if config.noise:
        sigma = float(rng.uniform(0, config.noise))
        image = image + torch.from_numpy(rng.standard_normal(image.shape, np.float32)) * sigma
    return image
