"""The commands: each takes parsed arguments, drives a generator of the core, gives the exit code."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from napari_micro_ktnet._cli.info import describe, print_description
from napari_micro_ktnet.errors import InputError

_PATIENCE_S = 60


def demo(options: argparse.Namespace) -> int:
    """Run the main job on a synthetic image."""
    from napari_micro_ktnet.demo import DemoResult, iter_demo
    from napari_micro_ktnet.model.registry import load_model

    result = None
    with tqdm(desc="segmenting", unit="tile", leave=False, disable=None) as bar:
        for report in iter_demo(options.output, load_model(), options.device):
            if isinstance(report, DemoResult):
                result = report
            else:
                bar.total = report.tile.total
                bar.update(report.tile.done - bar.n)
    assert result is not None  # noqa: S101 - the generator ends with a result or an error
    scores = result.scores
    print("Starter model on a synthetic masterbatch image, against its exact truth (pooled over pixels):")
    print(
        f"  IoU {scores.iou:.3f}   F1 {scores.f1:.3f}   "
        f"precision {scores.precision:.3f}   recall {scores.recall:.3f}"
    )
    for what, path in (
        ("image", result.image),
        ("labels", result.labels),
        ("truth", result.truth),
        ("overlay (yellow found, green missed, red false)", result.overlay),
        ("record", result.record),
    ):
        print(f"  {what}: {path}")
    if options.viewer:
        _open_viewer(result.image, result.labels, result.truth)
    return 0


def _open_viewer(image: Path, labels: Path, truth: Path) -> None:
    try:
        import napari
        import qtpy  # noqa: F401 - fails where no Qt binding is installed
    except Exception as error:
        raise InputError(
            f"napari's window cannot be opened ({error}). Install a Qt binding: "
            'pip install "napari-micro-ktnet[qt]". The files are written all the same.'
        ) from error
    _check_display()
    from napari.utils.colormaps import DirectLabelColormap

    from napari_micro_ktnet.model.spec import AGGLOMERATE
    from napari_micro_ktnet.sem import read_sem

    viewer = napari.Viewer(title="Micro-KTNet demo")
    viewer.open(str(image), plugin="napari-micro-ktnet")
    shown = viewer.layers[-1]
    place = {"scale": shown.scale, "units": shown.units, "axis_labels": shown.axis_labels}
    viewer.add_labels(read_sem(truth).pixels, name="truth", visible=False, **place)
    colors = DirectLabelColormap(color_dict={0: "transparent", 1: AGGLOMERATE.color, None: "transparent"})
    viewer.add_labels(read_sem(labels).pixels, name=AGGLOMERATE.name, colormap=colors, **place)
    napari.run()


def _check_display() -> None:
    """Try in another process whether a window can be opened: where not, Qt ends the whole process."""
    code = "from qtpy.QtWidgets import QApplication; QApplication([])"
    command = [sys.executable, "-c", code]
    try:
        subprocess.run(command, capture_output=True, text=True, check=True, timeout=_PATIENCE_S)  # noqa: S603
    except subprocess.SubprocessError as error:
        said = [
            line.strip() for line in str(getattr(error, "stderr", None) or error).splitlines() if line.strip()
        ]
        # Qt says first what is wrong, Python last.
        reason = said[-1 if said[0].startswith("Traceback") else 0] if said else "no reason given"
        raise InputError(
            f"napari's window cannot be opened ({reason}). Is there a screen, and is DISPLAY set? "
            "The files are written all the same."
        ) from error


def segment(options: argparse.Namespace) -> int:
    """Segment files and folders."""
    from napari_micro_ktnet.batch.plan import plan_files, with_subfolders
    from napari_micro_ktnet.batch.segmentation import FileProgress, iter_segment_files
    from napari_micro_ktnet.batch.writing import OutputOptions
    from napari_micro_ktnet.model.registry import load_model

    files = plan_files(with_subfolders(options.inputs) if options.recursive else options.inputs)
    model = load_model(options.model)
    outputs = OutputOptions(options.threshold, options.save_probability, options.save_overlay)
    steps = iter_segment_files(
        files,
        options.output,
        model,
        outputs,
        tile=options.tile,
        overlap=options.overlap,
        batch_size=options.batch_size,
        device=options.device,
        precision=options.precision,
        orientations=options.orientations,
        match_pixel_size=options.rescale,
    )
    failed = []
    with tqdm(total=len(files), desc="segmenting", unit="file", disable=None) as bar:
        for report in steps:
            if isinstance(report, FileProgress):
                bar.set_postfix_str(f"{report.file.path.name} tile {report.tile.done}/{report.tile.total}")
                continue
            bar.update()
            if report.error is not None:
                failed.append(report)
            for record in report.records:
                found = ", ".join(f"{c.name} {c.area_fraction:.2%}" for c in record.classes)
                tqdm.write(f"{options.output / record.labels}: {found} of the analysed area")
    if failed:
        print(f"{len(failed)} of {len(files)} files failed:", file=sys.stderr)
        for report in failed:
            path, reason = str(report.file.path), str(report.error)
            print(f"  {reason if path in reason else f'{path}: {reason}'}", file=sys.stderr)
    return 1 if failed else 0


def fetch(encoder: str, variant: str) -> None:
    """Download MicroNet weights with a progress bar."""
    from napari_micro_ktnet.model.fetch import iter_fetch

    with tqdm(desc=f"{encoder} {variant}", unit="B", unit_scale=True, disable=None) as bar:
        for report in iter_fetch(encoder, variant):
            bar.total = report.total
            bar.update(report.received - bar.n)


def info(options: argparse.Namespace) -> int:
    """Print what files say about themselves."""
    descriptions: list[dict[str, Any]] = [d for path in options.files for d in describe(path)]
    if options.json:
        print(json.dumps(descriptions, indent=2))
    else:
        for description in descriptions:
            print_description(description)
    return 1 if any("error" in d for d in descriptions) else 0


def models_list(_: argparse.Namespace) -> int:
    """List models by name."""
    from napari_micro_ktnet.model.registry import list_models, models_folder

    for model in list_models():
        classes = ", ".join(c.name for c in model.spec.classes)
        print(f"{model.name:20} {model.spec.architecture}, {model.spec.encoder}: {classes}")
    print(f"Your own models lie in {models_folder()}")
    return 0


def models_show(options: argparse.Namespace) -> int:
    """Print all that a model says about itself, as JSON."""
    from napari_micro_ktnet.files import file_sha256
    from napari_micro_ktnet.model.registry import model_info

    found = model_info(options.name)
    content = {
        "name": found.name,
        "path": str(found.path),
        "sha256": file_sha256(found.path),
        "spec": found.spec.model_dump(mode="json"),
        "history": [entry.model_dump(mode="json") for entry in found.history],
    }
    print(json.dumps(content, indent=2))
    return 0


def models_add(options: argparse.Namespace) -> int:
    """Copy a model file into the models folder."""
    from napari_micro_ktnet.model.registry import add_model, load_model

    # What it says about itself may be right and its weights damaged.
    load_model(options.file)
    print(f"Added {add_model(options.file, options.name).path}")
    return 0


def models_remove(options: argparse.Namespace) -> int:
    """Delete a model from the models folder."""
    from napari_micro_ktnet.model.registry import remove_model

    print(f"Removed {remove_model(options.name)}")
    return 0


def models_fetch(options: argparse.Namespace) -> int:
    """Download MicroNet weights."""
    from napari_micro_ktnet.model.fetch import cached_micronet

    fetch(options.encoder, options.variant)
    print(f"Fetched {cached_micronet(options.encoder, options.variant)}")
    return 0


def models_import(options: argparse.Namespace) -> int:
    """Take MicroNet weights from a local file."""
    from napari_micro_ktnet.model.weights import import_weights

    print(f"Imported {import_weights(options.file, options.encoder, options.variant)}")
    return 0
