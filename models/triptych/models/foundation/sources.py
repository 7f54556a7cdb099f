"""Which foundation models run beside a model. This module imports no library, for the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class FoundationSources:
    """The foundation models that run beside a model, as texts of sources; empty for none.

    Attributes:
        picture_space: the space of pictures and texts, for `vectors`.
        sound_space: the space of sounds and texts, for `sound_vectors`.
        audio_events: the classifier of sounds, for `sound`.
        emotion: the classifier of speech, for the head `speech_emotion`.
        sentiment: the classifier of words, for the head `text_sentiment`.
    """

    picture_space: str = ""
    sound_space: str = ""
    audio_events: str = ""
    emotion: str = ""
    sentiment: str = ""

    @property
    def any(self) -> bool:
        """Return whether there is any."""
        return bool(self.picture_space or self.sound_space or self.audio_events or self.emotion or self.sentiment)


NO_FOUNDATION: Final = FoundationSources()
