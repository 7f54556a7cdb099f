"""The documentation site builds, every page is in its navigation, and what pages name exists."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"
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


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_no_page_that_people_write_is_too_long(page: Path) -> None:
    """Of more than 2,500 words, a page is split, or the generated reference says it better."""
    assert len(page.read_text(encoding="utf-8").split()) <= 2_500
