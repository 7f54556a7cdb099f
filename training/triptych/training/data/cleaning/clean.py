"""Clean a manifest: find bad items and write a new manifest without them. Media files are not changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from triptych.schemas.errors import UsageError
from triptych.training.data.cleaning.finding import Action, Finding, Kind
from triptych.training.data.cleaning.inspection import Inspection, Inspector
from triptych.training.data.cleaning.text_cleaning import clean_text
from triptych.training.data.labelled_windows import ReadClip
from triptych.training.data.manifest import SPLITS, Item, Manifest, TimedText
from triptych.training.data.pools.cache import TrackProgress, no_progress

_SAME: Final = 1e-6
"""Numeric labels that differ by less are equal."""


@dataclass(frozen=True, slots=True)
class Cleaning:
    """A manifest before and after cleaning, and all findings."""

    before: Manifest
    after: Manifest
    findings: tuple[Finding, ...]


@dataclass(slots=True)
class _ItemCleaning:
    """What is left of one item, and the findings about it."""

    item: Item | None
    findings: list[Finding] = field(default_factory=list)

    def report(self, kind: Kind, detail: str, action: Action) -> None:
        if self.item is not None:
            self.findings.append(Finding(self.item.id, kind, detail, action))
            self.item = None if action == "left out" else self.item


def clean(manifest: Manifest, read: ReadClip, *, track: TrackProgress[Any] = no_progress) -> Cleaning:
    """Inspect all items and return the manifest without the bad ones.

    Removes items that cannot be decoded at all, duplicates (the one in the split furthest from training stays), and all
    copies of an item with conflicting labels. Removes silent audio and black video where a modality has a file of its
    own. Repairs text.

    Args:
        manifest: manifest to clean.
        read: reads a media file.
        track: shows progress.

    Raises:
        UsageError: no item would be left.
    """
    inspector = Inspector(manifest, read)
    entries: list[_ItemCleaning] = []
    seen_by_fingerprint: dict[str, list[int]] = {}
    for number, item in enumerate(track(manifest.items, "inspecting items")):
        inspection = inspector.inspect(item)
        entry = _ItemCleaning(item)
        _apply_inspection(entry, inspection)
        entries.append(entry)
        if inspection.fingerprint is not None and entry.item is not None:
            seen_by_fingerprint.setdefault(inspection.fingerprint, []).append(number)
    _compare_duplicates(entries, seen_by_fingerprint)
    kept = tuple(entry.item for entry in entries if entry.item is not None)
    findings = tuple(finding for entry in entries for finding in entry.findings)
    if not kept:
        raise UsageError(
            f"{manifest.folder}: expected a usable item, got none of {len(manifest.items)}; {_first_finding(findings)}"
        )
    return Cleaning(manifest, Manifest(manifest.folder, manifest.labels, kept), findings)


def _first_finding(findings: Sequence[Finding]) -> str:
    return f"first finding: {findings[0].detail}" if findings else "the manifest is empty"


def _apply_inspection(entry: _ItemCleaning, inspection: Inspection) -> None:
    item = entry.item
    if item is None:
        return
    is_usable = inspection.windows > 0 or bool(item.features)
    for problem in inspection.problems:
        entry.report("undecodable", problem, "kept" if is_usable else "left out")
    if not is_usable:
        entry.report("empty", "no window", "left out")
    if inspection.is_silent:
        _drop(entry, "silent", "audio")
    if inspection.is_black:
        _drop(entry, "black", "video")
    _clean_lines(entry)


def _drop(entry: _ItemCleaning, kind: Kind, modality: str) -> None:
    """Remove a modality that has a field of its own. The tracks of a clip stay together."""
    item = entry.item
    if item is None:
        return
    if item.clip is not None:
        entry.report(kind, "a track of the clip", "kept")
    elif _others(item, modality):
        entry.report(kind, f"the {modality}", "modality left out")
        entry.item = item.model_copy(update={modality: None})
    else:
        entry.report(kind, f"the {modality}; the item has no other modality", "left out")


def _others(item: Item, modality: str) -> bool:
    return any(getattr(item, name) for name in ("video", "audio", "text", "features") if name != modality)


def _clean_lines(entry: _ItemCleaning) -> None:
    item = entry.item
    if item is None or item.text is None:
        return
    wordings = [(line, clean_text(line.text)) for line in item.text]
    noise = dict.fromkeys(what for _, wording in wordings for what in wording.noise)
    lines = tuple(TimedText(t0=line.t0, t1=line.t1, text=wording.text) for line, wording in wordings if wording.text)
    changed = item.model_copy(update={"text": lines or None})
    if not noise:
        entry.item = changed
    elif lines:
        entry.report("text", ", ".join(noise), "mended")
        entry.item = changed
    elif _others(item, "text"):
        entry.report("text", ", ".join(noise), "modality left out")
        entry.item = changed
    else:
        entry.report("text", ", ".join(noise), "left out")


def _compare_duplicates(entries: Sequence[_ItemCleaning], seen_by_fingerprint: Mapping[str, Sequence[int]]) -> None:
    for numbers in seen_by_fingerprint.values():
        alike = [(entries[number], item) for number in numbers if (item := entries[number].item) is not None]
        if len(alike) < 2:  # noqa: PLR2004 - one is no duplicate
            continue
        stays = max((item for _, item in alike), key=lambda item: SPLITS.index(item.split))
        agree = all(_agree(item, stays) for _, item in alike)
        for entry, item in alike:
            if not agree:
                others = ", ".join(other.id for _, other in alike if other is not item)
                entry.report("conflict", f"the same as {others}", "left out")
            elif item is not stays:
                entry.report("duplicate", f"of {stays.id} ({stays.split})", "left out")


def _agree(one: Item, other: Item) -> bool:
    if isinstance(one.label, tuple) or isinstance(other.label, tuple):
        return one.label == other.label
    return abs(one.label - other.label) < _SAME
