#!/usr/bin/env bash
# Sets everything up and passes the tests through tox; see the README.
# Arguments go to tox, for example: bash scripts/test.sh -e lint
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/_setup.sh
source scripts/_setup.sh

ensure_qt_libraries
display=()
if is_linux && [[ -z "${DISPLAY:-}" ]]; then
  ensure_xvfb
  # The default screen of xvfb-run is smaller than a viewer and has too few colours for OpenGL.
  display=(xvfb-run --auto-servernum --server-args "-screen 0 1600x1200x24")
fi

make_venv .tox/tools
"$UV_COMMAND" pip install --quiet --python "$VENV_PYTHON" 'tox>=4.25' 'tox-uv>=1.25'

say "tox $*"
# The expansion with + is for the bash 3.2 of macOS, where an empty array counts as unset.
exec ${display[@]+"${display[@]}"} .tox/tools/bin/tox run "$@"
