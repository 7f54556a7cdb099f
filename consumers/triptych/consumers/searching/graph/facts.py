"""What the graph says of a row of the index, as RDF. Each row is a named graph, so that a row replaces its facts. Pure.

The IRIs begin with `urn:triptych:`. docs/asking.md lists the classes and properties.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

from pyoxigraph import Literal, NamedNode, Quad

from triptych.consumers.searching.graph.mentions import mentions_of
from triptych.consumers.searching.rows import IndexRow

PREFIXES: Final = {"tri": "urn:triptych:graph:", "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#"}
TYPE: Final = NamedNode("http://www.w3.org/1999/02/22-rdf-syntax-ns#type")
_SAFE: Final = "/-._~"
_PEOPLE: Final = "people"
_IRREGULAR: Final = {
    "men": "man", "women": "woman", "children": "child", "mice": "mouse", "geese": "goose", "feet": "foot",
    "knives": "knife", "wolves": "wolf", "leaves": "leaf", "buses": "bus", "sheep": "sheep", "scissors": "scissors",
}  # fmt: skip
_ES: Final = ("ses", "xes", "zes", "ches", "shes")


def predicate(name: str) -> NamedNode:
    """Return a property or class of the graph."""
    return NamedNode(f"{PREFIXES['tri']}{name}")


def entity(kind: str, name: str) -> NamedNode:
    """Return the IRI of an entity: `thing`, `sound`, `prompt` or `name`. Names that differ in case only are one."""
    return NamedNode(f"urn:triptych:{kind}:{quote(name.casefold(), safe=_SAFE)}")


def window_node(stream: str, start_ns: int, end_ns: int) -> NamedNode:
    """Return the IRI of a window."""
    return NamedNode(f"urn:triptych:window:{quote(stream, safe=_SAFE)}/{start_ns}-{end_ns}")


def row_graph(key: str) -> NamedNode:
    """Return the named graph of a row, by its key in the index."""
    return NamedNode(f"urn:triptych:row:{quote(key, safe=_SAFE)}")


def thing_name(label: str) -> str:
    """Return the name of a thing: lower case, and the last word in the singular, so that both are the same thing."""
    words = label.casefold().replace("_", " ").split()
    if not words:
        return ""
    if words in (["person"], ["persons"], [_PEOPLE]):
        return _PEOPLE
    return " ".join([*words[:-1], singular(words[-1])])


def singular(word: str) -> str:
    """Return the singular of an English noun in lower case. Others are returned as they are."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) > 4 and word.endswith("ies"):  # noqa: PLR2004 - "ties" is one of "tie"
        return f"{word[:-3]}y"
    if word.endswith(_ES):
        return word[:-2]
    is_plural = len(word) > 2 and word.endswith("s") and not word.endswith(("ss", "us", "is"))  # noqa: PLR2004
    return word[:-1] if is_plural else word


def row_facts(row: IndexRow) -> Iterator[Quad]:
    """Yield what a row says. An empty row says nothing."""
    if row.is_empty:
        return
    window, graph = window_node(row.stream, row.start_ns, row.end_ns), row_graph(row.key)
    facts: list[tuple[NamedNode, NamedNode, NamedNode | Literal]] = [
        (window, TYPE, predicate("Window")),
        (window, predicate("stream"), Literal(row.stream)),
        (window, predicate("start"), Literal(row.start_ns)),
        (window, predicate("end"), Literal(row.end_ns)),
        # The window before may not exist: then this says nothing, since it is no tri:Window.
        (window_node(row.stream, 2 * row.start_ns - row.end_ns, row.start_ns), predicate("next"), window),
    ]
    if row.part != "description":
        facts.append((window, predicate("result"), Literal(row.result)))
    facts += _details(window, row, row.details or {})
    yield from (Quad(*fact, graph) for fact in facts)


def entity_facts(row: IndexRow) -> Iterator[Quad]:
    """Yield the classes and labels of the entities of a row. They stand in the default graph, once for all windows."""
    details = row.details or {}
    named = [
        ("thing", "Thing", thing_name(label)) for label in (*details.get("labels", ()), *details.get("counts", ()))
    ]
    named += [("sound", "Sound", sound) for sound in details.get("sounds", ())]
    named += [("prompt", "Prompt", prompt) for prompt in details.get("matches", ())]
    for cue in details.get("cues", ()):
        said = mentions_of(cue)
        named += [("name", "Name", name) for name in (*said.names, *([said.speaker] if said.speaker else []))]
    for kind, of_class, name in named:
        node = entity(kind, name)
        yield Quad(node, TYPE, predicate(of_class))
        yield Quad(node, predicate("label"), Literal(name.casefold() if kind != "name" else name))


def _details(
    window: NamedNode, row: IndexRow, details: Mapping[str, Any]
) -> Iterator[tuple[NamedNode, NamedNode, NamedNode | Literal]]:
    counts = {thing_name(label): count for label, count in details.get("counts", {}).items()}
    for name in dict.fromkeys([*map(thing_name, details.get("labels", ())), *counts]):
        yield window, predicate("shows"), entity("thing", name)
    for name, count in counts.items():
        sighting = NamedNode(f"{window.value}#{quote(name, safe=_SAFE)}")
        yield sighting, predicate("in"), window
        yield sighting, predicate("of"), entity("thing", name)
        yield sighting, predicate("count"), Literal(count)
    for sound in details.get("sounds", ()):
        yield window, predicate("hears"), entity("sound", sound)
    for prompt in details.get("matches", ()):
        yield window, predicate("matches"), entity("prompt", prompt)
    for flag in details.get("flags", ()):
        yield window, predicate("quality"), Literal(flag)
    if "title" in details:
        yield window, predicate("title"), Literal(details["title"])
    for cue in details.get("cues", ()):
        yield from _cue(window, row.stream, cue)


def _cue(
    window: NamedNode, stream: str, cue: Mapping[str, Any]
) -> Iterator[tuple[NamedNode, NamedNode, NamedNode | Literal]]:
    """Yield the facts of a cue. One that overlaps two windows is the same cue in both."""
    digest = hashlib.blake2b(cue["text"].encode(), digest_size=4).hexdigest()
    node = NamedNode(f"urn:triptych:cue:{quote(stream, safe=_SAFE)}/{cue['start_ns']}-{cue['end_ns']}/{digest}")
    yield window, predicate("says"), node
    yield node, predicate("text"), Literal(cue["text"])
    yield node, predicate("start"), Literal(cue["start_ns"])
    yield node, predicate("end"), Literal(cue["end_ns"])
    said = mentions_of(cue)
    for name in said.names:
        yield node, predicate("mentions"), entity("name", name)
    if said.speaker:
        yield node, predicate("speaker"), entity("name", said.speaker)
