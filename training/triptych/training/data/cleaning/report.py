"""The report of a cleaning, as Markdown and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Final

from triptych.training.data.cleaning.clean import Cleaning
from triptych.training.data.cleaning.finding import MEANINGS, Finding
from triptych.training.data.manifest import SPLITS, Manifest, indices_of

REPORT_FILE: Final = "report.md"
JSON_FILE: Final = "report.json"
_SHOWN: Final = 20


def write_report(cleaning: Cleaning, folder: Path) -> None:
    """Write both files."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / REPORT_FILE).write_text("\n".join(_markdown(cleaning)) + "\n", encoding="utf-8")
    content = json.dumps(_content(cleaning), ensure_ascii=False, indent=1)
    (folder / JSON_FILE).write_text(content + "\n", encoding="utf-8")


def _content(cleaning: Cleaning) -> dict[str, object]:
    return {
        "name": cleaning.before.labels.name,
        "items": {"before": len(cleaning.before.items), "after": len(cleaning.after.items)},
        "splits": _both(_by_split(cleaning.before), _by_split(cleaning.after)),
        "labels": _both(_by_label(cleaning.before), _by_label(cleaning.after)),
        "kinds": {kind: _actions(cleaning, kind) for kind in MEANINGS},
        "findings": [asdict(finding) for finding in cleaning.findings],
    }


def _both(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, dict[str, int]]:
    return {name: {"before": count, "after": after.get(name, 0)} for name, count in before.items()}


def _by_split(manifest: Manifest) -> dict[str, int]:
    counts = Counter(item.split for item in manifest.items)
    return {split: counts[split] for split in SPLITS}


def _by_label(manifest: Manifest) -> dict[str, int]:
    """Return the number of items with each label; nothing for a regression."""
    names = manifest.labels.labels
    counts = Counter(index for item in manifest.items if names for index in indices_of(item.label))
    return {name: counts[index] for index, name in enumerate(names)}


def _actions(cleaning: Cleaning, kind: str) -> dict[str, int]:
    return dict(Counter(finding.action for finding in cleaning.findings if finding.kind == kind))


def _markdown(cleaning: Cleaning) -> Iterator[str]:
    before, after = len(cleaning.before.items), len(cleaning.after.items)
    yield f"# Cleaning of {_cell(cleaning.before.labels.name)}"
    yield ""
    yield f"{before} items before, {after} after. No file was changed or deleted."
    yield ""
    yield "| finding | meaning | count | action |"
    yield "|---|---|--:|---|"
    for kind, meaning in MEANINGS.items():
        actions = _actions(cleaning, kind)
        done = ", ".join(f"{action}: {count}" for action, count in sorted(actions.items()))
        yield f"| {kind} | {meaning} | {sum(actions.values())} | {done or '-'} |"
    yield from _counts("split", _both(_by_split(cleaning.before), _by_split(cleaning.after)))
    yield from _counts("label", _both(_by_label(cleaning.before), _by_label(cleaning.after)))
    for kind in MEANINGS:
        yield from _list(kind, [finding for finding in cleaning.findings if finding.kind == kind])


def _counts(what: str, counts: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    if counts:
        yield from ("", f"| {what} | before | after |", "|---|--:|--:|")
        for name, count in counts.items():
            yield f"| {_cell(name)} | {count['before']} | {count['after']} |"


def _list(kind: str, findings: list[Finding]) -> Iterator[str]:
    if not findings:
        return
    yield from ("", f"## {kind}", "", "| item | detail | action |", "|---|---|---|")
    for finding in findings[:_SHOWN]:
        yield f"| {_cell(finding.item)} | {_cell(finding.detail)} | {finding.action} |"
    if len(findings) > _SHOWN:
        yield from ("", f"and {len(findings) - _SHOWN} more in `{JSON_FILE}`")


def _cell(text: str) -> str:
    """Return text that is safe in a table cell."""
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").replace("`", "'").split())
