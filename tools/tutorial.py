"""Run the Python code of the pages of `docs/tutorial/` in order, in one namespace: `python -m tools.tutorial`.

A block ```text after a block ```python is the output of that code. With `--write`, the run replaces these blocks, and
writes the pictures beside the pages. Without it, pictures go to a temporary folder.

TUTORIAL_SIZE=quick runs everything with a few examples. Its numbers mean nothing, so it does not go with `--write`.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sybil import Document
from sybil.parsers.markdown import PythonCodeBlockParser

PAGES_FOLDER: Final = Path(__file__).parents[1] / "docs" / "tutorial"
PAGES: Final = ("data.md", "fusions.md", "evaluation.md", "explaining.md", "serving.md")
"""The pages with code, in the order in which they are read and run."""

_OUTPUT: Final = re.compile(r"\A\n*```text\n(.*?)```\n", re.DOTALL)


@dataclass(frozen=True, slots=True)
class TutorialRun:
    """What the pages left behind: their namespace, and their text with the outputs of this run."""

    namespace: Mapping[str, Any]
    texts: Mapping[str, str]


def run_pages(pictures: Path, work: Path) -> TutorialRun:
    """Run all pages in order. Blocks until the last one has ended; raises what the code of a page raises.

    Args:
        pictures: folder of the pictures, `FOLDER` on the pages.
        work: empty folder of data sets and models, `WORK` on the pages.
    """
    seconds: dict[str, float] = {}
    namespace: dict[str, Any] = {"FOLDER": pictures, "WORK": work, "SECONDS": seconds, "__name__": "tutorial"}
    texts = {}
    for page in PAGES:
        began_s = time.monotonic()
        texts[page] = _run_page(PAGES_FOLDER / page, namespace)
        seconds[page] = time.monotonic() - began_s
    return TutorialRun(namespace, texts)


def _run_page(path: Path, namespace: dict[str, Any]) -> str:
    """Run the code of one page; return the page with the outputs."""
    document = Document.parse(str(path), PythonCodeBlockParser())
    document.namespace = namespace
    parts, written = [], 0
    for example in document.examples():
        printed = io.StringIO()
        with redirect_stdout(printed):
            example.evaluate()
        end = example.region.end
        end = document.text.index("\n", end) + 1 if document.text[end - 1] != "\n" else end
        parts.append(document.text[written:end])
        written = end
        if shown := _OUTPUT.match(document.text[end:]):
            parts.append(f"\n```text\n{printed.getvalue()}```\n")
            written += shown.end()
    return "".join([*parts, document.text[written:]])


def main() -> int:
    """Run the pages; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.tutorial", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="put the outputs and the pictures into docs/tutorial")
    write = parser.parse_args().write
    if write and os.environ.get("TUTORIAL_SIZE") == "quick":
        print("--write: expected the full size, got TUTORIAL_SIZE=quick", file=sys.stderr)  # noqa: T201 - a command
        return 2
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        run = run_pages(PAGES_FOLDER if write else work, work)
    for page, text in run.texts.items():
        if write:
            (PAGES_FOLDER / page).write_text(text, encoding="utf-8")
        else:
            print(text)  # noqa: T201 - the output of a command
    return 0


if __name__ == "__main__":
    sys.exit(main())
