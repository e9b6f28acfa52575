"""Time whole-image segmentation against its own forward passes and against a plain sliding window.

    python benchmarks/inference.py [--encoder se_resnext50_32x4d] [--architecture micro-ktnet] [--repeats 5]

All three run the same network with the same weights, number type and memory layout on the same
1280 x 960 image, in turn, in one process; the model is loaded before. The sliding window is what
the published MicroNet code does: 512 x 512 tiles at stride 256 on the padded image (25 forward
passes) with float64 accumulation, written anew here. Medians and ratios of medians are printed.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from napari_micro_ktnet.model.architectures import build_network
from napari_micro_ktnet.model.registry import Model
from napari_micro_ktnet.model.spec import ModelSpec
from napari_micro_ktnet.predict.device import autocast_dtype, pick_device, tile_budget
from napari_micro_ktnet.predict.inference import segment
from napari_micro_ktnet.predict.intensity import find_stretch
from napari_micro_ktnet.predict.runner import normalise
from napari_micro_ktnet.predict.tiles import plan_tiles
from napari_micro_ktnet.synthetic import masterbatch_image


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--encoder", default="se_resnext50_32x4d")
    parser.add_argument("--architecture", default="micro-ktnet")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    device = pick_device(args.device)
    dtype = autocast_dtype(device)
    torch.manual_seed(0)
    spec = ModelSpec(architecture=args.architecture, encoder=args.encoder)
    model = Model("benchmark", build_network(spec).eval(), spec)
    image = masterbatch_image(seed=1).pixels
    network = model.network.to(device).to(memory_format=torch.channels_last)
    stretch = find_stretch(image, spec.normalization)

    def forward(grey: np.ndarray) -> torch.Tensor:
        x = normalise(torch.from_numpy(grey[None]).to(device), spec.normalization)
        with torch.inference_mode(), torch.autocast(device.type, dtype, enabled=dtype is not None):
            return network(x)

    plan = plan_tiles(image.shape, budget=tile_budget(device))
    tile = stretch(np.resize(image, (plan.y.tile, plan.x.tile)))

    def bare() -> None:
        for _ in range(len(plan)):
            _wait(forward(tile))

    def ours() -> None:
        segment(image, model, device=args.device)

    def sliding_window() -> None:
        padded = np.pad(stretch(image).astype(np.float64), ((288, 288), (128, 128)), "reflect")
        total, weight = np.zeros(padded.shape), np.zeros(padded.shape)
        passes = 0
        for top in range(0, padded.shape[0] - 511, 256):
            for left in range(0, padded.shape[1] - 511, 256):
                part = np.s_[top : top + 512, left : left + 512]
                logits = forward(padded[part].astype(np.float32))
                total[part] += logits.float().sigmoid()[0, 0].double().cpu().numpy()
                weight[part] += 1
                passes += 1
        assert passes == 25, passes  # noqa: S101
        _ = total / weight

    times = _alternate({"bare": bare, "ours": ours, "sliding": sliding_window}, args.repeats)
    network_name = f"{args.architecture} {args.encoder}"
    print(f"{network_name} on {device.type}, {dtype or torch.float32}, {torch.get_num_threads()} threads")
    print(f"{len(plan)} tile(s) of {plan.y.tile} x {plan.x.tile}, image {image.shape[0]} x {image.shape[1]}")
    for name, values in times.items():
        median = statistics.median(values)
        print(f"{name:8} median {median:.3f} s  min {min(values):.3f}  max {max(values):.3f}")
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f"segment / (tiles x forward pass) = {medians['ours'] / medians['bare']:.3f}   (target <= 1.05)")
    print(f"segment / sliding window         = {medians['ours'] / medians['sliding']:.3f}   (target <= 0.2)")


def _wait(result: torch.Tensor) -> None:
    # Accelerators compute asynchronously; asking for a value waits.
    result.flatten()[0].item()


def _alternate(tasks: dict[str, Callable[[], None]], repeats: int) -> dict[str, list[float]]:
    """Time the tasks in turn, after one warm-up each, so that drift hits all alike."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for round_number in range(repeats + 1):
        for name, task in tasks.items():
            start = time.perf_counter()
            task()
            if round_number:
                times[name].append(time.perf_counter() - start)
    return times


if __name__ == "__main__":
    main()
