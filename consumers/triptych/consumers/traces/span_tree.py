"""The spans of a trace as trees, and their lines for people. No I/O."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from triptych.consumers.traces.span_reading import FoundSpans
from triptych.consumers.traces.stored_span import StoredSpan
from triptych.units import NS_PER_MS

_HEADER: Final = f"{'start ms':>12} {'took ms':>12}"


@dataclass(frozen=True, slots=True)
class SpanTree:
    """A span and those below it, by their beginning."""

    span: StoredSpan
    children: list[SpanTree] = field(default_factory=list)

    @property
    def revision(self) -> int | None:
        """The revision of the window, for the tree of one."""
        found = self.span.attributes.get("triptych.revision")
        return found if isinstance(found, int) else None


def span_trees(spans: Iterable[StoredSpan]) -> list[SpanTree]:
    """Return the trees of a trace, by their beginning. A span whose parent is missing is the root of its own.

    A worker that was restarted may export a window again, with the same ids. The span that ended last is taken.
    """
    latest: dict[str, StoredSpan] = {}
    for span in spans:
        before = latest.setdefault(span.context.span_id, span)
        if span.end_ns > before.end_ns:
            latest[span.context.span_id] = span
    trees = {span_id: SpanTree(span) for span_id, span in latest.items()}
    roots: list[SpanTree] = []
    for tree in sorted(trees.values(), key=lambda each: (each.span.start_ns, each.span.end_ns)):
        parent = trees.get(tree.span.parent_id or "")
        (roots if parent is None else parent.children).append(tree)
    return roots


def tree_lines(tree: SpanTree, found: FoundSpans) -> Iterator[str]:
    """Yield the lines of a tree: when each span began after the root, and how long it took, in milliseconds."""
    root = tree.span
    yield _title(root)
    yield _HEADER
    for prefix, span, parent in _walk(tree):
        text = prefix + span.name
        if parent is None or span.service != parent.service:
            text += f"  [{span.service}]"
        if span.error is not None:
            text += f"  failed: {span.error}" if span.error else "  failed"
        yield f"{_columns(span.start_ns, span.end_ns, root)}  {text}"
    if root.parent_id is not None:
        yield f"{'':>25}  its parent {root.parent_id} is not stored here"
    if root.links:
        yield from _link_lines(root, found.linked)


def _walk(tree: SpanTree) -> Iterator[tuple[str, StoredSpan, StoredSpan | None]]:
    """Yield each span with the branches in front of its name and its parent, depth first.

    Without recursion: a trace may be deep.
    """
    waiting: list[tuple[SpanTree, str, str, StoredSpan | None]] = [(tree, "", "", None)]
    while waiting:
        node, first, below, parent = waiting.pop()
        yield first, node.span, parent
        last = len(node.children) - 1
        waiting.extend(
            (child, below + ("├─ " if at < last else "└─ "), below + ("│  " if at < last else "   "), node.span)
            for at, child in reversed(list(enumerate(node.children)))
        )


def _title(root: StoredSpan) -> str:
    named = {"window": "window", "revision": "revision", "pipeline": "pipeline"}
    known = [
        f"{label} {root.attributes[f'triptych.{name}']}"
        for name, label in named.items()
        if f"triptych.{name}" in root.attributes
    ]
    return ", ".join([*known, f"trace {root.context.trace_id}"])


def _columns(start_ns: int, end_ns: int, root: StoredSpan) -> str:
    return f"{(start_ns - root.start_ns) / NS_PER_MS:>12.3f} {(end_ns - start_ns) / NS_PER_MS:>12.3f}"


def _link_lines(root: StoredSpan, linked: Sequence[StoredSpan]) -> Iterator[str]:
    """Yield a line for all spans of a name that the root links to, and how many are not stored in the same place."""
    stored = {span.context: span for span in linked}
    by_name: Mapping[tuple[str, str], list[StoredSpan]] = defaultdict(list)
    for link in dict.fromkeys(root.links):
        if link in stored:
            by_name[stored[link].name, stored[link].service].append(stored[link])
    for (name, service), spans in sorted(by_name.items()):
        start_ns, end_ns = min(span.start_ns for span in spans), max(span.end_ns for span in spans)
        longest_ms = max(span.end_ns - span.start_ns for span in spans) / NS_PER_MS
        yield (
            f"{_columns(start_ns, end_ns, root)}  linked: {len(spans)} x {name}, the longest {longest_ms:.3f} ms"
            f"  [{service}]"
        )
    missing = [link for link in dict.fromkeys(root.links) if link not in stored]
    if missing:
        yield (
            f"{'':>25}  linked: {len(missing)} spans of other traces, which are not stored here or were not asked for; "
            f"the first: triptych trace {missing[0].trace_id}"
        )
