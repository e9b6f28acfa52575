"""Encoder names: what we call an encoder, what segmentation-models-pytorch calls it."""

from __future__ import annotations

import difflib
import warnings
from functools import cache
from typing import TYPE_CHECKING

from napari_micro_ktnet.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable

LITE0 = "timm-tf_efficientnet_lite0"

ENCODER_ALIASES: dict[str, str] = {
    "efficientnet_lite0": LITE0,
    "efficientnet-lite0": LITE0,
    "tf_efficientnet_lite0": LITE0,
    "lite0": LITE0,
}


@cache
def encoder_names() -> tuple[str, ...]:
    """Names of every encoder of the installed segmentation-models-pytorch, sorted."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="segmentation_models_pytorch")
        from segmentation_models_pytorch.encoders import get_encoder_names

        return tuple(sorted(get_encoder_names()))


def canonical_encoder(name: str) -> str:
    """Turn an encoder name as a person writes it into the one that models record.

    Parameters
    ----------
    name : str
        A name of segmentation-models-pytorch, or a short name such as ``"lite0"``; upper and
        lower case are the same, ``-`` and ``_`` too. Names that start with ``tu-`` are networks
        of timm and are passed on as they are.

    Returns
    -------
    str
        The name as segmentation-models-pytorch spells it.

    Raises
    ------
    ModelError
        No such encoder; the message names the closest ones.
    """
    wanted = name.strip()
    if wanted in ENCODER_ALIASES:
        return ENCODER_ALIASES[wanted]
    names = encoder_names()
    if wanted in names or wanted.startswith("tu-"):
        return wanted
    spellings = {_loose(n): n for n in names} | {_loose(a): n for a, n in ENCODER_ALIASES.items()}
    if _loose(wanted) in spellings:
        return spellings[_loose(wanted)]
    close = closest_names(_loose(wanted), spellings)
    close = list(dict.fromkeys(spellings[match] for match in close))
    hint = f"Did you mean {' or '.join(map(repr, close))}?" if close else f"There are {len(names)}."
    raise ModelError(
        f"There is no encoder {name!r}. {hint} "
        "`napari_micro_ktnet.model.encoders.encoder_names()` lists every name; "
        f"the usual ones are {LITE0!r} and 'se_resnext50_32x4d'."
    )


def closest_names(wanted: str, names: Iterable[str], count: int = 3) -> list[str]:
    """Names that continue `wanted`, then names that are spelt alike."""
    names = list(names)
    longer = [name for name in names if wanted and name.startswith(wanted)]
    return list(dict.fromkeys(longer + difflib.get_close_matches(wanted, names, n=count)))[:count]


def _loose(name: str) -> str:
    return name.lower().replace("-", "_")
