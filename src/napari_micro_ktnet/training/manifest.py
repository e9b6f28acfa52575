"""The images of a run with the hash of their content, and the part each plays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_micro_ktnet.training.dataset import ImagePair


class ManifestEntry(BaseModel):
    """One annotated image of a run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    part: Literal["training", "validation"]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    shape: tuple[int, int]
    pixel_size_nm: tuple[float, float] | None = None


class Manifest(BaseModel):
    """The images of a run, and the split."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    images: tuple[ManifestEntry, ...]


def make_manifest(training: Sequence[ImagePair], validation: Sequence[ImagePair]) -> Manifest:
    """List annotated images with their hashes."""
    return Manifest(
        images=tuple(
            ManifestEntry(
                name=pair.name,
                part="training" if part is training else "validation",
                sha256=pair.digest,
                shape=pair.mask.shape,
                pixel_size_nm=pair.pixel_size,
            )
            for part in (training, validation)
            for pair in part
        )
    )


def describe_difference(before: Manifest, now: Manifest) -> str:
    """Name the images that are missing, changed or new; empty where both are the same."""
    if now == before:
        return ""
    old, new = ({(e.name, e.part): e for e in m.images} for m in (before, now))
    gone = [key[0] for key in old if key not in new]
    changed = [key[0] for key in old if key in new and old[key] != new[key]]
    added = [key[0] for key in new if key not in old]
    what = "; ".join(
        f"{text}: {', '.join(names[:5])}"
        for text, names in (("missing", gone), ("changed", changed), ("new", added))
        if names
    )
    return what or "their order differs"
