"""Write docs/sem_files.md: what different readers make of real SEM files.

    python scripts/sem_table.py FOLDER [--output docs/sem_files.md]

FOLDER holds the files and their expected values, MANIFEST.csv.
"""

from __future__ import annotations

import argparse
import csv
import logging
from pathlib import Path
from typing import Any

import tifffile

from napari_micro_ktnet.errors import ReadError
from napari_micro_ktnet.files import replacing
from napari_micro_ktnet.sem import SEMImage, read_sem

ROOT = Path(__file__).resolve().parents[1]
PER_UNIT_NM = {2: 2.54e7, 3: 1e7}
CLOSE = 1e-3
BAR_CLOSE = 2
NUMBERS = {
    "hv_v": "accelerating_voltage_v",
    "wd_m": "working_distance_m",
    "magnification": "magnification",
    "beam_current_a": "beam_current_a",
    "stage_tilt_deg": "stage_tilt_deg",
}
HEAD = """# Real SEM files, file by file

Made by `scripts/sem_table.py`; do not edit. Pixel sizes are in nm, y x x where they differ. Expected
values come from `MANIFEST.csv`, which lies beside the files. *Conditions* counts voltage, working
distance, magnification, beam, beam current, stage tilt, detector and date, where an expected value is
known.

- **ours**: `napari_micro_ktnet.sem.read_sem`, with the source that it states.
- **napari builtin**: the scale of the layer that napari's own reader makes; *none* = one unit a pixel.
- **TIFF tags**: what a reader that trusts the resolution tags would take, and its factor to the truth.

| file | expected | ours | source | napari builtin | TIFF tags | bar rows: expected | ours | conditions |
|---|---|---|---|---|---|---|---|---|
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "sem_files.md")
    arguments = parser.parse_args()
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    with (arguments.folder / "MANIFEST.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    lines, right = [], 0
    for row in rows:
        line, good = table_row(arguments.folder / row["file"], row)
        lines.append(line)
        right += good
    text = f"{HEAD}{''.join(lines)}\n{right} of {len(rows)} files are as expected.\n"
    with replacing(arguments.output) as path:
        path.write_text(text, encoding="utf-8")
    print(f"{right} of {len(rows)} files are as expected: {arguments.output}")


def table_row(path: Path, row: dict[str, str]) -> tuple[str, bool]:
    """One line of the table, and whether ours is right."""
    expected = None
    if row["pixel_size_x_m"]:
        expected = float(row["pixel_size_y_m"]) * 1e9, float(row["pixel_size_x_m"]) * 1e9
    broken = row["vendor"] == "broken"
    try:
        image = read_sem(path)
    except ReadError:
        cells = [row["file"], "an error", "an error", "", builtin_scale(path), "", "", "", ""]
        return f"| {' | '.join(cells)} |\n", broken
    bar_right = abs(image.data_bar_rows - int(row["databar_px"] or 0)) <= BAR_CLOSE
    known, found = conditions(image, row)
    good = not broken and same(expected, image.pixel_size) and bar_right and known == found
    tags = tag_size(path)
    cells = [
        row["file"],
        "an error" if broken else shown(expected),
        shown(image.pixel_size),
        image.pixel_size_source,
        builtin_scale(path),
        shown(tags) + (f" ({tags[1] / expected[1]:.2g} times)" if tags and expected else ""),
        row["databar_px"],
        str(image.data_bar_rows),
        f"{found} of {known}",
    ]
    return f"| {' | '.join(cells)} |\n", good


def conditions(image: SEMImage, row: dict[str, str]) -> tuple[int, int]:
    """How many acquisition conditions are known, and how many of them ours has."""
    known = found = 0
    for column, field in NUMBERS.items():
        if row[column]:
            known += 1
            value, expected = getattr(image.metadata, field), float(row[column])
            # Angles are listed with four digits.
            margin = 1e-4 if column == "stage_tilt_deg" else CLOSE * abs(expected)
            found += value is not None and abs(value - expected) <= margin
    date = image.metadata.acquired
    texts = {
        "detector": image.metadata.detector,
        "beam": image.metadata.beam,
        "datetime": date and date.replace(tzinfo=None, microsecond=0).isoformat(),
    }
    for column, text in texts.items():
        if row[column]:
            known += 1
            # The list tells helium from gallium ions.
            truth = "ion" if column == "beam" and row[column].endswith("ion") else row[column]
            found += text == truth
    return known, found


def same(a: tuple[float, float] | None, b: tuple[float, float] | None) -> bool:
    if a is None or b is None:
        return a is b
    return all(abs(x / y - 1) <= CLOSE for x, y in zip(a, b, strict=True))


def shown(size: tuple[float, float] | None) -> str:
    if size is None:
        return "none"
    y, x = (f"{value:.6g}" for value in size)
    return x if x == y else f"{y} x {x}"


def builtin_scale(path: Path) -> str:
    """Scale that napari's own reader gives its layer."""
    from napari_builtins.io import napari_get_reader

    reader = napari_get_reader(str(path))
    try:
        layers: list[Any] = reader(str(path)) if reader else []
    except Exception as error:  # noqa: BLE001 - whatever it raises is what a user would see
        return type(error).__name__
    options = layers[0][1] if layers and len(layers[0]) > 1 else {}
    scale = options.get("scale")
    return "none" if scale is None else str(tuple(scale))


def tag_size(path: Path) -> tuple[float, float] | None:
    """Pixel size in nm, (y, x), that the TIFF resolution tags give."""
    with tifffile.TiffFile(path) as tif:
        tags = tif.pages.first.tags
        unit = PER_UNIT_NM.get(int(tags.valueof("ResolutionUnit", default=2)))
        sizes = []
        for name in ("YResolution", "XResolution"):
            number, divisor = tags.valueof(name, default=(0, 1))
            if not number or not divisor or unit is None:
                return None
            sizes.append(unit * divisor / number)
    return sizes[0], sizes[1]


if __name__ == "__main__":
    main()
