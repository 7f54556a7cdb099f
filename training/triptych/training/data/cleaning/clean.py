"""Clean a manifest: find what is wrong with its items, and write another one without it. No file is touched."""

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
"""Numbers that differ by less are one label."""


@dataclass(frozen=True, slots=True)
class Cleaning:
    """A manifest before and after, and all that was found."""

    before: Manifest
    after: Manifest
    findings: tuple[Finding, ...]


@dataclass(slots=True)
class _ItemCleaning:
    """What is left of one item, and what was found in it."""

    item: Item | None
    findings: list[Finding] = field(default_factory=list)

    def find(self, kind: Kind, detail: str, action: Action) -> None:
        if self.item is not None:
            self.findings.append(Finding(self.item.id, kind, detail, action))
            self.item = None if action == "left out" else self.item


def clean(manifest: Manifest, read: ReadClip, *, track: TrackProgress[Any] = no_progress) -> Cleaning:
    """Look at all items, and return what is left.

    Left out are items that cannot be decoded at all, that are there twice (the one in the split that is furthest from
    training stays), and all of those that are there twice with different labels. Of items whose modalities are files of
    their own, silence and black pictures are left out. Words of the manifest are mended.

    Args:
        manifest: what to clean.
        read: reads a media file.
        track: shows progress.

    Raises:
        UsageError: nothing would be left.
    """
    inspector = Inspector(manifest, read)
    sieves: list[_ItemCleaning] = []
    seen_by_fingerprint: dict[str, list[int]] = {}
    for number, item in enumerate(track(manifest.items, "looking at items")):
        inspection = inspector.inspect(item)
        sieve = _ItemCleaning(item)
        _look(sieve, inspection)
        sieves.append(sieve)
        if inspection.fingerprint is not None and sieve.item is not None:
            seen_by_fingerprint.setdefault(inspection.fingerprint, []).append(number)
    _compare(sieves, seen_by_fingerprint)
    kept = tuple(sieve.item for sieve in sieves if sieve.item is not None)
    findings = tuple(finding for sieve in sieves for finding in sieve.findings)
    if not kept:
        raise UsageError(f"{manifest.folder}: not one of {len(manifest.items)} items can be used; {_first(findings)}")
    return Cleaning(manifest, Manifest(manifest.folder, manifest.labels, kept), findings)


def _first(findings: Sequence[Finding]) -> str:
    return f"the first: {findings[0].detail}" if findings else "there are none"


def _look(sieve: _ItemCleaning, inspection: Inspection) -> None:
    item = sieve.item
    if item is None:
        return
    is_usable = inspection.windows > 0 or bool(item.features)
    for problem in inspection.problems:
        sieve.find("undecodable", problem, "kept" if is_usable else "left out")
    if not is_usable:
        sieve.find("empty", "not one window", "left out")
    if inspection.is_silent:
        _drop(sieve, "silent", "audio")
    if inspection.is_black:
        _drop(sieve, "black", "video")
    _read_words(sieve)


def _drop(sieve: _ItemCleaning, kind: Kind, modality: str) -> None:
    """Leave a modality out where it is a field of its own; a clip's tracks stay together."""
    item = sieve.item
    if item is None:
        return
    if item.clip is not None:
        sieve.find(kind, "a track of its clip", "kept")
    elif _others(item, modality):
        sieve.find(kind, f"its {modality}", "modality left out")
        sieve.item = item.model_copy(update={modality: None})
    else:
        sieve.find(kind, f"its {modality}, and there is nothing else", "left out")


def _others(item: Item, modality: str) -> bool:
    return any(getattr(item, name) for name in ("video", "audio", "text", "features") if name != modality)


def _read_words(sieve: _ItemCleaning) -> None:
    item = sieve.item
    if item is None or item.text is None:
        return
    wordings = [(line, clean_text(line.text)) for line in item.text]
    noise = dict.fromkeys(what for _, wording in wordings for what in wording.noise)
    lines = tuple(TimedText(t0=line.t0, t1=line.t1, text=wording.text) for line, wording in wordings if wording.text)
    changed = item.model_copy(update={"text": lines or None})
    if not noise:
        sieve.item = changed
    elif lines:
        sieve.find("text", ", ".join(noise), "mended")
        sieve.item = changed
    elif _others(item, "text"):
        sieve.find("text", ", ".join(noise), "modality left out")
        sieve.item = changed
    else:
        sieve.find("text", ", ".join(noise), "left out")


def _compare(sieves: Sequence[_ItemCleaning], seen_by_fingerprint: Mapping[str, Sequence[int]]) -> None:
    for numbers in seen_by_fingerprint.values():
        alike = [(sieves[number], item) for number in numbers if (item := sieves[number].item) is not None]
        if len(alike) < 2:  # noqa: PLR2004 - two make a double
            continue
        stays = max((item for _, item in alike), key=lambda item: SPLITS.index(item.split))
        agree = all(_agree(item, stays) for _, item in alike)
        for sieve, item in alike:
            if not agree:
                others = ", ".join(other.id for _, other in alike if other is not item)
                sieve.find("conflict", f"the same as {others}", "left out")
            elif item is not stays:
                sieve.find("duplicate", f"of {stays.id} ({stays.split})", "left out")


def _agree(one: Item, other: Item) -> bool:
    if isinstance(one.label, tuple) or isinstance(other.label, tuple):
        return one.label == other.label
    return abs(one.label - other.label) < _SAME
