"""The images: they are built, have the size that fits their purpose, and tell what they are."""

from __future__ import annotations

import json
import time
from typing import Final

from tests.containers.engine import REPOSITORY, VERSION, CheckFailedError, Engine, expect, require

TARGETS: Final = ("consumer", "page", "producer", "models", "worker")
BASE: Final = "python:3.11-slim-bookworm"
BUILD_LIMIT_S: Final = 1_200
CONSUMER_MAX_MB: Final = 250
BASE_MB: Final = 130
"""Size of the true base image for linux/amd64; a stand-in may be larger."""


def build(engine: Engine, network: str | None) -> str:
    """Build all targets that the Compose file uses."""
    told = []
    for target in TARGETS:
        start_s = time.monotonic()
        options = [] if network is None else ["--network", network]
        engine.docker("build", *options, "--target", target, "--tag", _tag(target), ".", limit_s=BUILD_LIMIT_S)
        told.append(f"{target} in {time.monotonic() - start_s:.0f} s")
    return ", ".join(told)


def images(engine: Engine) -> str:
    """The consumer's image is small, each image carries the labels of OCI and the bill of materials of its packages."""
    base_mb = _size_mb(engine, BASE)
    added = {target: _size_mb(engine, _tag(target)) - base_mb for target in TARGETS}
    require(added["consumer"] + BASE_MB <= CONSUMER_MAX_MB, f"{added['consumer']} MB added by the consumer")
    for target in TARGETS:
        labels = json.loads(engine.docker("image", "inspect", "--format", "{{json .Config.Labels}}", _tag(target)))
        expect(labels["org.opencontainers.image.version"], VERSION, f"{target}: version in the labels")
        show = ["run", "--rm", "--network", "none", "--entrypoint", "cat", _tag(target), "/opt/triptych/sbom.cdx.json"]
        names = {component["name"] for component in json.loads(engine.docker(*show))["components"]}
        require({"triptych", "kafka-python"} <= names, f"{target}: bill of materials with triptych and its packages")
        expect("torch" in names, target == "worker", f"{target}: PyTorch in the bill of materials")
    return f"{base_mb} MB of base, to which {', '.join(f'{name} adds {mb} MB' for name, mb in added.items())}"


def rebuild(engine: Engine, network: str | None) -> str:
    """A change of code rebuilds no packages."""
    changed = REPOSITORY / "app" / "triptych" / "changed_for_a_test.py"
    changed.write_text('"""A change of code."""\n', encoding="utf-8")
    try:
        start_s = time.monotonic()
        options = [] if network is None else ["--network", network]
        tag = "triptych-worker:changed"
        engine.docker("build", *options, "--target", "worker", "--tag", tag, ".", limit_s=BUILD_LIMIT_S)
        took_s = time.monotonic() - start_s
    finally:
        changed.unlink()
    layers = [
        json.loads(engine.docker("image", "inspect", name))[0]["RootFS"]["Layers"] for name in (tag, _tag("worker"))
    ]
    engine.docker("rmi", tag)
    changed_layers = sum(one != other for one, other in zip(*layers, strict=True))
    expect(changed_layers, 1, "layers that a change of code changes")
    return f"worker after {took_s:.0f} s, one layer changed"


def _tag(target: str) -> str:
    return f"triptych-{target}:{VERSION}"


def _size_mb(engine: Engine, image: str) -> int:
    try:
        return int(engine.docker("image", "inspect", "--format", "{{.Size}}", image)) // 1_000_000
    except ValueError as error:
        raise CheckFailedError(f"{image}: expected its size: {error}") from error
