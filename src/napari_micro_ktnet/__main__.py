"""``python -m napari_micro_ktnet`` is ``micro-ktnet``."""

import sys

from napari_micro_ktnet.cli import main

if __name__ == "__main__":
    sys.exit(main())
