"""Speech to text with faster-whisper. The weights are in the local cache; nothing is downloaded.

The same audio gives the same text: decoding is deterministic, and no utterance depends on others.
"""

from __future__ import annotations

import functools
import importlib.util
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from triptych.models.pretrained.download.cache import cache_folder
from triptych.models.pretrained.download.speech_to_text import require_speech_model, speech_model
from triptych.producers.media.audio import SAMPLE_RATE_HZ
from triptych.producers.speech.utterances import Scores, Utterance
from triptych.producers.subtitles.cue import Cue
from triptych.producers.subtitles.language import same_language
from triptych.schemas.errors import UsageError
from triptych.schemas.languages import language_code
from triptych.units import NS_PER_S

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

_PAUSE_S: Final = 0.6
_BEAM_SIZE: Final = 5
_MAX_COMPRESSION_RATIO: Final = 2.4
"""Text that compresses better than this repeats itself: Whisper's own threshold."""

_MAX_TOKENS_PER_S: Final = 12
_MIN_TOKENS: Final = 32
_MAX_ABBREVIATION_CHARACTERS: Final = 4
_SENTENCE_ENDS: Final = (".", "!", "?", "\u3002", "\uff01", "\uff1f")
_LOAD_LOCK: Final = threading.Lock()


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word with its leading space, and its times in seconds from the start of the utterance."""

    start_s: float
    end_s: float
    text: str


def check_transcription(name: str, language: str | None) -> None:
    """Check that this machine can transcribe a source.

    Raises:
        UsageError: faster-whisper or the weights are missing, or the model does not support the language.
    """
    model = speech_model(name)
    if importlib.util.find_spec("faster_whisper") is None:
        raise UsageError("speech to text needs faster-whisper; install it with: pip install 'triptych[transcribe]'")
    if language is not None and not model.is_multilingual and not same_language(language, "en"):
        raise UsageError(f"{name} supports English only, not {language}; use whisper-base")
    require_speech_model(model, cache_folder())


def detect_voice(samples: NDArray[np.float32]) -> Scores:
    """Return the probability of speech in each step, by the Silero VAD that comes with faster-whisper.

    Args:
        samples: float32 [N] in [-1, 1], at 16 kHz.
    """
    from faster_whisper.vad import get_vad_model  # noqa: PLC0415 - an extra, and heavy

    return [float(score) for score in np.ravel(get_vad_model()(samples.copy()))]  # the model writes into its input


class Recogniser:
    """Transcribe utterances. Thread-safe.

    Args:
        name: the name of the model.
        language: the language that is spoken; None to detect it.
    """

    def __init__(self, name: str, language: str | None) -> None:
        self._name = name
        self._language = None if language is None else language_code(language)
        self._multilingual = speech_model(name).is_multilingual

    def prepare(self) -> None:
        """Load the model, which takes a second or two. Otherwise the first utterance does it."""
        self._model()

    def __call__(self, utterance: Utterance) -> tuple[Cue, ...]:
        """Return the cues of an utterance, in order and within its span; none where the text is unclear."""
        samples = utterance.samples.astype(np.float32) / np.float32(32_768)
        segments, language = self._transcribe(samples)
        if any(_is_repetitive(segment) for segment in segments):
            segments, language = self._transcribe(samples, no_repeat_ngram_size=3)
        words = [word for segment in segments if not _is_repetitive(segment) for word in _words_of(segment)]
        return tuple(self._cues(utterance, words, language))

    def text(self, samples: NDArray[np.int16], *, prompt: str) -> str:
        """Return what is said in a short recording, without times.

        Args:
            samples: int16 [N] at 16 kHz, at most 30 s.
            prompt: a text that the model takes for what was said before: it prefers words and notations that it has.
        """
        # Without word times: with them, the silence after the last word is read once more, and Whisper, which has been
        # told that someone speaks, hears thanks and apologies in it.
        heard, _ = self._transcribe(
            samples.astype(np.float32) / np.float32(32_768), initial_prompt=prompt, word_timestamps=False
        )
        return " ".join(segment.text.strip() for segment in heard if not _is_repetitive(segment)).strip()

    def _model(self) -> WhisperModel:
        with _LOAD_LOCK:
            return _load(self._name)

    def _transcribe(self, samples: NDArray[np.float32], **options: Any) -> tuple[Sequence[Any], str]:  # noqa: ANN401
        model = self._model()
        if self._language is not None and self._language not in model.supported_languages:
            raise UsageError(f"{self._name} does not support the language {self._language!r}")
        segments, info = model.transcribe(
            samples,
            language=self._language if self._multilingual else "en",
            beam_size=_BEAM_SIZE,
            temperature=0.0,
            condition_on_previous_text=False,
            max_new_tokens=max(_MIN_TOKENS, _MAX_TOKENS_PER_S * len(samples) // SAMPLE_RATE_HZ),
            **{"word_timestamps": True, **options},
        )
        return list(segments), str(info.language)

    def _cues(self, utterance: Utterance, words: Iterable[TimedWord], language: str) -> Iterator[Cue]:
        earliest_ns = utterance.start_ns
        for line in split_lines(words):
            start_ns = max(earliest_ns, utterance.start_ns + round(line[0].start_s * NS_PER_S))
            end_ns = min(utterance.end_ns, utterance.start_ns + round(line[-1].end_s * NS_PER_S))
            text = "".join(word.text for word in line).strip()
            if text and end_ns > start_ns:
                yield Cue(start_ns, end_ns, text, language, generated_by=self._name)
                earliest_ns = start_ns


def split_lines(words: Iterable[TimedWord]) -> Iterator[Sequence[TimedWord]]:
    """Yield the words as lines to show: cut after a sentence, and at a pause."""
    line: list[TimedWord] = []
    for word in words:
        if line and (word.start_s - line[-1].end_s > _PAUSE_S or _ends_sentence(line[-1].text)):
            yield line
            line = []
        line.append(word)
    if line:
        yield line


def _ends_sentence(word: str) -> bool:
    """Return whether a word ends a sentence. A full stop after a short word may mark an abbreviation, such as Mr."""
    bare = word.strip()
    return bare.endswith(_SENTENCE_ENDS) and not (bare.endswith(".") and len(bare) <= _MAX_ABBREVIATION_CHARACTERS)


def _is_repetitive(segment: Any) -> bool:  # noqa: ANN401 - faster-whisper has no types
    """Return whether a segment repeats itself. The library itself drops what is likely silence."""
    return bool(segment.compression_ratio > _MAX_COMPRESSION_RATIO)


def _words_of(segment: Any) -> Iterator[TimedWord]:  # noqa: ANN401 - as above
    return (TimedWord(word.start, word.end, word.word) for word in segment.words or ())


@functools.cache
def _load(name: str) -> WhisperModel:
    """Return the model, one for all sources of the process, on the CPU in 8-bit integers."""
    from faster_whisper import WhisperModel  # noqa: PLC0415 - an extra, and heavy
    from tqdm import tqdm  # noqa: PLC0415 - as above

    tqdm.set_lock(threading.RLock())  # the default is a system semaphore, which a killed process leaks
    path: Path = require_speech_model(speech_model(name), cache_folder())
    return WhisperModel(str(path), device="cpu", compute_type="int8", cpu_threads=1, local_files_only=True)
