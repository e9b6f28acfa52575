"""``micro-ktnet evaluate``: predictions against the truth."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from napari_micro_ktnet._cli.evaluation_table import print_evaluation
from napari_micro_ktnet._cli.training import named_color

if TYPE_CHECKING:
    from napari_micro_ktnet.measurement.label_pairs import ComparedLabels, EvaluationOptions


def add_parsers(
    sub: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    """Add the command of this module."""
    p = sub.add_parser("evaluate", parents=[common], help="score label files against masks")
    p.add_argument("--predictions", required=True, type=Path, metavar="DIR", help="such as 'segment' writes")
    p.add_argument(
        "--truth", required=True, type=Path, metavar="DIR", help="same stems, '_mask' and '_labels' ignored"
    )
    p.add_argument("--json", type=Path, metavar="FILE", help="write all scores and the table of objects")
    p.add_argument("--csv", type=Path, metavar="FILE", help="write the scores of every image")
    p.add_argument(
        "--overlays",
        type=Path,
        metavar="DIR",
        help="write PNGs: yellow right, green missed, red false, blue wrong class",
    )
    p.add_argument("--class-names", nargs="+", metavar="NAME", help="of the classes besides matrix")
    p.add_argument(
        "--mask-colors", nargs="+", type=named_color, metavar="NAME=R,G,B", help="classes of RGB masks"
    )
    p.add_argument(
        "--not-annotated",
        type=_label,
        metavar="N",
        help="label of the masks, such as 255, that does not count",
    )
    p.add_argument("--instances", action="store_true", help="every object has its own label, not its class")
    p.add_argument(
        "--pixel-size", type=_positive, metavar="NM", help="of all masks (default: what files say)"
    )
    p.add_argument(
        "--tolerance",
        type=_length,
        default=(2.0, "px"),
        metavar="F[px|um]",
        help="of outlines, for the normalised surface distance (default 2px)",
    )
    p.add_argument(
        "--size-edges", nargs="+", type=_positive, metavar="F", help="of size classes, in um if calibrated"
    )
    p.add_argument("--resample", action="store_true", help="bring predictions to the pixels of the truth")
    p.add_argument("--seed", type=int, default=0, metavar="N", help="of the bootstrap interval (default 0)")
    p.set_defaults(run=evaluate)


def evaluate(options: argparse.Namespace) -> int:
    """Compare two folders and print the scores."""
    from dataclasses import replace

    from napari_micro_ktnet.measurement.evaluation import iter_evaluate, summarize
    from napari_micro_ktnet.measurement.label_folders import pair_folders
    from napari_micro_ktnet.measurement.label_pairs import with_classes

    folders = pair_folders(options.predictions, options.truth)
    size = (options.pixel_size, options.pixel_size) if options.pixel_size else None
    pairs = [replace(pair, pixel_size=size) for pair in folders.pairs]
    settings = with_classes(pairs, _settings(options), folders.classes)
    reports = []
    with tqdm(total=len(pairs), desc="comparing", unit="image", leave=False, disable=None) as bar:
        for image, (labels, report) in zip(folders.images, iter_evaluate(pairs, settings), strict=True):
            reports.append(report)
            if options.overlays:
                _write_overlay(options.overlays, labels, image, instances=settings.instances)
            bar.update()
            bar.set_postfix_str(report.name)
    result = summarize(reports, settings, folders.warnings)
    print_evaluation(result)
    if options.json:
        result.write_json(options.json)
    if options.csv:
        result.write_csv(options.csv)
    for what, path in (("scores", options.json), ("per image", options.csv), ("overlays", options.overlays)):
        if path:
            print(f"  {what}: {path}")
    return 0


def _settings(options: argparse.Namespace) -> EvaluationOptions:
    from napari_micro_ktnet.measurement.label_pairs import EvaluationOptions

    return EvaluationOptions(
        classes=tuple(options.class_names or ()),
        not_annotated=options.not_annotated,
        instances=options.instances,
        tolerance=options.tolerance[0],
        tolerance_unit=options.tolerance[1],
        size_edges=tuple(options.size_edges) if options.size_edges else None,
        resample=options.resample,
        mask_colors=dict(options.mask_colors) if options.mask_colors else None,
        seed=options.seed,
    )


def _write_overlay(folder: Path, labels: ComparedLabels, image: Path | None, *, instances: bool) -> None:
    """Draw errors over the segmented image, or over black where that is not found."""
    import numpy as np

    from napari_micro_ktnet.batch.overlay import error_overlay, write_png
    from napari_micro_ktnet.measurement.error_map import error_map
    from napari_micro_ktnet.predict.inputs import as_grey_image

    errors = error_map(labels.prediction, labels.truth, labels.ignore, instances=instances)
    pixels = as_grey_image(image).pixels if image is not None and image.is_file() else None
    if pixels is None or pixels.shape != errors.shape:
        pixels = np.zeros(errors.shape, np.uint8)
    write_png(folder / f"{labels.name}_errors.png", error_overlay(pixels, errors))


def _label(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"must be a label above 0, found {text!r}")
    return int(text)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number above 0, found {text!r}")
    return value


def _length(text: str) -> tuple[float, str]:
    lowered = text.strip().lower().replace("µ", "u").replace("μ", "u")
    unit = "um" if lowered.endswith("um") else "px"
    return _positive(lowered.removesuffix(unit).strip()), unit
