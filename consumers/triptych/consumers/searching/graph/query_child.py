"""Run one SPARQL query on a snapshot, in a process of its own that can be killed: `python -m … FOLDER ROWS MIB`.

The query comes on stdin. Each line of stdout is one JSON object: `{"columns": [...]}` first, then a row for each.
Exit code 2, with one line on stderr: the query is invalid.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from pyoxigraph import BlankNode, Literal, NamedNode, QueryBoolean, QuerySolutions, Store, Triple

from triptych.consumers.searching.graph.facts import PREFIXES

_INTEGER = "http://www.w3.org/2001/XMLSchema#integer"
_MOST_BYTES = 64 << 20
"""The most bytes of an answer. Then it is cut, as after the most rows: a row may hold very long texts."""
_CLONE_NEWUSER = 0x1000_0000
_CLONE_NEWNET = 0x4000_0000


def main(folder: str, most_rows: int, most_mib: int, most_bytes: int = _MOST_BYTES) -> None:
    """Answer the query on stdin. Exit 2 with one line on stderr if it is invalid."""
    leave_network()
    resource.setrlimit(resource.RLIMIT_AS, (most_mib << 20, most_mib << 20))
    store = Store.read_only(folder)
    try:
        for number, line in enumerate(_lines(store, sys.stdin.read())):
            text = json.dumps(line) + "\n"
            most_bytes -= len(text)
            if number > most_rows or most_bytes < 0:
                sys.stdout.write('{"more": true}\n')
                break
            sys.stdout.write(text)
    except (SyntaxError, ValueError) as error:
        sys.stderr.write(f"{' '.join(str(error).split())}\n")
        sys.exit(2)


def leave_network() -> bool:
    """Go where no network is, if Linux permits it. Return whether it did.

    A query with SERVICE was refused before. This is a second wall, since Oxigraph has no switch for it.
    Only a process of one thread can; Python has no function for it before 3.12.
    """
    flags = _CLONE_NEWNET if os.geteuid() == 0 else _CLONE_NEWUSER | _CLONE_NEWNET
    try:
        # As root, a new namespace of users would take the right to read files of others.
        return bool(ctypes.CDLL(None, use_errno=True).unshare(flags) == 0)
    except (AttributeError, OSError):  # not Linux
        return False


def _lines(store: Store, query: str) -> Iterator[dict[str, Any]]:
    found = store.query(query, use_default_graph_as_union=True, prefixes=PREFIXES)
    if isinstance(found, QueryBoolean):
        yield {"columns": ["answer"]}
        yield {"row": [bool(found)]}
    elif isinstance(found, QuerySolutions):
        names = [variable.value for variable in found.variables]
        yield {"columns": names}
        for solution in found:
            yield {"row": [_plain(solution[name]) for name in names]}
    else:
        yield {"columns": ["subject", "predicate", "object"]}
        for triple in _distinct(found):
            yield {"row": [_plain(triple.subject), _plain(triple.predicate), _plain(triple.object)]}


def _distinct(triples: Iterable[Triple]) -> Iterator[Triple]:
    """Yield each triple once. Oxigraph yields it for each named graph that has it, and a set has no duplicates."""
    seen: set[Triple] = set()
    for triple in triples:
        if triple not in seen:
            seen.add(triple)
            yield triple


def _plain(term: object) -> str | int | None:
    if isinstance(term, Literal):
        return _number(term.value) if term.datatype.value == _INTEGER else term.value
    if isinstance(term, NamedNode | BlankNode):
        return term.value
    return None if term is None else str(term)


def _number(text: str) -> int | str:
    """Return a whole number; the text itself if it is none ("a"^^xsd:integer is valid), or has thousands of digits."""
    try:
        return int(text)
    except ValueError:
        return text


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
