"""The documentation site builds, every page is in its navigation, and what pages name exists."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer.main

from triptych import cli

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"
FIGURES = DOCS / "performance.md"
"""Tables that `make bench` writes, one for each benchmark."""
PAGES = sorted([*DOCS.rglob("*.md"), *REPOSITORY.glob("*.md")])
MKDOCS = Path(sys.executable).with_name("mkdocs")

LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)")
WRITTEN_PATH = re.compile(r"(?<![\w/.])docs/[\w/-]+\.(?:md|png)")


def _build(folder: Path, site: Path) -> subprocess.CompletedProcess[str]:
    # Not quiet: mkdocs then counts no warnings, and a strict build never fails.
    command = [MKDOCS, "build", "--strict", "--config-file", folder / "mkdocs.yml", "--site-dir", site]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


def test_the_site_builds_strictly(tmp_path: Path) -> None:
    """No link or anchor is broken, and no page is missing from the navigation."""
    done = _build(REPOSITORY, tmp_path / "site")

    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "site" / "start" / "index.html").is_file()


@pytest.mark.parametrize("link", ["[x](nothing.md)", "[x](index.md#nothing)", "[x](../nothing.py)"])
def test_a_broken_link_fails_the_build(tmp_path: Path, link: str) -> None:
    """The strict build above is able to fail."""
    config = (REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[0]
    (tmp_path / "mkdocs.yml").write_text(config, encoding="utf-8")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(f"# Page\n\n{link}\n", encoding="utf-8")
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "site_hooks.py").write_text((REPOSITORY / "tools" / "site_hooks.py").read_text())

    done = _build(tmp_path, tmp_path / "site")

    assert done.returncode != 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_every_file_that_a_page_links_to_exists(page: Path) -> None:
    """Also those outside of the site, such as the README's."""
    links = [link for link in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]

    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_page_that_the_code_names_exists() -> None:
    """Docstrings and messages name pages by their path."""
    listed = subprocess.run(
        ["git", "ls-files", "*.py", "*.md", "*.toml", "*.yml", "Makefile", "Dockerfile"],
        cwd=REPOSITORY, check=True, capture_output=True, text=True,
    ).stdout.split()  # fmt: skip

    missing = {
        f"{name}: {path}"
        for name in listed
        if (REPOSITORY / name).exists()
        for path in WRITTEN_PATH.findall((REPOSITORY / name).read_text(encoding="utf-8"))
        if not (REPOSITORY / path).exists()
    }

    assert missing == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_no_page_installs_from_an_index_on_which_the_project_is_not(page: Path) -> None:
    """`pip install triptych` would fetch somebody else's package, or none."""
    text = page.read_text(encoding="utf-8")

    assert re.findall(r"""pip install ["']?triptych(?![^\n]*@ )[^\n]*""", text) == []


def test_the_tutorial_shows_the_example_that_the_tests_run() -> None:
    """Its last program is the file, word by word."""
    example = (REPOSITORY / "examples" / "subscribe_with_cursor.py").read_text(encoding="utf-8")

    assert f"```python\n{example}```" in (DOCS / "tutorial.md").read_text(encoding="utf-8")


def test_every_term_of_the_glossary_links_to_a_page() -> None:
    """Twenty to forty terms, in order, each with a definition of at most three sentences and a link."""
    text = (DOCS / "glossary.md").read_text(encoding="utf-8")
    terms = re.findall(r"^- \*\*(.+)\*\*: ((?:.+\n)+?)(?=- \*\*|\n|\Z)", text, flags=re.MULTILINE)
    names = [name for name, _ in terms]

    assert 20 <= len(names) <= 40
    assert names == sorted(names, key=str.casefold)
    assert [name for name, definition in terms if "](" not in definition] == []


@pytest.mark.parametrize("page", sorted(set(DOCS.glob("*.md")) - {FIGURES}), ids=lambda page: page.name)
def test_no_page_that_people_write_is_too_long(page: Path) -> None:
    """Of more than 2,500 words, a page is split, or the generated reference says it better."""
    assert len(page.read_text(encoding="utf-8").split()) <= 2_500


def test_the_permissions_are_those_of_commands_that_exist() -> None:
    """Each row of the table names them in full. The contract names commands too, as writers of topics."""
    table = (DOCS / "security.md").read_text(encoding="utf-8").partition("| program | topics | groups |\n")[2]
    cells = [line.split(" | ")[0] for line in table.partition("\n\n")[0].splitlines()[1:]]
    named = [name for cell in cells for name in re.findall(r"`([a-z][a-z ]*[a-z])", cell)]
    contract = (DOCS / "contract.md").read_text(encoding="utf-8")
    named += re.findall(r"`triptych ([a-z][a-z ]*[a-z])`", contract)

    assert {"topics grow", "rebuild redis", "summarize", "index", "alert", "export", "interact"} <= set(named)
    assert [name for name in named if not _is_command(name)] == []
    assert re.findall(r"`(?:profile|recommender)`", contract) == []  # without `triptych`, as a reader would type it


def _is_command(name: str) -> bool:
    command = typer.main.get_command(cli.app)
    for part in name.split():
        commands = getattr(command, "commands", {})
        if part not in commands:
            return False
        command = commands[part]
    return True


def test_every_extra_is_in_the_table_of_extras() -> None:
    """Whoever installs without make chooses from it."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    table = (DOCS / "start.md").read_text(encoding="utf-8").partition("| extra | for |\n")[2].partition("\n\n")[0]
    listed = [extra for row in table.splitlines() for extra in re.findall(r"`([a-z]+)`", row.split(" | ")[0])]

    assert sorted(listed) == sorted(project["optional-dependencies"])


@pytest.mark.parametrize(("page", "folder"), [("README.md", "docs/"), ("docs/index.md", "")])
def test_every_guide_is_linked_from_the_first_pages(page: str, folder: str) -> None:
    """Those of the navigation. A page below another one is found from there."""
    navigation = (REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8").partition("\n  - Start:")[2]
    guides = re.findall(r"^ {6}- .+: ([\w-]+\.md)$", navigation.partition("\n  - Reference:")[0], re.MULTILINE)
    links = LINK.findall((REPOSITORY / page).read_text(encoding="utf-8"))

    assert len(guides) > 30
    assert [guide for guide in [*guides, "tutorial/data.md"] if folder + guide not in links] == []
