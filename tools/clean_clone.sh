#!/bin/sh
# Run a command in a fresh clone of the committed tree, so that it cannot use uncommitted files.
#
#   tools/clean_clone.sh COMMAND...
set -eu

repository=$(cd "$(dirname "$0")/.." && pwd)
# On the file system of the package cache, so that packages are linked into the virtual environment and not copied.
cache=${XDG_CACHE_HOME:-$HOME/.cache}
mkdir -p "$cache"
clone=$(mktemp -d -p "$cache" triptych-clone.XXXXXX)
trap 'rm -rf "$clone"' EXIT
trap 'exit 130' INT TERM

git clone --quiet "$repository" "$clone/triptych"
cd "$clone/triptych"
echo "Clean clone of $(git rev-parse --short HEAD): $*"
# Neither the settings of this shell nor those of an outer make may reach the clone.
unset MAKEFLAGS MAKELEVEL MFLAGS VIRTUAL_ENV PYTHONPATH
TRIPTYCH_REQUIRE_SERVERS=1 "$@"
