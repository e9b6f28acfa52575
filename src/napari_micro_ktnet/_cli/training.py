"""``micro-ktnet train``, ``resume`` and ``runs``: the same run directory that the widget uses."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from napari_micro_ktnet._cli.commands import fetch
from napari_micro_ktnet._cli.run_progress import follow
from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.files import check_writable, write_bytes

if TYPE_CHECKING:
    from napari_micro_ktnet.training.run_config import RunConfig

_DATA = ("images", "masks", "val_images", "val_masks", "annotation", "class_names", "validation_share")
_SETTINGS = (
    *("encoder", "init", "steps", "batch_size", "crop", "seed", "device", "devices", "nodes", "precision"),
    *("lr_encoder", "lr_decoder", "freeze_encoder", "freeze_batchnorm", "patience", "validate_every"),
)


def add_parsers(
    sub: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    """Add the commands of this module."""
    p = sub.add_parser("train", parents=[common], help="train a model on images with masks")
    p.add_argument("--config", type=Path, metavar="TOML", help="a run.toml; what is given here besides wins")
    p.add_argument("--output", type=Path, metavar="DIR", help="run directory; gets model.safetensors")
    _add_data(p)
    _add_settings(p)
    p.add_argument("--name", help="add the model to the list of models under this name")
    p.add_argument("--estimate", action="store_true", help="measure time and memory, train nothing")
    p.add_argument("--json", type=Path, metavar="FILE", help="with --estimate: write it here too")
    p.set_defaults(run=train)
    p = sub.add_parser("resume", parents=[common], help="go on with a training run")
    p.add_argument("directory", type=Path, metavar="RUN")
    p.add_argument("--name", help="add the model to the list of models under this name")
    p.set_defaults(run=resume)
    actions = sub.add_parser("runs", help="list and stop training runs").add_subparsers(
        required=True, metavar="ACTION"
    )
    p = actions.add_parser("list", parents=[common], help="runs inside a folder")
    p.add_argument(
        "folder", nargs="?", type=Path, metavar="FOLDER", help="default: where the widget keeps them"
    )
    p.set_defaults(run=runs_list)
    p = actions.add_parser("stop", parents=[common], help="let a run save its state and end")
    p.add_argument("directory", type=Path, metavar="RUN")
    p.set_defaults(run=runs_stop)


def _add_data(p: argparse.ArgumentParser) -> None:
    p.add_argument("--images", type=Path, metavar="DIR")
    p.add_argument("--masks", type=Path, metavar="DIR", help="same stems, '_mask' and '_labels' ignored")
    p.add_argument("--val-images", type=Path, metavar="DIR", help="default: some images are held back")
    p.add_argument("--val-masks", type=Path, metavar="DIR")
    p.add_argument("--validation-share", type=float, metavar="F", help="of the images, default 0.2")
    p.add_argument(
        "--annotation",
        choices=["full", "scribbles"],
        help="full: 0 is matrix (default); scribbles: 0 is not annotated, 1 is matrix, 2 the first class",
    )
    p.add_argument("--class-names", nargs="+", metavar="NAME", help="of the classes besides matrix")
    p.add_argument(
        "--mask-colors", nargs="+", type=named_color, metavar="NAME=R,G,B", help="classes of RGB masks"
    )


def _add_settings(p: argparse.ArgumentParser) -> None:
    p.add_argument("--preset", choices=["quick", "thorough", "paper"], default="quick")
    p.add_argument(
        "--encoder", help="any of segmentation-models-pytorch (default timm-tf_efficientnet_lite0)"
    )
    p.add_argument(
        "--init",
        metavar="starter|imagenet|micronet|imagenet-micronet|random|PATH",
        help="starting weights (default: starter for its own encoder, else random)",
    )
    length = p.add_mutually_exclusive_group()
    length.add_argument("--steps", type=int, metavar="N")
    length.add_argument("--minutes", type=float, metavar="M", help="as many steps as fit, measured first")
    p.add_argument("--batch-size", type=int, metavar="N")
    p.add_argument("--crop", type=int, metavar="N", help="side of training crops in pixels")
    p.add_argument("--lr-encoder", type=float, metavar="F")
    p.add_argument("--lr-decoder", type=float, metavar="F")
    p.add_argument("--freeze-encoder", action="store_true", default=None, help="train the decoder only")
    p.add_argument("--freeze-batchnorm", action="store_true", default=None, help="for very small batches")
    p.add_argument("--validate-every", type=int, metavar="N", help="steps")
    p.add_argument("--patience", type=int, metavar="N", help="stop after N validations without a better one")
    p.add_argument("--seed", type=int, metavar="N")
    p.add_argument("--device", metavar="D", help="auto, cpu, cuda, cuda:N, mps")
    p.add_argument("--devices", type=int, metavar="N", help="devices that share each batch")
    p.add_argument("--nodes", type=int, metavar="N", help="machines, each started by its own launcher")
    p.add_argument("--precision", choices=["auto", "float32", "bfloat16"])


def named_color(text: str) -> tuple[str, tuple[int, int, int]]:
    """Read ``NAME=R,G,B``."""
    name, _, numbers = text.partition("=")
    parts = numbers.split(",")
    if not name or len(parts) != 3 or not all(p.strip().isdecimal() and int(p) <= 255 for p in parts):
        raise argparse.ArgumentTypeError(
            f"expected NAME=R,G,B with 0..255, such as oxide=255,0,0; found {text!r}"
        )
    return name, (int(parts[0]), int(parts[1]), int(parts[2]))


def train(options: argparse.Namespace) -> int:
    """Begin a run."""
    from napari_micro_ktnet.training.estimate import estimate, steps_within
    from napari_micro_ktnet.training.loop import iter_train
    from napari_micro_ktnet.training.sources import load_data

    if options.output is None and not options.estimate:
        raise InputError("Say where the run goes: --output DIR")
    if options.json and not options.estimate:
        raise InputError("--json writes what --estimate measures: give both, or neither.")
    _check_before(options.output, options.name)
    config = _run_config(options)
    assert config.data is not None  # noqa: S101 - _run_config sees to it
    data = load_data(config.data, config.training.seed)
    if config.training.init in ("micronet", "imagenet-micronet"):
        fetch(config.training.encoder, config.training.init)
    settings = config.training
    if [c.name for c in settings.classes] != [c.name for c in data.classes]:
        settings = settings.model_copy(update={"classes": data.classes})
    if options.estimate or options.minutes:
        measured = estimate(data.split.training, data.split.validation, settings)
        if options.minutes:
            settings = settings.model_copy(
                update={"steps": steps_within(60 * options.minutes, measured, settings)}
            )
        if options.estimate:
            return _print_estimate(asdict(measured) | {"steps": settings.steps}, options.json)
    config = config.model_copy(update={"training": settings})
    reports = iter_train(data.split.training, data.split.validation, options.output, config)
    return follow(reports, options.output, data, options.name, settings.steps)


def resume(options: argparse.Namespace) -> int:
    """Go on with a run."""
    from napari_micro_ktnet.training.loop import iter_resume
    from napari_micro_ktnet.training.run import Run
    from napari_micro_ktnet.training.sources import load_data

    _check_before(None, options.name)
    run = Run(options.directory)
    if run.config.data is None:
        raise InputError(
            f"The run {run.path} was begun by a program with images in memory. Resume it from there "
            "(iter_resume), or begin a new run."
        )
    settings, before = run.config.training, run.summary()
    if before.status == "finished":
        print(
            f"{run.path} was trained to its end, step {before.step} of {settings.steps}: no step is left. "
            f"To train further, begin a new run from its model: --init {run.model_file}"
        )
    data = load_data(run.config.data, settings.seed)
    reports = iter_resume(run, data.split.training, data.split.validation)
    return follow(reports, run.path, data, options.name, settings.steps, before.step)


def _check_before(output: Path | None, name: str | None) -> None:
    """Find before hours of work what could not be written after them."""
    from napari_micro_ktnet.model.registry import check_new_name

    if output is not None:
        check_writable(output)
    if name is not None:
        check_new_name(name)


def runs_list(options: argparse.Namespace) -> int:
    """List runs."""
    from napari_micro_ktnet.training.run import list_runs, runs_folder

    folder = options.folder or runs_folder()
    if not folder.is_dir() and options.folder:
        raise InputError(f"There is no folder {folder}. Name a folder with runs in it.")
    for run in list_runs(folder):
        print(f"{run.path.name:24} {run.status:12} step {run.step} of {run.steps}, best IoU {run.best:.3f}")
    print(f"Runs in {folder}")
    return 0


def runs_stop(options: argparse.Namespace) -> int:
    """Ask a run to save its state and end."""
    from napari_micro_ktnet.training.run import Run

    run = Run(options.directory)
    if not run.is_running():
        raise InputError(f"The run {run.path} is not running now, so that there is nothing to stop.")
    run.request_stop()
    print(f"Asked {run.path} to stop; it saves its state after the step at work.")
    return 0


def _run_config(options: argparse.Namespace) -> RunConfig:
    """Merge the configuration file, the preset and the arguments."""
    from napari_micro_ktnet.model.encoders import canonical_encoder
    from napari_micro_ktnet.model.registry import STARTER, model_info
    from napari_micro_ktnet.training.config import DataConfig, TrainingConfig, preset, wrong_setting
    from napari_micro_ktnet.training.run_config import RunConfig, parse_config

    given = {name: getattr(options, name) for name in _SETTINGS if getattr(options, name) is not None}
    given_data = {name: getattr(options, name) for name in _DATA if getattr(options, name) is not None}
    if options.mask_colors:
        given_data["mask_colors"] = dict(options.mask_colors)
    base = parse_config(options.config) if options.config else None
    known: dict[str, Any] = base.data.model_dump() if base and base.data else {}
    if not {"images", "masks"} <= set(known | given_data):
        raise InputError("Say where images and masks are: --images DIR --masks DIR, or --config TOML")
    try:
        data = DataConfig(**known | given_data)
        if base is not None:
            return RunConfig(data=data, training=TrainingConfig(**base.training.model_dump() | given))
    except ValidationError as error:
        raise InputError(wrong_setting(error)) from error
    settings = preset(options.preset, **given)
    encoder = canonical_encoder(settings.encoder)
    start = STARTER if encoder == model_info(STARTER).spec.encoder else "random"
    changes = {"encoder": encoder, "init": options.init or start}
    return RunConfig(data=data, training=settings.model_copy(update=changes))


def _print_estimate(values: dict[str, Any], target: Path | None) -> int:
    print(
        f"About {values['total_s'] / 60:.1f} minutes: {values['steps']} steps of {values['step_s']:.2f} s, "
        f"each validation {values['validation_s']:.1f} s. Memory: {values['memory_bytes'] / 2**30:.1f} GiB."
    )
    if target:
        write_bytes(target, json.dumps(values).encode())
    return 0
