"""``micro-ktnet experiment``: the paper's tables on any annotated images."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from napari_micro_ktnet._cli.training import named_color
from napari_micro_ktnet.errors import InputError

if TYPE_CHECKING:
    from napari_micro_ktnet.experiments import ExperimentConfig, Report
    from napari_micro_ktnet.experiments.reports import Row

_DATA = ("images", "masks", "test_images", "test_masks", "mask_colors", "class_names")
_PROTOCOL = ("folds", "seeds", "values", "only")
_TRAINING = ("encoder", "init", "steps", "batch_size", "crop", "device", "precision")
_TABLES = ("architectures", "ablation", "encoders", "batch-size", "training-size")
_SAID = {"iou": "IoU {:.3f}", "iou_mean": "mean IoU {:.3f}", "p_value": "p {:.3f} against the reference"}
_BUDGETS = ("smoke", "quick", "full")


def add_parsers(
    sub: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    """Add the command of this module."""
    p = sub.add_parser(
        "experiment",
        parents=[common],
        help="train and score every row of a table of the paper on your images",
        epilog="Exit status: 0 no row failed, 1 some rows failed (the table says why), 2 wrong use.",
    )
    p.add_argument("table", choices=_TABLES, help="what is compared")
    p.add_argument("--output", required=True, type=Path, metavar="DIR", help="tables, figures and record")
    p.add_argument(
        "--config", type=Path, metavar="FILE", help="experiment.toml or record.json; what is given here wins"
    )
    _add_data(p)
    p.add_argument("--folds", type=int, metavar="K", help="of the cross-validation by image (default 4)")
    p.add_argument("--seeds", type=int, nargs="+", metavar="N", help="trainings of each row and fold")
    p.add_argument(
        "--values", type=int, nargs="+", metavar="N", help="batch sizes, or numbers of training images"
    )
    p.add_argument(
        "--only", nargs="+", metavar="NAME", help="rows to run, * and ? allowed; the others are 'not run'"
    )
    p.add_argument("--budget", choices=_BUDGETS, help="steps, crops, folds and seeds (default quick)")
    p.add_argument("--encoder", help="of all rows that name no other")
    p.add_argument("--init", metavar="imagenet|micronet|imagenet-micronet|random|PATH", help="start of them")
    p.add_argument("--steps", type=int, metavar="N")
    p.add_argument("--batch-size", type=int, metavar="N")
    p.add_argument("--crop", type=int, metavar="N", help="side of training crops in pixels")
    p.add_argument("--device", metavar="D", help="auto, cpu, cuda, cuda:N, mps")
    p.add_argument("--precision", choices=["auto", "float32", "bfloat16"])
    p.add_argument(
        "--workers", type=int, default=1, metavar="N", help="rows trained side by side (default 1)"
    )
    p.add_argument(
        "--fetch", action="store_true", help="download published weights that are not in the cache"
    )
    p.add_argument("--resume", action="store_true", help="go on with what is in the output folder")
    p.set_defaults(run=experiment)


def _add_data(p: argparse.ArgumentParser) -> None:
    p.add_argument("--images", type=Path, metavar="DIR")
    p.add_argument("--masks", type=Path, metavar="DIR", help="same stems, '_mask' and '_labels' ignored")
    p.add_argument("--test-images", type=Path, metavar="DIR", help="fixed test set instead of folds")
    p.add_argument("--test-masks", type=Path, metavar="DIR")
    p.add_argument("--class-names", nargs="+", metavar="NAME", help="of the classes besides matrix")
    p.add_argument(
        "--mask-colors", nargs="+", type=named_color, metavar="NAME=R,G,B", help="classes of RGB masks"
    )


def experiment(options: argparse.Namespace) -> int:
    """Run a table."""
    from napari_micro_ktnet.experiments import run_experiment

    reports = run_experiment(
        _config(options),
        options.output,
        workers=options.workers,
        resume=options.resume,
        fetch_weights=options.fetch,
    )
    return _follow(reports)


def _config(options: argparse.Namespace) -> ExperimentConfig:
    from napari_micro_ktnet.experiments.config import (
        changed_config,
        experiment_config,
        parse_experiment,
    )
    from napari_micro_ktnet.experiments.runner import CONFIG_FILE

    given = {n: v for n in (*_PROTOCOL, *_TRAINING) if (v := getattr(options, n)) is not None}
    if Path(given.get("init", "")).is_file():
        given["init"] = str(Path(given["init"]).absolute())
    data: dict[str, Any] = {n: v for n in _DATA if (v := getattr(options, n)) is not None}
    if "mask_colors" in data:
        data["mask_colors"] = dict(data["mask_colors"])
    path = options.config
    stored = options.output / CONFIG_FILE
    # A budget is a fresh choice; without one, what was chosen before goes on.
    if path is None and options.resume and not options.budget and (stored.is_file() or not data):
        path = stored
        given = {"only": ()} | given if data else given
    if path is not None:
        if options.budget:
            raise InputError("--budget and a configuration file both say how much work it is. Give only one.")
        config = parse_experiment(path)
        return changed_config(config, table=options.table, data=config.data.model_dump() | data, **given)
    if not {"images", "masks"} <= set(data):
        raise InputError("Say which images: --images DIR --masks DIR, or --config FILE.")
    return experiment_config(options.table, data, options.budget or "quick", **given)


def _follow(reports: Iterable[Report]) -> int:
    """Show the progress of an experiment to its end."""
    from napari_micro_ktnet.experiments import (
        EntryReport,
        ExperimentEnd,
        JobReport,
        Notice,
        ProgressReport,
    )

    failed = False
    # Seconds a step differ from row to row, so that the remaining time should not follow each of them.
    with tqdm(desc="training", unit="step", smoothing=0.05, disable=None) as bar:
        for report in reports:
            if isinstance(report, ProgressReport):
                if bar.total is None:
                    # What was done before took no time now.
                    bar.initial = bar.n = bar.last_print_n = report.done
                bar.total = report.total
                bar.update(report.done - bar.n)
                bar.set_postfix_str(f"{report.entry}, fold {report.fold}, seed {report.seed}")
            elif isinstance(report, JobReport) and report.status != "done":
                tqdm.write(f"{report.entry}: {report.status}: {report.reason}", file=sys.stderr)
            elif isinstance(report, EntryReport) and report.row["status"] == "done":
                row = report.row
                tqdm.write(f"{row['entry']}: IoU {row['iou']:.3f}, F1 {row['f1']:.3f} (pooled over images)")
            elif isinstance(report, Notice):
                tqdm.write(report.text, file=sys.stderr)
            elif isinstance(report, ExperimentEnd):
                failed = _conclude(report.rows, report.files)
    return 1 if failed else 0


def _conclude(rows: tuple[Row, ...], files: tuple[Path, ...]) -> bool:
    """Print what came out; whether an entry failed."""
    counts = Counter(row["status"] for row in rows)
    tqdm.write(", ".join(f"{n} {status}" for status, n in counts.items()))
    for row in sorted((r for r in rows if r["status"] == "done"), key=lambda r: -r["iou"]):
        known = {n: v for n in ("iou", "iou_mean", "p_value") if (v := row[n]) is not None and not isnan(v)}
        shown = "".join(f"  {_SAID[n].format(v)}" for n, v in known.items())
        tqdm.write(f"  {row['entry']:32}{shown}")
    for path in files:
        tqdm.write(f"  {path}")
    return counts["failed"] > 0
