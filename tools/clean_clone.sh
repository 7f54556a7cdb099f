#!/bin/sh
# Run a command in a fresh clone of what is committed here, so that nothing left over on this machine helps it.
#
#   tools/clean_clone.sh COMMAND...
set -eu

repository=$(cd "$(dirname "$0")/.." && pwd)
# On the file system of the package cache: packages are then linked into the clone's virtual environment, not copied.
cache=${XDG_CACHE_HOME:-$HOME/.cache}
mkdir -p "$cache"
clone=$(mktemp -d -p "$cache" triptych-clone.XXXXXX)
trap 'rm -rf "$clone"' EXIT
trap 'exit 130' INT TERM

git clone --quiet "$repository" "$clone/triptych"
cd "$clone/triptych"
echo "Clean clone of $(git rev-parse --short HEAD): $*"
# The settings of this shell's user must not reach the clone, nor an outer make's.
unset MAKEFLAGS MAKELEVEL MFLAGS VIRTUAL_ENV PYTHONPATH
TRIPTYCH_REQUIRE_SERVERS=1 "$@"
