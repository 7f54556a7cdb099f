"""The language of the cues: as the source states it, otherwise detected from the text."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from triptych.models.window import PreparedCue
from triptych.schemas.languages import UNKNOWN_LANGUAGES, language_code

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

_MIN_CONFIDENCE: Final = 0.4
"""Less confident detections are discarded. "Yes" or "OK" stay below it; a line of a few words is well above."""


def cue_language(cues: Sequence[PreparedCue]) -> str | None:
    """Return the ISO 639 code of the language with the most text; None without cues or if the language is uncertain."""
    stated: dict[str, int] = {}
    for cue in cues:
        if cue.language is not None and cue.language.lower() not in UNKNOWN_LANGUAGES:
            code = language_code(cue.language)
            stated[code] = stated.get(code, 0) + len(cue.text)
    if stated:
        return max(stated, key=lambda code: stated[code])
    return _detected(" ".join(cue.text for cue in cues)) if cues else None


def begin_to_load_languages() -> None:
    """Load the table of languages on a thread of its own: unpacking it takes half a second of native code."""
    _loading()


@lru_cache(maxsize=256)  # a cue occurs in each window that it overlaps
def _detected(text: str) -> str | None:
    code, confidence = _identifier().classify(text)
    return language_code(code) if confidence >= _MIN_CONFIDENCE else None


def _identifier() -> LanguageIdentifier:
    try:
        return _loading().result()
    except Exception:
        _loading.cache_clear()  # the next text tries again
        raise


@lru_cache(maxsize=1)
def _loading() -> Future[LanguageIdentifier]:
    executor = ThreadPoolExecutor(1, "load-languages")
    loading = executor.submit(_load)
    executor.shutdown(wait=False)
    return loading


def _load() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # noqa: PLC0415 - not needed if the cues state their language

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
