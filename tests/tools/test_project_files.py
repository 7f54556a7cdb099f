"""The files that steer tools agree with what is there: slow tests, hosted CI, pre-commit hooks, commits of moves."""

from __future__ import annotations

import subprocess
from pathlib import Path

import yaml

TESTS = Path(__file__).parents[1]
REPOSITORY = TESTS.parent


def test_every_slow_test_exists() -> None:
    """A test that was moved or renamed would silently count as quick."""
    lines = (TESTS / "slow.txt").read_text(encoding="utf-8").splitlines()
    entries = [line for line in lines if line and not line.startswith("#")]

    missing = []
    for entry in entries:
        path, _, name = entry.partition("::")
        found = (TESTS / path).exists() and f"def {name.partition('[')[0]}" in (
            (TESTS / path).read_text(encoding="utf-8") if name else "def "
        )
        missing += [] if found else [entry]

    assert entries
    assert missing == []


def test_hosted_ci_runs_what_a_developer_runs() -> None:
    """Its last step is the script of the repository, and the pre-commit hooks call the tools of the environment."""
    workflow = yaml.safe_load((REPOSITORY / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    hooks = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text(encoding="utf-8"))

    assert workflow["jobs"]["ci"]["steps"][-1]["run"] == ".ci/run"
    entries = [hook["entry"] for repo in hooks["repos"] for hook in repo["hooks"]]
    assert [entry for entry in entries if not entry.startswith(".venv/bin/")] == []


def test_the_commits_that_only_move_are_commits_of_ours() -> None:
    """`git blame` fails for a line that names no commit."""
    lines = (REPOSITORY / ".git-blame-ignore-revs").read_text(encoding="utf-8").splitlines()
    revisions = [line for line in lines if line and not line.startswith("#")]

    for revision in revisions:
        kind = subprocess.run(
            ["git", "cat-file", "-t", revision], cwd=REPOSITORY, capture_output=True, text=True, check=True
        )
        assert kind.stdout.strip() == "commit"
