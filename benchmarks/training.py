"""Time training steps against the plain loop of the published MicroNet code.

    python benchmarks/training.py [--encoder se_resnext50_32x4d] [--batch-size 4] [--crop 256] [--steps 5]

Both train the same network with the same loss on the same batches, in turn, in one process. The plain
loop is what segmentation-models-pytorch's `TrainEpoch` does, written anew here: float32, default memory
layout, Adam, and IoU on every batch. Drawing the batch is part of both. How long drawing alone takes is
printed too: where it is far below a step, the loader is not what limits training.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from napari_micro_ktnet.model.architectures import build_network
from napari_micro_ktnet.model.encoders import canonical_encoder
from napari_micro_ktnet.model.spec import ModelSpec
from napari_micro_ktnet.predict.device import pick_device
from napari_micro_ktnet.predict.runner import normalise
from napari_micro_ktnet.synthetic import masterbatch_image
from napari_micro_ktnet.training.config import preset
from napari_micro_ktnet.training.dataset import CropSampler, ImagePair
from napari_micro_ktnet.training.losses import segmentation_loss
from napari_micro_ktnet.training.trainer import Trainer, make_fabric


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--encoder", default="se_resnext50_32x4d")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--crop", type=int, default=256)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    config = preset(
        "paper",
        encoder=args.encoder,
        init="random",
        batch_size=args.batch_size,
        crop=args.crop,
        device=args.device,
    )
    scenes = [masterbatch_image(seed=seed) for seed in range(4)]
    pairs = [ImagePair(str(i), s.pixels, s.mask.astype(np.uint8)) for i, s in enumerate(scenes)]
    spec = ModelSpec(encoder=canonical_encoder(args.encoder))
    sampler = CropSampler(pairs, spec.normalization, config)
    torch.manual_seed(0)
    fabric = make_fabric(config)
    trainer = Trainer(fabric, build_network(spec), spec, config, sampler)
    device = pick_device(args.device)
    plain = build_network(spec).to(device).train()
    optimizer = torch.optim.Adam(plain.parameters(), lr=2e-4)

    def plain_step(step: int) -> None:
        grey, target = (t.to(device) for t in sampler.batch(step))
        optimizer.zero_grad()
        logits = plain(normalise(grey, spec.normalization))
        loss = segmentation_loss(logits, target)
        loss.backward()
        optimizer.step()
        predicted = logits.detach().sigmoid()[:, 0] > 0.5
        ((predicted & (target == 1)).sum() / (predicted | (target == 1)).sum()).item()
        loss.item()

    times = _alternate(
        {
            "plain": plain_step,
            "ours": lambda step: trainer.step(step),
            "drawing": lambda step: sampler.batch(step),
        },
        args.steps,
    )
    print(
        f"{args.encoder} on {device.type}, {args.batch_size} crops of {args.crop}, "
        f"{torch.get_num_threads()} threads, {fabric._precision.precision}"
    )
    for name, seconds in times.items():
        print(f"{name:8} {seconds:7.3f} s a step, {args.batch_size / seconds:7.1f} images/s")
    print(f"ours / plain, images a second: {times['plain'] / times['ours']:.2f}")


def _alternate(tasks: dict[str, Callable[[int], object]], steps: int) -> dict[str, float]:
    """Medians over steps taken in turn; the first of each only warms up."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for step in range(1, steps + 2):
        for name, task in tasks.items():
            start = time.perf_counter()
            task(step)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(seconds[1:]) for name, seconds in times.items()}


if __name__ == "__main__":
    main()
