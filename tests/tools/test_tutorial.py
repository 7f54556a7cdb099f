"""The pages of `docs/tutorial/` run in order, and the table of methods names code that exists."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import pytest

from tools import tutorial
from triptych.models.network.fusions.registry import FUSIONS

METHODS = tutorial.PAGES_FOLDER / "methods.md"
CODE_LINK = re.compile(r"\[`(\w+)`\]\(([^)]+)\)")


@pytest.fixture(scope="module")
def quick_run(tmp_path_factory: pytest.TempPathFactory) -> tutorial.TutorialRun:
    """All pages with a few examples."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUTORIAL_SIZE", "quick")
        return tutorial.run_pages(tmp_path_factory.mktemp("pictures"), tmp_path_factory.mktemp("work"))


def test_the_ceilings_are_those_of_the_rule(quick_run: tutorial.TutorialRun) -> None:
    """By hand: without the slips 7/9 for the words and 5/9 for the face, and a slip hits one of two other labels."""
    nine, twentieth = Fraction(9, 10), Fraction(1, 20)

    assert quick_run.namespace["ceilings"] == {
        (): nine * Fraction(4, 9) + twentieth * Fraction(5, 9),
        ("video",): nine * Fraction(5, 9) + twentieth * Fraction(4, 9),
        ("text",): nine * Fraction(7, 9) + twentieth * Fraction(2, 9),
        ("video", "text"): nine,
    }


def test_a_served_prediction_is_the_evaluated_one(quick_run: tutorial.TutorialRun) -> None:
    """Through producer, topics, worker and store, in the order of the clip."""
    results, shown = quick_run.namespace["results"], quick_run.namespace["shown"]

    assert [result.observations.words[0].text for result in results] == [one.window.cues[0].text for one in shown]
    assert quick_run.namespace["same"] == len(results)
    assert {result.model.sha256 for result in results} == {quick_run.namespace["small"].card.sha256()}


def test_the_tutorial_compares_every_fusion(quick_run: tutorial.TutorialRun) -> None:
    """A new fusion belongs on the page."""
    assert set(quick_run.namespace["FUSIONS"]) == set(FUSIONS)
    assert all(f"`{name}`" in (tutorial.PAGES_FOLDER / "fusions.md").read_text(encoding="utf-8") for name in FUSIONS)


def test_every_output_of_a_run_is_on_the_pages(quick_run: tutorial.TutorialRun) -> None:
    """The committed pages have as many outputs, none of them empty, and the pictures that the code draws."""
    for page in tutorial.PAGES:
        committed = (tutorial.PAGES_FOLDER / page).read_text(encoding="utf-8")
        outputs = [re.findall(r"```text\n(.*?)```", text, re.DOTALL) for text in (committed, quick_run.texts[page])]
        assert len(outputs[0]) == len(outputs[1])
        assert all(text.strip() for text in outputs[0] + outputs[1])
        for picture in re.findall(r"!\[[^\]]*\]\((\S+)\)", committed):
            assert (quick_run.namespace["FOLDER"] / picture).is_file()


def test_code_that_fails_fails_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And names of one page are known on the next; outputs replace those on the page."""
    (tmp_path / "one.md").write_text("```python\nx = 2\nprint(x)\n```\n\n```text\nold\n```\n\nend\n", encoding="utf-8")
    (tmp_path / "two.md").write_text("```python\nassert x == 3\n```\n", encoding="utf-8")
    monkeypatch.setattr(tutorial, "PAGES_FOLDER", tmp_path)
    monkeypatch.setattr(tutorial, "PAGES", ("one.md",))

    run = tutorial.run_pages(tmp_path, tmp_path)
    monkeypatch.setattr(tutorial, "PAGES", ("one.md", "two.md"))

    assert run.texts["one.md"] == "```python\nx = 2\nprint(x)\n```\n\n```text\n2\n```\n\nend\n"
    with pytest.raises(AssertionError):
        tutorial.run_pages(tmp_path, tmp_path)


def test_the_table_of_methods_names_code_that_exists() -> None:
    """Each link leads to a file that defines the class or function."""
    links = CODE_LINK.findall(METHODS.read_text(encoding="utf-8"))
    sources = {path: (METHODS.parent / path).resolve().read_text(encoding="utf-8") for _, path in links}

    missing = [
        f"{name} in {path}"
        for name, path in links
        if not re.search(rf"^(?:class|def) {name}\b", sources[path], re.MULTILINE)
    ]

    assert len(links) > 30
    assert missing == []


def test_every_method_has_code_or_is_called_absent() -> None:
    """No row of the table leaves the question open."""
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in METHODS.read_text(encoding="utf-8").splitlines()
        if line.startswith("| ") and "---" not in line and not line.endswith("| code |")
    ]

    assert [row for row in rows if row[1].startswith("absent") == bool(CODE_LINK.search(row[-1]))] == []
