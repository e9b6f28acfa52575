"""``micro-ktnet batch``: SEM files to labels, tables, a verdict and a report."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from napari_micro_ktnet._cli.measure import SOME_FAILED, measure_options, positive, status_of
from napari_micro_ktnet._cli.measurement_table import print_measurement

if TYPE_CHECKING:
    from napari_micro_ktnet.batch.job import BatchJob
    from napari_micro_ktnet.batch.lot import BatchResult
    from napari_micro_ktnet.measurement.limits import Limits


def add_parser(
    sub: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> argparse.ArgumentParser:
    """Add the command of this module, but for what it shares with others."""
    p = sub.add_parser(
        "batch",
        parents=[common],
        help="segment and measure a lot: labels, tables, verdict, report",
        epilog="Run again after a stop, it goes on where it was. Exit status: 0 all done (and the limits "
        "kept), 1 some files failed, 2 wrong use, 3 a limit is broken, 4 not enough data to judge.",
    )
    p.add_argument("inputs", nargs="+", type=Path, metavar="FOLDER", help="folders and files of one lot")
    p.add_argument("--report", action="store_true", help="write report.html, one page for screen and paper")
    p.add_argument("--lot", default="", metavar="NAME", help="for record and report")
    p.add_argument("--operator", default="", metavar="NAME", help="for record and report")
    p.add_argument(
        "--earlier",
        nargs="+",
        type=Path,
        default=[],
        metavar="JSON",
        help="earlier lots, for the report's trend",
    )
    p.add_argument(
        "--pixel-size", type=positive, metavar="NM", help="where a file does not say it, or only guesses"
    )
    p.add_argument(
        "--workers", type=int, default=1, metavar="N", help="files at a time on this machine (default 1)"
    )
    p.add_argument("--threads", action="store_true", help="workers are threads that share one model")
    p.add_argument("--scheduler", default="", metavar="ADDRESS", help="of a Dask cluster to work on instead")
    p.set_defaults(run=batch)
    return p


def batch(options: argparse.Namespace) -> int:
    """Segment and measure a lot and print what was found."""
    from napari_micro_ktnet.measurement.limits import read_limits

    limits = read_limits(options.limits) if options.limits else None
    if options.earlier:
        from napari_micro_ktnet.report.trend import read_lots

        # A wrong file should be known before hours of work, not after.
        read_lots(options.earlier)
    result = _run(options, _job(options, limits), limits)
    if result.errors:
        print(f"{len(result.errors)} of {result.files} files failed:", file=sys.stderr)
        for error in result.errors:
            print(f"  {error}", file=sys.stderr)
    if result.measurement is None:
        return SOME_FAILED
    print_measurement(result.measurement)
    written = list(result.written)
    if options.report or result.report.exists():
        # One of an earlier run would contradict the new figures.
        from napari_micro_ktnet.report.of_batch import write_batch_report

        written.append(write_batch_report(result, earlier=options.earlier))
    for path in written:
        print(f"  {path}")
    return SOME_FAILED if result.errors else status_of(result.measurement)


def _job(options: argparse.Namespace, limits: Limits | None) -> BatchJob:
    from napari_micro_ktnet.batch.job import make_job
    from napari_micro_ktnet.batch.writing import OutputOptions

    return make_job(
        options.output,
        options.model,
        OutputOptions(options.threshold, options.save_probability, options.save_overlay),
        measure_options(options, limits),
        options.pixel_size,
        tile=options.tile,
        overlap=options.overlap,
        batch_size=options.batch_size,
        device=options.device,
        precision=options.precision,
        orientations=options.orientations,
        match_pixel_size=options.rescale,
    )


def _run(options: argparse.Namespace, job: BatchJob, limits: Limits | None) -> BatchResult:
    from napari_micro_ktnet.batch.lot import BatchResult, iter_batch, plan_batch
    from napari_micro_ktnet.batch.parallel import Where
    from napari_micro_ktnet.batch.plan import with_subfolders
    from napari_micro_ktnet.batch.segmentation import FileProgress

    where = Where(options.workers, "threads" if options.threads else "processes", options.scheduler)
    files = plan_batch(with_subfolders(options.inputs) if options.recursive else options.inputs)
    steps = iter_batch(files, job, limits, where, options.lot, options.operator)
    taken_over = 0
    with tqdm(total=len(files), desc="measuring", unit="file", disable=None) as bar:
        for step in steps:
            if isinstance(step, BatchResult):
                result = step
            elif isinstance(step, FileProgress):
                bar.set_postfix_str(f"{step.file.path.name} tile {step.tile.done}/{step.tile.total}")
            else:
                taken_over += step.reused
                bar.update()
    if taken_over:
        print(f"{taken_over} of {result.files} files were finished by an earlier run and are taken over.")
    return result
