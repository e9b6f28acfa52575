"""One network on one device, over one image: tile by tile, stepping down when memory runs out."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from numbers import Integral, Real
from types import NoneType
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.transform import resize
from torch import Tensor

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.model.registry import Model
from napari_micro_ktnet.model.spec import ORIENTATION_COUNTS, Normalization
from napari_micro_ktnet.predict.device import (
    Precision,
    autocast_dtype,
    is_out_of_memory,
    pick_device,
    tile_budget,
)
from napari_micro_ktnet.predict.fast_network import inference_network
from napari_micro_ktnet.predict.intensity import Stretch, find_stretch
from napari_micro_ktnet.predict.orientations import ORIENTATIONS
from napari_micro_ktnet.predict.scaling import scaled_shape
from napari_micro_ktnet.predict.tiles import OVERLAP, Tile, TilePlan, plan_tiles

_SMALLEST_TILE = 128


@dataclass(frozen=True)
class PredictOptions:
    """How a network is run over an image.

    Attributes
    ----------
    tile : int or None
        Side of square tiles in pixels; None chooses large tiles that waste little.
    overlap : float
        Least share of a tile that neighbours have in common, 0 to below 0.9.
    batch_size : int
        Tiles per forward pass.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.
    precision : {"auto", "float32", "bfloat16"}
        ``"auto"`` computes in 16 bit where the processor gains from it.
    orientations : int or None
        Take the mean over so many mirrored and turned copies of every tile: 1, 2, 4 or 8, which takes as
        many times as long. None takes the model's own number; see `ModelSpec`.

    Raises
    ------
    InputError
        A number is out of range, or the device is not there.
    """

    tile: int | None = None
    overlap: float = OVERLAP
    batch_size: int = 1
    device: str = "auto"
    precision: Precision = "auto"
    orientations: int | None = None

    def __post_init__(self) -> None:
        _check_types(self)
        if self.batch_size < 1:
            raise InputError(f"The batch size must be at least 1, found {self.batch_size}.")
        plan_tiles((1, 1), tile=self.tile, overlap=self.overlap)
        pick_device(self.device)


def _check_types(options: PredictOptions) -> None:
    """Say which option cannot be used, before arithmetic with it fails somewhere."""
    fitting: dict[str, tuple[Any, str]] = {
        "tile": ((Integral, NoneType), "an integer or None"),
        "overlap": (Real, "a number"),
        "batch_size": (Integral, "an integer"),
        "device": (str, "a name such as 'auto', 'cpu' or 'cuda:1'"),
        "precision": (str, "one of " + ", ".join(get_args(Precision))),
        "orientations": ((Integral, NoneType), "1, 2, 4, 8 or None"),
    }
    allowed = {"precision": get_args(Precision), "orientations": (None, *ORIENTATION_COUNTS)}
    for name, (kinds, expected) in fitting.items():
        value = getattr(options, name)
        if not isinstance(value, kinds) or value not in allowed.get(name, (value,)):
            raise InputError(f"The option {name} is {value!r}, expected {expected}.")


def make_options(values: dict[str, Any]) -> PredictOptions:
    """Make options from keyword arguments.

    Raises
    ------
    InputError
        An option is unknown or out of range.
    """
    try:
        return PredictOptions(**values)
    except TypeError as error:
        known = ", ".join(PredictOptions.__dataclass_fields__)
        raise InputError(f"{error}. Options are {known}.") from error


@dataclass(frozen=True, eq=False)
class TileReport:
    """One tile is done.

    Attributes
    ----------
    done, total : int
        Tiles done and planned, over all slices; of slices to come as many are planned as of this one.
        `done` can fall back when memory ran out and a slice is begun anew with smaller tiles.
    slice_index : int
        Index along Z, 0 for a single image.
    rows, columns : slice
        Where the tile lies in the full image, of `probability` too. Near its edges the values
        are final only after the neighbours.
    probability : ndarray of float32, (C, Y, X)
        The whole slice as far as it is done: a live view, to be read before the next step.
    """

    done: int
    total: int
    slice_index: int
    rows: slice
    columns: slice
    probability: NDArray[np.float32]


class Runner:
    """A network on a device, stepping down when memory runs out.

    Parameters
    ----------
    model : Model
        What runs is a faster copy of its network; see `inference_network`.
    options : PredictOptions
        Where and how.
    """

    def __init__(self, model: Model, options: PredictOptions) -> None:
        self.model = model
        self.options = options
        self.orientations = ORIENTATIONS[: options.orientations or model.spec.orientations]
        self._place(pick_device(options.device))

    def _place(self, device: torch.device) -> None:
        self.device = device
        self.dtype = autocast_dtype(device, self.options.precision)
        self.budget = tile_budget(device)
        try:
            self.network = inference_network(self.model.network, device, self.dtype)
        except (MemoryError, RuntimeError) as error:
            if device.type == "cpu" or not is_out_of_memory(error):
                raise
            warnings.warn(
                f"The model does not fit into the memory of {device}; going on with the CPU.", stacklevel=2
            )
            self._place(torch.device("cpu"))

    @property
    def parameters(self) -> dict[str, Any]:
        """What was used in the end, for the record."""
        dtype = "float32" if self.dtype is None else str(self.dtype).removeprefix("torch.")
        used = {"device": self.device.type, "precision": dtype, "orientations": len(self.orientations)}
        return asdict(self.options) | used

    def run(
        self,
        pixels: NDArray[Any],
        analysed: NDArray[np.bool_],
        out: NDArray[np.float32],
        factors: tuple[float, float] | None,
    ) -> Iterator[TileReport]:
        """Fill `out` ``(C, Y, X)`` with the probabilities of one slice ``(Y, X)``."""
        rows, columns = _bounds(analysed)
        part, inside = pixels[rows, columns], analysed[rows, columns]
        stretch = find_stretch(part, self.model.spec.normalization, inside)
        target = out[:, rows, columns]
        if factors is None:
            for tile, done, total in self._until_it_fits(part, stretch, inside, target):
                yield _report(tile, done, total, rows.start, columns.start, out)
        else:
            shape = scaled_shape(part.shape, factors)
            part = resize(stretch(part), shape, order=1, anti_aliasing=min(factors) < 1)
            stretch = Stretch(0.0, 1.0, stretch.clip)
            canvas = np.zeros((len(out), *shape), np.float32)
            for _, done, total in self._until_it_fits(part, stretch, np.ones(shape, bool), canvas):
                yield TileReport(done, total, 0, rows, columns, out)
            for channel, scaled in zip(target, canvas, strict=True):
                channel[:] = resize(scaled, channel.shape, order=1)
        out[:, ~analysed] = 0

    def _until_it_fits(
        self,
        pixels: NDArray[Any],
        stretch: Stretch,
        inside: NDArray[np.bool_],
        canvas: NDArray[np.float32],
    ) -> Iterator[tuple[Tile, int, int]]:
        """Do all tiles, and begin anew with smaller work whenever memory runs out."""
        while True:
            try:
                yield from self._tiles(pixels, stretch, inside, canvas)
                return
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                self._step_down(error, pixels.shape)
                canvas[:] = 0

    def _tiles(
        self,
        pixels: NDArray[Any],
        stretch: Stretch,
        inside: NDArray[np.bool_],
        canvas: NDArray[np.float32],
    ) -> Iterator[tuple[Tile, int, int]]:
        plan = self._plan(pixels.shape)
        tiles = [t for t in plan if inside[t.rows, t.columns].any()]
        size = self.options.batch_size
        for first in range(0, len(tiles), size):
            batch = tiles[first : first + size]
            for tile, probability in zip(batch, self._forward(pixels, stretch, batch), strict=True):
                top, left = (p[0] for p in tile.padding)
                height, width = len(tile.window[0]), len(tile.window[1])
                probability = probability[:, top : top + height, left : left + width]
                window = tile.window[0][:, None] * tile.window[1]
                canvas[:, tile.rows, tile.columns] += probability * window
                first += 1
                yield tile, first, len(tiles)

    def _plan(self, shape: tuple[int, ...]) -> TilePlan:
        return plan_tiles(
            (shape[0], shape[1]), tile=self.options.tile, overlap=self.options.overlap, budget=self.budget
        )

    @torch.inference_mode()
    def _forward(self, pixels: NDArray[Any], stretch: Stretch, batch: Sequence[Tile]) -> NDArray[np.float32]:
        """Probabilities ``(N, C, Y, X)`` of the padded tiles of one batch."""
        tiles = np.stack([np.pad(stretch(pixels[t.rows, t.columns]), t.padding, "symmetric") for t in batch])
        grey = torch.from_numpy(tiles).to(self.device)
        first, *others = self.orientations
        total = first.turn_back(self._probabilities(first.turn(grey)))
        for each in others:
            total += each.turn_back(self._probabilities(each.turn(grey)))
        array: NDArray[np.float32] = (total / len(self.orientations)).cpu().numpy()
        return array

    def _probabilities(self, grey: Tensor) -> Tensor:
        """Run the network over stretched tiles ``(N, Y, X)``."""
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None):
            logits = self.network(normalise(grey, self.model.spec.normalization)).float()
        found: Tensor = logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(1)
        return found

    def _step_down(self, error: BaseException, shape: tuple[int, ...]) -> None:
        """Choose smaller work: batch, then tile, then the CPU."""
        plan = self._plan(shape)
        side = max(plan.y.tile, plan.x.tile)
        if self.options.batch_size > 1:
            self.options = replace(self.options, batch_size=self.options.batch_size // 2)
            now = f"{self.options.batch_size} tiles at a time"
        elif side > _SMALLEST_TILE:
            tile = max(_SMALLEST_TILE, side // 64 * 32)
            self.options = replace(self.options, tile=tile)
            now = f"tiles of {tile} pixels"
        elif self.device.type != "cpu":
            self._place(torch.device("cpu"))
            now = "the CPU"
        else:
            raise InputError(
                "There is not enough memory even for the smallest tiles on the CPU. "
                "Close other programs, or choose a smaller model."
            ) from error
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        warnings.warn(f"Memory ran out; going on with {now}.", stacklevel=2)


def normalise(grey: Tensor, normalization: Normalization) -> Tensor:
    """Repeat stretched grey images to three channels and apply mean and standard deviation.

    Parameters
    ----------
    grey : Tensor
        ``(N, Y, X)``, float32, stretched to about 0..1.
    normalization : Normalization
        The model's record.

    Returns
    -------
    Tensor
        ``(N, 3, Y, X)``, channels last in memory.
    """
    mean = grey.new_tensor(normalization.mean)
    std = grey.new_tensor(normalization.std)
    # (N, Y, X, 1) against (3,) is channels-last already; permuting is free.
    return ((grey[..., None] - mean) / std).permute(0, 3, 1, 2)


def _bounds(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _report(tile: Tile, done: int, total: int, top: int, left: int, out: NDArray[np.float32]) -> TileReport:
    rows = slice(tile.rows.start + top, tile.rows.stop + top)
    columns = slice(tile.columns.start + left, tile.columns.stop + left)
    return TileReport(done, total, 0, rows, columns, out)
