"""The questions of `triptych demo --ask`: an index of the results in a temporary folder, and what it answers."""

from __future__ import annotations

import tempfile
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.text import Text

from triptych.schemas.errors import TriptychError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from triptych.transport.protocols import Transport

QUESTIONS: Final = (
    "When was the young man mentioned, and what was said then?",
    "What was said after someone mentioned the young man?",
    "\u4ec0\u4e48\u65f6\u5019\u6709\u4eba\u63d0\u5230ASUKA\uff1f",
)
"""The last one asks in Chinese when someone mentioned ASUKA."""
_MODULES: Final = ("lancedb", "pyarrow", "pyoxigraph")


class DemoAnswerError(TriptychError):
    """Raised where a question about the sample clips has no answer."""


def check_asking() -> None:
    """Check that questions can be answered, before the clips are played.

    Raises:
        UsageError: the extra `ask` is not installed.
    """
    missing = [name for name in _MODULES if find_spec(name) is None]
    if missing:
        raise UsageError(f"demo: --ask needs {', '.join(missing)}; install the extra: pip install 'triptych[ask]'")


def ask_about_clips(transport: Transport, pipeline: str, console: Console) -> None:
    """Index the results of a pipeline, and ask the questions. Blocks.

    Raises:
        DemoAnswerError: a question has no answer.
    """
    from triptych.consumers.asking.asker import Asker
    from triptych.consumers.searching.indexing import IndexLoop
    from triptych.consumers.searching.window_index import index_writer
    from triptych.terminal_text import printable

    with tempfile.TemporaryDirectory(prefix="triptych-demo-") as temporary:
        folder = Path(temporary) / "index"
        with index_writer(folder, pipeline) as writer:
            IndexLoop(writer).run(transport, threading.Event(), until_end=True)
        asker = Asker.open(folder)
        for question in QUESTIONS:
            answer = asker.ask(question)
            console.print(Text(f"\n{question}", style="bold cyan"), soft_wrap=True)
            console.print(Text(printable(answer.text)), soft_wrap=True)
            for result in answer.results[:2]:
                console.print(Text(f"    {result}", style="dim"), soft_wrap=True)
            if answer.outcome != "answered":
                raise DemoAnswerError(f"expected an answer to {question!r}, got: {answer.text}")
