"""Which annotated images train and which validate; never the same pixels in both."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_micro_ktnet.errors import DataError
from napari_micro_ktnet.training.cuts import strips
from napari_micro_ktnet.training.dataset import ImagePair
from napari_micro_ktnet.training.losses import IGNORE

_TRIES = 200
# Below this a score says little.
_FEW_PIXELS = 500


@dataclass(frozen=True)
class Split:
    """Images to train on and images to validate on.

    Attributes
    ----------
    training, validation : tuple of ImagePair
        Both hold at least one.
    warnings : tuple of str
        What makes the validation scores less certain than they look, one sentence each.
    """

    training: tuple[ImagePair, ...]
    validation: tuple[ImagePair, ...]
    warnings: tuple[str, ...] = ()


def split_pairs(pairs: Sequence[ImagePair], share: float = 0.2, seed: int = 0) -> Split:
    """Hold back some of the annotated images for validation.

    Parameters
    ----------
    pairs : sequence of ImagePair
        At least one. Several are divided image by image; a single one is cut in two, with a gap of
        32 pixels between the parts.
    share : float
        Share of the images to hold back, at least one image.
    seed : int
        Decides among divisions that are equally balanced.

    Returns
    -------
    Split
        Every class is in both parts wherever that is possible, in shares as alike as possible.

    Raises
    ------
    DataError
        There is no image, or a single one cannot be cut so that both parts hold labels.
    """
    if not pairs:
        raise DataError("There is no annotated image. Give at least one image with its mask.")
    parts = _cut(pairs[0]) if len(pairs) == 1 else _by_image(pairs, share, seed)
    return replace(parts, warnings=split_warnings(parts.training, parts.validation))


def refuse_twins(pairs: Sequence[ImagePair]) -> None:
    """Refuse one image under two names: it could be trained on and scored.

    Raises
    ------
    DataError
        Two of the pairs have the same pixels, whatever their masks are.
    """
    seen: dict[str, str] = {}
    for pair in pairs:
        digest = hashlib.sha256(np.ascontiguousarray(pair.pixels).data).hexdigest()
        if digest in seen:
            raise DataError(
                f"{seen[digest]} and {pair.name} are the same image. A model could be scored on what it "
                "was trained on: remove one of them."
            )
        seen[digest] = pair.name


def split_warnings(training: Sequence[ImagePair], validation: Sequence[ImagePair]) -> tuple[str, ...]:
    """Say what makes the scores on `validation` less certain than they look."""
    found = []
    if len(validation) == 1:
        found.append(f"Only one image ({validation[0].name}) validates: the scores hold for images like it.")
    counts = _counts(validation)
    trained = np.flatnonzero(_counts(training)[1:]) + 1
    found += [
        f"The validation images hold {int(counts[value])} pixels of class {value}: too few for a reliable "
        "score. Annotate more."
        for value in trained.tolist()
        if counts[value] < _FEW_PIXELS
    ]
    return tuple(found)


def _by_image(pairs: Sequence[ImagePair], share: float, seed: int) -> Split:
    back = min(max(1, round(share * len(pairs))), len(pairs) - 1)
    rng = np.random.default_rng(seed)
    tries = [np.sort(rng.permutation(len(pairs))[:back]) for _ in range(_TRIES)]
    counts = np.stack([_counts([pair]) for pair in pairs])
    chosen = min(tries, key=lambda held: _imbalance(counts.sum(0) - counts[held].sum(0), counts[held].sum(0)))
    held = set(chosen.tolist())
    return Split(
        tuple(p for i, p in enumerate(pairs) if i not in held), tuple(pairs[i] for i in sorted(held))
    )


def _cut(pair: ImagePair) -> Split:
    cuts = [(_imbalance(_counts([a]), _counts([b])), a, b) for a, b in _strips(pair)]
    useful = [cut for cut in cuts if cut[1].labelled and cut[2].labelled]
    if not useful:
        raise DataError(
            f"There is only one image ({pair.name}), and it cannot be divided into a part to train on and a "
            "part to validate on that both hold labels. Add an annotated image, or give validation images."
        )
    _, training, validation = min(useful, key=lambda cut: cut[0])
    return Split((training,), (validation,))


def _strips(pair: ImagePair) -> Iterator[tuple[ImagePair, ImagePair]]:
    """Every way to take a strip off one side of the image."""
    for axis, training, validation in strips(pair.mask.shape):
        yield _part(pair, axis, training), _part(pair, axis, validation)


def _part(pair: ImagePair, axis: int, span: slice) -> ImagePair:
    where = (span, slice(None)) if axis == 0 else (slice(None), span)
    name = f"{pair.name} ({('rows', 'columns')[axis]} {span.start} to {span.stop - 1})"
    rows = pair.rows
    if rows is not None and axis == 0:
        rows = min(max(rows - span.start, 0), span.stop - span.start)
    return ImagePair(name, pair.pixels[where], pair.mask[where], pair.weight, pair.pixel_size, rows)


def _counts(pairs: Sequence[ImagePair]) -> NDArray[np.intp]:
    """Annotated pixels of each class, ``(255,)``."""
    counts: NDArray[np.intp] = np.sum(
        [np.bincount(pair.mask.ravel(), minlength=IGNORE + 1)[:IGNORE] for pair in pairs], axis=0
    )
    return counts


def _imbalance(training: NDArray[np.intp], validation: NDArray[np.intp]) -> tuple[int, float]:
    """How unlike two parts are: classes missing in one of them, then distance of the shares."""
    present = (training + validation) > 0
    missing = int(np.count_nonzero(present & ((training == 0) | (validation == 0))))
    shares = [counts / max(1, counts.sum()) for counts in (training, validation)]
    return missing, float(np.abs(shares[0] - shares[1]).sum())
