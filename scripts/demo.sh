#!/usr/bin/env bash
# Sets everything up in .venv and segments an example image; see the README.
# Arguments go to `micro-ktnet demo`; with --viewer the result opens in napari.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/_setup.sh
source scripts/_setup.sh

for argument in "$@"; do
  if [[ "$argument" == --viewer ]]; then
    ensure_qt_libraries
  fi
done

make_venv .venv
say "installing napari-micro-ktnet into .venv (with torch, a few GB the first time)"
"$UV_COMMAND" pip install --quiet --python "$VENV_PYTHON" --editable '.[qt,imagenet]'

say "micro-ktnet demo"
exec .venv/bin/micro-ktnet demo --output micro-ktnet-demo "$@"
