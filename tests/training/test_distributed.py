"""Two processes that share each batch against one that takes it alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

SCRIPT = """
import sys
import torch
torch.set_default_dtype(torch.float64)
sys.path.insert(0, sys.argv[3])
from lightning_fabric import Fabric
from safetensors.torch import save_file
from training.test_run import PAIRS, settings
from napari_micro_ktnet.training.dataset import CropSampler
from napari_micro_ktnet.training.start import start_network
from napari_micro_ktnet.training.trainer import Trainer

devices, target = int(sys.argv[1]), sys.argv[2]
strategy = "auto" if devices == 1 else "ddp_find_unused_parameters_true"
fabric = Fabric(accelerator="cpu", devices=devices, strategy=strategy, precision="64-true")
fabric.launch()
config = settings(encoder="resnet18", batch_size=4, freeze_batchnorm=True, ema=0.0)
network, spec = start_network(config, PAIRS)
trainer = Trainer(fabric, network, spec, config, CropSampler(PAIRS, spec.normalization, config))
losses = [trainer.step(step)[0] for step in (1, 2, 3)]
if fabric.is_global_zero:
    state = {k: v.contiguous() for k, v in trainer.tensors().items()}
    save_file(state | {"losses": torch.tensor(losses)}, target)
"""
FULL = """
import sys
sys.path.insert(0, sys.argv[2])
from training.test_run import HELD, PAIRS, settings
from napari_micro_ktnet.training.loop import train
train(PAIRS, HELD * 3, sys.argv[1], settings(encoder="resnet18", devices=2, steps=4, validate_every=2))
"""


def run(folder: Path, script: str, *arguments: str) -> None:
    path = folder / "script.py"
    path.write_text(script)
    tests = str(Path(__file__).parents[1])
    # The launcher of the processes marks them by variables that must not come from outside.
    environment = {k: v for k, v in os.environ.items() if "RANK" not in k and "PYTEST" not in k}
    subprocess.run([sys.executable, str(path), *arguments, tests], env=environment, check=True, timeout=300)


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path: Path) -> None:
    """In float64, where rounding cannot hide or feign a difference; Adam makes much of little ones."""
    found = []
    for devices in (1, 2):
        run(tmp_path, SCRIPT, str(devices), str(tmp_path / f"{devices}.safetensors"))
        found.append(load_file(tmp_path / f"{devices}.safetensors"))
    one, two = found
    assert one.keys() == two.keys()
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, rtol=0, atol=1e-6, msg=key)
    assert len(set(one["losses"].tolist())) == 3


@pytest.mark.slow
def test_two_processes_leave_one_run(tmp_path: Path) -> None:
    run(tmp_path, FULL, str(tmp_path / "run"))
    rows = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["step", "2", "4"]
    assert (tmp_path / "run" / "model.safetensors").is_file()
