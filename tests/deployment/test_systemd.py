"""The units for systemd: systemd accepts them, the programs know their settings, and what they may do is limited."""

from __future__ import annotations

import shutil
import stat
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.deployment.command_lines import parse_command_line
from tests.servers import require_program
from triptych.settings.loading import load
from triptych.settings.section import SettingsError

REPOSITORY: Final = Path(__file__).parents[2]
UNITS: Final = sorted((REPOSITORY / "deploy" / "systemd").glob("*.service"))
NAMES: Final = [path.name for path in UNITS]
UNIT_OF: Final = dict(zip(NAMES, UNITS, strict=True))
INSTANCE: Final = "19462"
PROGRAM: Final = "/opt/triptych/bin/triptych"
MOST_EXPOSURE: Final = 20
"""In tenths, of 100. systemd calls less than 30 `OK`; a unit without any of these lines has 96."""


def lines_of(unit: Path, key: str) -> list[str]:
    """Return the values of a key of a unit, in order."""
    text = unit.read_text(encoding="utf-8")
    return [line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{key}=")]


def variables_of(unit: Path, instance: str = INSTANCE) -> dict[str, str]:
    """Return the environment that a unit sets, on the machine `host`."""
    lines = [line.replace("%l", "host").replace("%i", instance) for line in lines_of(unit, "Environment")]
    return dict(line.split("=", 1) for line in lines)


@pytest.fixture
def systemd_analyze() -> str:
    """The program that checks units."""
    return require_program(shutil.which("systemd-analyze"), "systemd-analyze")


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, Path]:
    """The units as on a machine with the program: templates with one instance."""
    program = tmp_path / "triptych"
    program.write_text("#!/bin/sh\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    copies = {}
    for unit in UNITS:
        copy = tmp_path / unit.name.replace("@.", f"@{INSTANCE}.")
        copy.write_text(unit.read_text(encoding="utf-8").replace(PROGRAM, str(program)))
        copies[unit.name] = copy
    return copies


def test_systemd_accepts_every_unit(systemd_analyze: str, installed: dict[str, Path]) -> None:
    """No unknown key, no bad value. The check can fail: it finds a mistyped key."""
    for name, unit in installed.items():
        done = subprocess.run([systemd_analyze, "verify", unit], capture_output=True, text=True, check=False)
        about_it = [line for line in done.stderr.splitlines() if unit.name in line]
        assert (done.returncode, about_it) == (0, []), name
    unit.write_text(unit.read_text().replace("TimeoutStopSec", "TimeoutStopSecs"))
    done = subprocess.run([systemd_analyze, "verify", unit], capture_output=True, text=True, check=False)
    assert "TimeoutStopSecs" in done.stderr


def test_what_a_unit_may_do_is_limited(systemd_analyze: str, installed: dict[str, Path]) -> None:
    """By the rating of `systemd-analyze security`."""
    for name, unit in installed.items():
        command = [systemd_analyze, "security", "--offline=yes", f"--threshold={MOST_EXPOSURE}", unit]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{name}: {done.stdout[-300:]}{done.stderr}"


@pytest.mark.parametrize("unit", UNITS, ids=NAMES)
def test_the_command_line_and_the_variables_are_known(unit: Path) -> None:
    """The real command line parses it, and the loader of settings rejects unknown variables."""
    (start,) = lines_of(unit, "ExecStart")
    program, *args = start.split()
    assert program == PROGRAM
    parse_command_line(args)
    load(environ=variables_of(unit))


@pytest.mark.parametrize("unit", UNITS, ids=NAMES)
def test_a_unit_is_started_again_and_stopped_gently(unit: Path) -> None:
    """SIGTERM first, and only after the limit a kill. A wrong setting is not tried again and again."""
    assert lines_of(unit, "Restart") == ["always"]
    assert lines_of(unit, "RestartPreventExitStatus") == ["2"]
    assert lines_of(unit, "KillSignal") == ["SIGTERM"]
    assert lines_of(unit, "Type") == ["exec"]  # no program of ours notifies systemd


def test_workers_are_static_members() -> None:
    """The name is the machine's and the instance's. They are back, and stop, within the limits of the settings."""
    unit = UNIT_OF["triptych-work@.service"]
    settings = load(environ=variables_of(unit))

    assert settings.kafka.group_instance_id == f"host-{INSTANCE}"
    assert int(lines_of(unit, "TimeoutStopSec")[0]) * 1_000 > settings.worker.shutdown_limit_ms
    assert int(lines_of(unit, "RestartSec")[0]) * 1_000 < settings.kafka.session_timeout_ms


@pytest.mark.parametrize("port", [1_024, 19_461, 19_470, 65_535])
def test_the_instance_of_a_worker_is_its_port(port: int) -> None:
    """So there are as many as ports, and no two programs of one machine get the same by arithmetic."""
    settings = load(environ=variables_of(UNIT_OF["triptych-work@.service"], str(port)))
    assert (settings.http.port, settings.kafka.group_instance_id) == (port, f"host-{port}")


@pytest.mark.parametrize("instance", ["65536", "194610", "-1", "a"])
def test_an_instance_that_is_no_port_is_refused(instance: str) -> None:
    """The message names the variable. The worker ends with exit code 2, after which systemd does not start it again."""
    with pytest.raises(SettingsError, match="TRIPTYCH_HTTP_PORT"):
        load(environ=variables_of(UNIT_OF["triptych-work@.service"], instance))


def test_the_page_searches_what_the_index_unit_writes() -> None:
    """Files are only for their user (UMask), so both are the same, with the same folder."""
    page, index = UNIT_OF["triptych-page.service"], UNIT_OF["triptych-index.service"]
    (start,) = lines_of(index, "ExecStart")
    folder = load(environ=variables_of(page)).page.index
    assert str(folder) == start.partition("--index ")[2] == "/var/lib/triptych/index"
    for key in ("DynamicUser", "User", "StateDirectory", "UMask"):
        assert lines_of(page, key) == lines_of(index, key) != [], key


def test_only_workers_are_said_to_be_members() -> None:
    """The other programs have no static name that another one could take."""
    assert [unit.name for unit in UNITS if "static member" in unit.read_text(encoding="utf-8")] == [
        "triptych-work@.service"
    ]


def test_the_units_are_mentioned_in_the_documentation() -> None:
    """A file that no page names is not found."""
    page = (REPOSITORY / "docs" / "systemd.md").read_text(encoding="utf-8")
    for unit in UNITS:
        assert unit.name in page
