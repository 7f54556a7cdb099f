"""Speaks questions with synthetic voices, and hears them as `triptych ask --speech` does."""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.asking.questions import KnownQuestion
from triptych.consumers.asking.spoken import prompt_for_questions, with_written_times
from triptych.producers.speech.recogniser import Recogniser, check_transcription
from triptych.training.data.pools.voices import RATE_HZ, Engine, Manner, SpokenPhrase, synthesise

_LANGUAGE: Final = "en"
"""No synthesiser of Debian speaks Chinese so that Whisper understands it."""
_VOICES: Final[tuple[tuple[Engine, str], ...]] = (
    ("espeak-ng", "en-us+f3"),
    ("espeak-ng", "en-gb+m3"),
    ("flite", "slt"),
    ("flite", "rms"),
)
_SILENCE_S: Final = 0.25


def as_heard(questions: Iterable[KnownQuestion], model: str, names: Sequence[str]) -> Iterator[KnownQuestion]:
    """Yield the English questions, each with the text that a recogniser hears when a voice asks it.

    Args:
        questions: the questions as they are written.
        model: the recogniser, as for `triptych ask --speech-model`.
        names: what the index shows and hears.

    Raises:
        UsageError: a synthesiser, faster-whisper or the recogniser's weights are missing.
    """
    check_transcription(model, None)
    recogniser, prompt = Recogniser(model, None), prompt_for_questions(names)
    with tempfile.TemporaryDirectory() as folder:
        for question in questions:
            if question.language != _LANGUAGE:
                continue
            engine, voice = _VOICES[zlib.crc32(question.text.encode()) % len(_VOICES)]
            said = synthesise(SpokenPhrase(engine, voice, question.text, Manner()), Path(folder), "said")
            heard = recogniser.text(np.pad(said, round(_SILENCE_S * RATE_HZ)), prompt=prompt)
            yield replace(question, text=with_written_times(heard))
