"""``micro-ktnet measure``: label files to sizes, dispersion and a verdict."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from napari_micro_ktnet._cli.measurement_table import print_measurement
from napari_micro_ktnet.errors import InputError, MicroKTNetError
from napari_micro_ktnet.files import write_bytes

if TYPE_CHECKING:
    from napari_micro_ktnet.measurement.fields import MeasureOptions
    from napari_micro_ktnet.measurement.limits import Limits
    from napari_micro_ktnet.measurement.pooled import Measurement

SOME_FAILED, LIMIT_BROKEN, NOT_ENOUGH_DATA = 1, 3, 4


def add_parsers(
    sub: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    """Add the command of this module."""
    p = sub.add_parser(
        "measure",
        parents=[common],
        help="measure the agglomerates in label files",
        epilog="Exit status: 0 all done (and the limits kept), 1 some files failed, 2 wrong use, "
        "3 a limit is broken, 4 not enough data to judge.",
    )
    p.add_argument(
        "labels", nargs="+", type=Path, metavar="LABELS", help="label files, and folders with *_labels.tif"
    )
    p.add_argument(
        "--pixel-size", type=positive, metavar="NM", help="where the label file itself does not say it"
    )
    p.add_argument("--json", type=Path, metavar="FILE", help="write all figures, by field and pooled")
    p.add_argument("--csv", type=Path, metavar="FILE", help="write one row for each object")
    add_object_options(p)
    p.add_argument(
        "--images", nargs="+", type=Path, metavar="FILE", help="one for each label file, for mean grey values"
    )
    p.set_defaults(run=measure)


def add_object_options(p: argparse.ArgumentParser) -> None:
    """Add what decides how labels are measured; see `measure_options`."""
    p.add_argument(
        "--split",
        type=_not_negative,
        metavar="DEPTH",
        help="separate touching objects at necks; px, less cuts more",
    )
    p.add_argument(
        "--min-size",
        type=_length,
        metavar="F[px|um]",
        help="drop objects of a smaller ECD (px if no unit is given)",
    )
    p.add_argument("--fill-holes", action="store_true", help="holes count as part of the object around them")
    p.add_argument(
        "--border",
        choices=["keep", "exclude", "weight"],
        default="keep",
        help="objects at the edge: keep (default), leave out of sizes and counts, or leave out and correct",
    )
    p.add_argument(
        "--d-star", type=positive, metavar="UM", help="d* of the agglomerate degree (that of --limits, or 5)"
    )
    p.add_argument("--limits", type=Path, metavar="TOML", help="limits of the lab: pass, fail, grade")
    p.add_argument("--ripley", action="store_true", help="Ripley's L(r) with envelope, into the JSON")


def measure(options: argparse.Namespace) -> int:
    """Measure label files and print what they say."""
    from napari_micro_ktnet.measurement.fields import measure_field
    from napari_micro_ktnet.measurement.label_files import label_files, load_field
    from napari_micro_ktnet.measurement.limits import read_limits
    from napari_micro_ktnet.measurement.pooled import pool

    paths = list(dict.fromkeys(path for given in options.labels for path in label_files(given)))
    images = options.images or [None] * len(paths)
    if len(images) != len(paths):
        raise InputError(f"{len(images)} images were given for {len(paths)} label files. Name one for each.")
    _keep_records(paths, options.json)
    limits = read_limits(options.limits) if options.limits else None
    settings = measure_options(options, limits)
    fields, failed = [], []
    with tqdm(total=len(paths), desc="measuring", unit="file", leave=False, disable=None) as bar:
        for path, image in zip(paths, images, strict=True):
            try:
                field = load_field(path, options.pixel_size, image)
                fields.append(measure_field(field, settings))
            except MicroKTNetError as error:
                failed.append(f"{error}" if str(path) in str(error) else f"{path}: {error}")
            bar.update()
    if failed:
        print(f"{len(failed)} of {len(paths)} files failed:", file=sys.stderr)
        for reason in failed:
            print(f"  {reason}", file=sys.stderr)
    if not fields:
        return SOME_FAILED
    notes = [f"{len(failed)} of {len(paths)} files could not be measured."] if failed else []
    result = pool(fields, settings, limits, notes)
    print_measurement(result)
    if options.json:
        write_bytes(options.json, json.dumps(result.to_dict(), indent=2, allow_nan=False).encode())
    if options.csv:
        write_bytes(options.csv, result.to_csv().encode())
    for what, path in (("figures", options.json), ("objects", options.csv)):
        if path:
            print(f"  {what}: {path}")
    if failed:
        return SOME_FAILED
    return status_of(result)


def status_of(result: Measurement) -> int:
    """Exit status for the verdict of a measurement without failed files."""
    outcome = result.verdict.outcome if result.verdict else "pass"
    return {"pass": 0, "fail": LIMIT_BROKEN, "not enough data": NOT_ENOUGH_DATA}[outcome]


def measure_options(options: argparse.Namespace, limits: Limits | None) -> MeasureOptions:
    """Put the options of `add_object_options` together."""
    from napari_micro_ktnet.measurement.agglomerates import ObjectOptions
    from napari_micro_ktnet.measurement.fields import D_STAR_UM, MeasureOptions

    least: dict[str, Any] = {}
    if options.min_size:
        value, unit = options.min_size
        least[f"min_size_{unit}"] = value
    objects = ObjectOptions(
        split=options.split, fill_holes=options.fill_holes, border=options.border, **least
    )
    d_star = options.d_star or (limits.d_star_um if limits else None) or D_STAR_UM
    return MeasureOptions(objects, d_star, options.ripley)


def _keep_records(paths: Sequence[Path], target: Path | None) -> None:
    from napari_micro_ktnet.measurement.label_files import record_path

    if target is not None and target.resolve() in {r.resolve() for p in paths if (r := record_path(p))}:
        raise InputError(
            f"{target} is where 'micro-ktnet segment' keeps its record of the labels. Choose another name "
            "for --json."
        )


def _number(text: str, least: float, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not (least <= value < float("inf")):
        raise argparse.ArgumentTypeError(f"must be {what}, found {text!r}")
    return value


def positive(text: str) -> float:
    """Read a number above 0."""
    return _number(text, sys.float_info.min, "a number above 0")


def _not_negative(text: str) -> float:
    return _number(text, 0, "a number from 0 up")


def _length(text: str) -> tuple[float, str]:
    lowered = text.strip().lower().replace("\u00b5", "u").replace("\u03bc", "u")
    unit = "um" if lowered.endswith("um") else "px"
    return _not_negative(lowered.removesuffix(unit).strip()), unit
