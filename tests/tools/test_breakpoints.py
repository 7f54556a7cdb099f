"""A breakpoint that is set by the path that an editor shows is hit in the editable installation."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PIPELINE = REPOSITORY / "worker" / "triptych" / "worker" / "pipeline.py"

# Like an editor's debugger, and unlike pdb, this one follows every thread: the demo's worker has one of its own.
DEBUGGER = """
import bdb, os, sys, threading

class Debugger(bdb.Bdb):
    def user_line(self, frame):
        if self.break_here(frame):
            print("stopped in", frame.f_globals["__name__"], frame.f_code.co_name, frame.f_lineno, flush=True)
            os._exit(0)

debugger = Debugger()
problem = debugger.set_break(sys.argv[1], int(sys.argv[2]))
assert problem is None, problem
debugger.reset()
threading.settrace(debugger.trace_dispatch)
sys.argv = ["triptych", "demo", "--model", "null"]
from triptych.cli import main
main()
"""


def _first_line_of(method: str) -> int:
    """Return the line of the first statement of a method of the pipeline, behind its docstring."""
    for node in ast.walk(ast.parse(PIPELINE.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.name == method:
            return node.body[1].lineno
    raise AssertionError(method)


def test_a_breakpoint_in_the_loop_of_the_worker_is_hit() -> None:
    """The path is that in the repository; the program finds the module by its import name."""
    line = _first_line_of("step")

    done = subprocess.run(
        [sys.executable, "-c", DEBUGGER, PIPELINE, str(line)], capture_output=True, text=True, check=False, timeout=280
    )

    assert f"stopped in triptych.worker.pipeline step {line}" in done.stdout, done.stdout + done.stderr
