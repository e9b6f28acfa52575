"""Text files that a microscope writes beside an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# Real ones have a few thousand bytes; a text file of the same name may be anything.
LARGEST_SIDECAR = 2**20


class Sidecars:
    """Reader of the files beside one image, each read at most once.

    Parameters
    ----------
    path : Path
        The image file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[str, bytes] = {}

    def read(self, *endings: str) -> bytes:
        """Bytes of the first file that is there.

        Parameters
        ----------
        *endings : str
            What takes the place of the image's suffix, such as ``.txt``; upper case is tried too.

        Returns
        -------
        bytes
            Empty where there is no such file, or it is too large to be metadata.
        """
        for ending in endings:
            if ending not in self._found:
                self._found[ending] = self._read(ending)
            if self._found[ending]:
                return self._found[ending]
        return b""

    def _read(self, ending: str) -> bytes:
        for variant in (ending, ending.upper(), ending.title()):
            try:
                file = self._path.with_name(self._path.stem + variant)
                if not file.is_file():
                    continue
                with file.open("rb") as stream:
                    data = stream.read(LARGEST_SIDECAR + 1)
            except (OSError, ValueError):
                # A sidecar that cannot be opened is as good as none: the image itself is fine.
                continue
            if len(data) <= LARGEST_SIDECAR:
                return data
        return b""
