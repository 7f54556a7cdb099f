"""Run one SPARQL query on a snapshot, in a process of its own that can be killed: `python -m … FOLDER ROWS MIB`.

The query comes on stdin. Each line of stdout is one JSON object: `{"columns": [...]}` first, then a row for each.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Iterator
from typing import Any

from pyoxigraph import BlankNode, Literal, NamedNode, QueryBoolean, QuerySolutions, Store

from triptych.consumers.searching.graph.facts import PREFIXES

_INTEGER = "http://www.w3.org/2001/XMLSchema#integer"


def main(folder: str, most_rows: int, most_mib: int) -> None:
    """Answer the query on stdin. Exit 1 with one line on stderr if it is invalid."""
    resource.setrlimit(resource.RLIMIT_AS, (most_mib << 20, most_mib << 20))
    store = Store.read_only(folder)
    try:
        for number, line in enumerate(_lines(store, sys.stdin.read())):
            if number > most_rows:
                sys.stdout.write('{"more": true}\n')
                break
            sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
    except (SyntaxError, ValueError) as error:
        sys.stderr.write(f"{' '.join(str(error).split())}\n")
        sys.exit(1)


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
        for triple in found:
            yield {"row": [_plain(triple.subject), _plain(triple.predicate), _plain(triple.object)]}


def _plain(term: object) -> str | int | None:
    if isinstance(term, Literal):
        return int(term.value) if term.datatype.value == _INTEGER else term.value
    if isinstance(term, NamedNode | BlankNode):
        return term.value
    return None if term is None else str(term)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
