# Shared by demo.sh and test.sh, which source it. It finds a Python, adds missing system packages and
# makes virtual environments; it expects `set -euo pipefail` and the checkout as working directory.
# shellcheck shell=bash

# What Qt 6 with its xcb platform and OpenGL needs on Debian and Ubuntu.
QT_PACKAGES=(
  libdbus-1-3 libegl1 libfontconfig1 libgl1 libgl1-mesa-dri libglib2.0-0 libglu1-mesa libgssapi-krb5-2
  libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-render-util0 libxcb-shape0
  libxcb-xinerama0 libxkbcommon-x11-0
)
# A display where there is none.
XVFB_PACKAGES=(xauth xvfb)

say() { printf '\n== %s\n' "$*" >&2; }

die() {
  printf '\nERROR: %s\n' "$*" >&2
  exit 1
}

is_linux() { [[ "$(uname -s)" == Linux ]]; }

# --- system packages -------------------------------------------------------------------------------

is_installed() {
  local name
  # Since the 64-bit time_t transition some packages have the same content under NAME + t64.
  for name in "$1" "${1}t64"; do
    if [[ "$(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null)" == installed ]]; then
      return 0
    fi
  done
  return 1
}

as_root() {
  if [[ "$(id -u)" -eq 0 ]]; then
    "$@"
  else
    sudo --preserve-env=http_proxy,https_proxy,no_proxy,HTTP_PROXY,HTTPS_PROXY,NO_PROXY "$@"
  fi
}

# ensure_packages PACKAGE...: installs those that are missing; needs apt-get.
ensure_packages() {
  local missing=() package
  for package in "$@"; do
    is_installed "$package" || missing+=("$package")
  done
  [[ ${#missing[@]} -eq 0 ]] && return 0
  if [[ "$(id -u)" -ne 0 ]] && ! command -v sudo >/dev/null; then
    die "these system packages are missing and need administrator rights: ${missing[*]}
Ask an administrator to run: apt-get install ${missing[*]}"
  fi
  say "installing system packages: ${missing[*]}"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
}

has_apt() { command -v apt-get >/dev/null && command -v dpkg-query >/dev/null; }

# What a napari window needs on Linux.
ensure_qt_libraries() {
  is_linux || return 0
  if has_apt; then
    ensure_packages "${QT_PACKAGES[@]}"
    return 0
  fi
  printf '%s\n' "NOTE: this script installs system packages on Debian and Ubuntu only." \
    "If no window opens, install what Qt 6 needs under X11 with your package manager: EGL and OpenGL" \
    "(Mesa), libxkbcommon-x11, fontconfig, D-Bus, and the xcb libraries cursor, icccm, image, keysyms," \
    "render-util, shape and xinerama." >&2
}

ensure_xvfb() {
  command -v xvfb-run >/dev/null && command -v xauth >/dev/null && return 0
  has_apt || die "there is no display here: set DISPLAY, or install Xvfb with xvfb-run and xauth
(Fedora: dnf install xorg-x11-server-Xvfb xauth; Arch: pacman -S xorg-server-xvfb xorg-xauth)."
  ensure_packages "${XVFB_PACKAGES[@]}"
}

# --- Python ----------------------------------------------------------------------------------------

is_python_new_enough() {
  "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

# find_python: prints the path of the first Python 3.11 or newer; $PYTHON, if set, is the only candidate.
find_python() {
  local candidate candidates=(python3.13 python3.12 python3.11 python3)
  [[ -n "${PYTHON:-}" ]] && candidates=("$PYTHON")
  for candidate in "${candidates[@]}"; do
    if is_python_new_enough "$candidate"; then
      "$candidate" -c 'import sys; print(sys.executable)'
      return 0
    fi
  done
  die "no Python 3.11 or newer among: ${candidates[*]}
Install one (Debian and Ubuntu: apt-get install python3 python3-venv; macOS: brew install python@3.12)
or name it: PYTHON=/path/to/python bash $0"
}

# ensure_venv_module PYTHON: Debian and Ubuntu keep ensurepip, which venv needs, in a package of its own.
ensure_venv_module() {
  "$1" -c 'import ensurepip, venv' 2>/dev/null && return 0
  if ! command -v apt-get >/dev/null; then
    die "$1 has no venv module. Install it with your package manager, or install uv, and try again."
  fi
  ensure_packages "$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
}

# make_venv FOLDER: a virtual environment, kept if it is there already, and a uv to fill it: the one on
# the PATH, else one installed into it. Sets VENV_PYTHON and UV_COMMAND.
make_venv() {
  local folder=$1 python
  VENV_PYTHON="$folder/bin/python"
  UV_COMMAND=$(command -v uv || true)
  if ! is_python_new_enough "$VENV_PYTHON"; then
    python=$(find_python)
    say "making $folder with $python"
    if [[ -n "$UV_COMMAND" ]]; then
      "$UV_COMMAND" venv --quiet --clear --python "$python" "$folder"
    else
      ensure_venv_module "$python"
      "$python" -m venv --clear "$folder"
    fi
  fi
  if [[ -z "$UV_COMMAND" ]]; then
    UV_COMMAND="$folder/bin/uv"
    [[ -x "$UV_COMMAND" ]] || "$VENV_PYTHON" -m pip install --quiet --disable-pip-version-check uv
  fi
}
