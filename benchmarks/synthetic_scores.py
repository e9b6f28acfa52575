"""Scores of models on synthetic scenes that none was trained on, and what they make of burnt-in text.

    python benchmarks/synthetic_scores.py [MODEL ...] [--data DATA]

- powders: 30 scenes of powders on a support, outlined as a person would (`as_annotated` of
  `scripts/starter_data.py`). Pooled: over the pixels of all scenes; mean: of the IoU of each. Threshold 0.5.
- text: of the pixels of matrix that text and a scale bar cover in 10 fields of masterbatch, the share that
  is labelled because of them.
- with DATA, a folder with `sem_files`: the same share for two real images with burnt-in text, found as the
  brightest grey values of their lowest 70 rows.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_micro_ktnet.measurement.scores import confusion_matrix, scores_from_confusion
from napari_micro_ktnet.model.registry import Model, load_model
from napari_micro_ktnet.predict.inference import segment
from napari_micro_ktnet.sem import DataBar, SEMImage, read_sem
from napari_micro_ktnet.synthetic import masterbatch_image, render
from napari_micro_ktnet.synthetic.domains import powder_scene

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
from starter_data import as_annotated

SIDE = 512
WRITTEN = {"hitachi/rickgummy_hitachi_nosidecar.tif": 255, "jeol/odemis_jeol_4700F_nobar.tif": 253}
TEXT_ROWS = 70


def found(pixels: NDArray[np.uint8], model: Model, bar_rows: int = 0) -> NDArray[np.bool_]:
    """Segment an image ``(Y, X)``."""
    top = len(pixels) - bar_rows
    bar = DataBar(top, len(pixels), "metadata") if bar_rows else None
    return segment(SEMImage(pixels, data_bar=bar), model).labels()[:top] > 0


def powders(model: Model) -> str:
    """Score the powders."""
    matrices = []
    for number in range(100, 130):
        scene = render(powder_scene(np.random.default_rng((77, number))), (SIDE, SIDE), number)
        labels = found(scene.pixels, model, scene.data_bar_rows)
        matrices.append(confusion_matrix(labels, as_annotated(scene.labels)[: len(labels)], 2))
    pooled = scores_from_confusion(np.sum(matrices, axis=0))[0].iou
    return f"{pooled:.3f} / {np.nanmean([scores_from_confusion(m)[0].iou for m in matrices]):.3f}"


def text(model: Model) -> str:
    """Tell what becomes of text over synthetic fields."""
    covered = labelled = 0
    for seed in range(10):
        plain, written = (masterbatch_image((SIDE, 640), seed, caption=c) for c in (False, True))
        ink = (plain.pixels != written.pixels) & ~plain.mask
        covered += np.count_nonzero(ink)
        labelled += np.count_nonzero(found(written.pixels, model)[ink])
        labelled -= np.count_nonzero(found(plain.pixels, model)[ink])
    return f"{labelled / covered:.3f}"


def real_text(model: Model, folder: Path, name: str, level: int) -> str:
    """Tell what becomes of the text in a real image."""
    image = read_sem(folder / name)
    labels = segment(image, model).labels()[-TEXT_ROWS:] > 0
    return f"{labels[np.asarray(image.pixels)[-TEXT_ROWS:] >= level].mean():.3f}"


def main() -> None:
    """Print a row for each model."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", default=["starter"])
    parser.add_argument("--data", type=Path)
    args = parser.parse_args()
    for name in args.models:
        model = load_model(name)
        row = [f"powders {powders(model)}", f"text {text(model)}"]
        if args.data:
            row += [
                f"{file} {real_text(model, args.data / 'sem_files', file, n)}" for file, n in WRITTEN.items()
            ]
        print(f"{name}: {', '.join(row)}", flush=True)


if __name__ == "__main__":
    main()
