#!/bin/sh
# Lock the packages of each image: exact versions and the checksums of all their files. `make lock` runs it.
#
# The files hold no index: pip takes its own when an image is built, and the checksums say that the files are the same.
set -eu
cd "$(dirname "$0")/.."
lock() {
    name=$1
    shift
    echo "Locking docker/$name.txt"
    "${UV:-uv}" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
        --no-emit-index-url --upgrade --output-file "docker/$name.txt" "$@"
}
lock build docker/build.in
lock consumer --extra consumers --extra mqtt pyproject.toml
lock describe --extra describe pyproject.toml
lock page --extra page --extra ask pyproject.toml
lock producer --extra producers --extra transcribe pyproject.toml
lock worker --extra worker --extra consumers --extra mqtt pyproject.toml
# PyTorch's CPU build needs none of CUDA's packages, and comes from an index of its own, at the versions of worker.txt.
left_out=$(sed -nE 's/^(torch[a-z]*|triton|nvidia-[a-z0-9-]+|cuda-[a-z0-9-]+)==.*/--no-emit-package \1/p' docker/worker.txt)
# shellcheck disable=SC2086 - one argument for each word
lock worker-cpu --extra worker --extra cpu --extra consumers --extra mqtt $left_out pyproject.toml
