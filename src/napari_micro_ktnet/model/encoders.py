"""Encoder names: what we call an encoder, what segmentation-models-pytorch calls it."""

from __future__ import annotations

import difflib
import warnings
from functools import cache

from napari_micro_ktnet.errors import ModelError

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
    close = list(
        dict.fromkeys(spellings[m] for m in difflib.get_close_matches(_loose(wanted), spellings, n=4))
    )
    hint = f"Did you mean {' or '.join(map(repr, close))}?" if close else f"There are {len(names)}."
    raise ModelError(
        f"There is no encoder {name!r}. {hint} "
        "`napari_micro_ktnet.model.encoders.encoder_names()` lists every name; "
        f"the usual ones are {LITE0!r} and 'se_resnext50_32x4d'."
    )


def _loose(name: str) -> str:
    return name.lower().replace("-", "_")
