"""`make` lists its targets, and a missing system package is named with the command that installs it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SYSTEM_PACKAGES = REPOSITORY / "tools" / "system_packages.sh"


def test_make_alone_prints_every_target_with_what_it_does() -> None:
    """The list includes every target that a page of the documentation names."""
    done = subprocess.run(["make"], cwd=REPOSITORY, capture_output=True, text=True, check=True)

    targets = re.findall(r"^  make (\S+) +\S", done.stdout, flags=re.MULTILINE)
    pages = [*(REPOSITORY / "docs").glob("*.md"), REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md"]
    commands = re.compile(r"(?:^    |`)make ([a-z][a-z-]*)", flags=re.MULTILINE)
    named = {target for page in pages for target in commands.findall(page.read_text(encoding="utf-8"))}
    assert {"setup", "demo", "test", "test-quick", "check", "ci", "docs", "reference", "clean"} <= named | {"clean"}
    assert named - set(targets) == set()


def test_a_missing_system_package_is_named_with_its_command(tmp_path: Path) -> None:
    """Every missing package is named, not only the first."""
    done = subprocess.run(
        ["/bin/sh", SYSTEM_PACKAGES, "need", "redis-server", "mvn"],
        env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "redis-server is missing: apt-get install redis-server",
        "mvn is missing: apt-get install maven",
    ]


def test_an_outdated_java_counts_as_missing(tmp_path: Path) -> None:
    """The script checks the version of Java."""
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    java.chmod(0o755)

    done = subprocess.run(
        [SYSTEM_PACKAGES, "need", "java"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (
        1,
        "Java 17 or newer is missing: apt-get install openjdk-17-jre-headless\n",
    )


@pytest.mark.parametrize(
    ("version", "fits"), [("v18.17.1", False), ("v18.18.0", True), ("v9.99.0", False), ("v22.1.0", True)]
)
def test_an_outdated_node_counts_as_missing(tmp_path: Path, version: str, *, fits: bool) -> None:
    """Its minor version matters, too: page/package.json names the same."""
    for name, text in (("node", f"echo {version}"), ("npm", "true")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)

    done = subprocess.run(
        [SYSTEM_PACKAGES, "need", "npm"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    missing = "npm, with Node.js 18.18 or newer, which builds the page, is missing: apt-get install nodejs npm\n"
    assert (done.returncode, done.stderr) == ((0, "") if fits else (1, missing))
    assert '"node": ">=18.18"' in (REPOSITORY / "page" / "package.json").read_text(encoding="utf-8")


def test_clean_removes_what_the_build_of_the_page_made(tmp_path: Path) -> None:
    """And none of its sources."""
    shutil.copy(REPOSITORY / "Makefile", tmp_path)
    for made in ("page/node_modules/vite", "consumers/triptych/consumers/page/static/assets", "page/src"):
        (tmp_path / made).mkdir(parents=True)

    subprocess.run(["make", "clean"], cwd=tmp_path, check=True)

    assert (tmp_path / "page" / "src").is_dir()
    assert not (tmp_path / "page" / "node_modules").exists()
    assert not (tmp_path / "consumers/triptych/consumers/page/static").exists()


def test_nothing_is_printed_if_nothing_is_missing() -> None:
    """Every target can call the script each time."""
    done = subprocess.run([SYSTEM_PACKAGES, "need", "python"], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
