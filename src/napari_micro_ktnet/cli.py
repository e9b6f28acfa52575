"""``micro-ktnet``: arguments to configurations to the core, progress bars, nothing else."""

from __future__ import annotations

import argparse
import errno
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from napari_micro_ktnet import __version__
from napari_micro_ktnet._cli import batch, commands, evaluate, experiment, measure, pretrain, training
from napari_micro_ktnet._cli.run_progress import STOPPED
from napari_micro_ktnet.errors import DataError, FetchError, InputError, MicroKTNetError, ModelError
from napari_micro_ktnet.model.spec import ORIENTATION_COUNTS
from napari_micro_ktnet.predict.tiles import OVERLAP

SOME_FAILED, WRONG_USE = 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name; ``sys.argv`` if not given.

    Returns
    -------
    int
        0 all done, 1 some inputs failed or the job could not be done, 2 wrong use, 130 stopped before the
        end.
    """
    parser = build_parser()
    options = parser.parse_args(arguments)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            status = int(options.run(options))
        if sys.stdout is not None:
            sys.stdout.flush()
        return status
    except MicroKTNetError as error:
        if options.debug:
            raise
        print(f"micro-ktnet: {error}", file=sys.stderr)
        wrong = isinstance(error, (InputError, DataError, ModelError)) and not isinstance(error, FetchError)
        return WRONG_USE if wrong else SOME_FAILED
    except KeyboardInterrupt:
        if options.debug:
            raise
        print("micro-ktnet: stopped. What was finished before is kept.", file=sys.stderr)
        return STOPPED
    except OSError as error:
        if error.filename is not None and not options.debug:
            print(f"micro-ktnet: {error.filename}: {error.strerror or error}.", file=sys.stderr)
            return SOME_FAILED
        if options.debug or error.errno not in (errno.EPIPE, errno.ENOSPC):
            raise
        if error.errno == errno.ENOSPC:
            print("micro-ktnet: the disk is full: not everything was written or printed.", file=sys.stderr)
        # Python, when it ends, would try again to print, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SOME_FAILED


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print warnings meant for users as one line; those of libraries are for developers."""
    if issubclass(category, UserWarning):
        print(f"micro-ktnet: {message}", file=sys.stderr)


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of all commands; torch is not imported."""
    parser = argparse.ArgumentParser(
        prog="micro-ktnet", description="Find agglomerates in SEM images with Micro-KTNet."
    )
    parser.add_argument("--version", action="version", version=f"micro-ktnet {__version__}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--debug", action="store_true", help="show a traceback on errors")
    sub = parser.add_subparsers(required=True, metavar="COMMAND")
    _demo(sub, common)
    _segment(sub, common)
    training.add_parsers(sub, common)
    pretrain.add_parsers(sub, common)
    evaluate.add_parsers(sub, common)
    measure.add_parsers(sub, common)
    experiment.add_parsers(sub, common)
    _batch(sub, common)
    _info(sub, common)
    _models(sub, common)
    return parser


_Sub = argparse._SubParsersAction  # the type that argparse gives but does not name publicly


def _demo(sub: _Sub[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    p = sub.add_parser("demo", parents=[common], help="segment a synthetic SEM image and score the result")
    p.add_argument("--output", type=Path, default=Path("micro-ktnet-demo"), metavar="DIR")
    p.add_argument("--viewer", action="store_true", help="open the result in napari")
    p.add_argument("--device", default="auto")
    p.set_defaults(run=commands.demo)


def _segment(sub: _Sub[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    p = sub.add_parser("segment", parents=[common], help="segment SEM images into label files")
    p.add_argument("inputs", nargs="+", type=Path, metavar="INPUT", help="image files and folders")
    _segmenting_options(p)
    p.set_defaults(run=commands.segment)


def _batch(sub: _Sub[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    p = batch.add_parser(sub, common)
    _segmenting_options(p)
    measure.add_object_options(p)


def _segmenting_options(p: argparse.ArgumentParser) -> None:
    p.add_argument("--output", required=True, type=Path, metavar="DIR")
    p.add_argument("--recursive", action="store_true", help="take images in subfolders of the folders, too")
    p.add_argument("--model", default="starter", metavar="NAME|PATH")
    p.add_argument("--threshold", type=_share, default=0.5, metavar="F", help="0 to 1 (default 0.5)")
    p.add_argument("--tile", type=int, metavar="N", help="tile side in pixels (default: chosen)")
    p.add_argument(
        "--overlap", type=float, default=OVERLAP, metavar="F", help=f"share of a tile (default {OVERLAP})"
    )
    p.add_argument("--batch-size", type=int, default=1, metavar="N", help="tiles per pass (default 1)")
    p.add_argument("--device", default="auto", metavar="D", help="auto, cpu, cuda, cuda:N, mps")
    p.add_argument("--precision", choices=["auto", "float32", "bfloat16"], default="auto")
    p.add_argument(
        "--orientations",
        type=int,
        choices=ORIENTATION_COUNTS,
        help="mean over so many mirrored and turned copies, as many times slower (default: the model's own)",
    )
    p.add_argument("--rescale", action="store_true", help="bring images to the model's pixel size first")
    p.add_argument("--save-probability", action="store_true", help="write <stem>_probability.tif too")
    p.add_argument("--save-overlay", action="store_true", help="write <stem>_overlay.png too")


def _info(sub: _Sub[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    p = sub.add_parser("info", parents=[common], help="show what SEM files say about themselves")
    p.add_argument("files", nargs="+", type=Path, metavar="FILE")
    p.add_argument("--json", action="store_true", help="print a JSON list")
    p.set_defaults(run=commands.info)


def _models(sub: _Sub[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    models = sub.add_parser("models", help="list, add and remove models; fetch MicroNet weights")
    actions = models.add_subparsers(required=True, metavar="ACTION")
    actions.add_parser("list", parents=[common], help="models known by name").set_defaults(
        run=commands.models_list
    )
    p = actions.add_parser("show", parents=[common], help="everything a model says about itself")
    p.add_argument("name", metavar="NAME|PATH")
    p.set_defaults(run=commands.models_show)
    p = actions.add_parser("add", parents=[common], help="copy a model file into the models folder")
    p.add_argument("file", type=Path)
    p.add_argument("--name", required=True)
    p.set_defaults(run=commands.models_add)
    p = actions.add_parser("remove", parents=[common], help="delete a model from the models folder")
    p.add_argument("name")
    p.set_defaults(run=commands.models_remove)
    p = actions.add_parser("fetch", parents=[common], help="download MicroNet encoder weights from NASA")
    p.add_argument("encoder")
    p.add_argument("--variant", choices=["micronet", "imagenet-micronet"], default="imagenet-micronet")
    p.set_defaults(run=commands.models_fetch)
    p = actions.add_parser("import", parents=[common], help="take MicroNet encoder weights from a local file")
    p.add_argument("file", type=Path)
    p.add_argument("--encoder", required=True)
    p.add_argument("--variant", choices=["micronet", "imagenet-micronet"], required=True)
    p.set_defaults(run=commands.models_import)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 1, found {text!r}")
    return value
