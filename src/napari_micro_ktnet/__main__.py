"""``micro-ktnet``, and ``python -m napari_micro_ktnet``, which is the same."""

import sys


def main() -> int:
    """Run the command line; stopped while it is still being loaded, it says so as later on."""
    try:
        from napari_micro_ktnet.cli import main as run
    except KeyboardInterrupt:
        print("micro-ktnet: stopped before anything was done.", file=sys.stderr)
        return 130
    return run()


if __name__ == "__main__":
    sys.exit(main())
