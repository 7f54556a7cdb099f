"""The command `triptych ask`: a question in words, or in a recording, which the recogniser of producers transcribes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from triptych.consumers.asking.options import AskOptions
from triptych.schemas.errors import UsageError
from triptych.service.cli_from_config import command_from

if TYPE_CHECKING:
    from triptych.producers.media.audio import Samples

MAX_SPEECH_S: Final = 30
"""Whisper reads so much at once."""


@dataclass(frozen=True, slots=True)
class SpokenAskOptions:
    """What `triptych ask` takes."""

    asked: AskOptions = field(default_factory=AskOptions)
    speech: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Ask what is said in this recording (WAV, MP3, …), up to 30 s.")
    ] = None
    speech_model: Annotated[
        str, typer.Option(metavar="NAME", help="Its recogniser: whisper-base, or whisper-tiny.en for English.")
    ] = "whisper-base"


@command_from(SpokenAskOptions)
def ask(options: SpokenAskOptions) -> None:
    """Answer a question about what `triptych index` has written: when, who, how many, what, before, after, ever.

    Each answer names its times and the results that show it, whose media `triptych evidence RESULT` fetches. Where
    nothing in the index supports an answer, it says so.
    """
    from triptych.consumers.asking.cli import answer_question, names_to_ask_about

    question = options.asked.question
    if options.speech is not None:
        if question.strip():
            raise UsageError("ask: expected QUESTION or --speech, got both")
        question = spoken_question(options.speech, options.speech_model, names_to_ask_about(options.asked))
        typer.echo(f"heard: {question}", err=True)
    answer_question(replace(options.asked, question=question))


def spoken_question(path: Path, model: str, names: Sequence[str] = ()) -> str:
    """Return what is said in a recording. Blocks while it is transcribed.

    Args:
        path: the recording.
        model: the name of the recogniser.
        names: words to expect, such as those of things in an index.

    Raises:
        UsageError: the file has no sound, or is too long; the recogniser or its weights are missing; nothing was said.
    """
    from triptych.consumers.asking.spoken import prompt_for_questions, with_written_times
    from triptych.producers.speech.recogniser import Recogniser, check_transcription

    check_transcription(model, None)
    samples = _samples(path)
    text = Recogniser(model, None).text(samples, prompt=prompt_for_questions(names))
    if not text:
        raise UsageError(f"{path}: expected a question, heard nothing")
    return with_written_times(text)


def _samples(path: Path) -> Samples:
    """Return the sound of a file, int16 [N] at 16 kHz."""
    import av
    import numpy as np
    from av.audio.resampler import AudioResampler

    from triptych.producers.media.audio import SAMPLE_RATE_HZ

    parts: list[Samples] = []
    resampler = AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE_HZ)
    try:
        with av.open(str(path)) as container:
            for frame in container.decode(audio=0):
                parts += [part.to_ndarray().reshape(-1).astype(np.int16) for part in resampler.resample(frame)]
                if sum(map(len, parts)) > MAX_SPEECH_S * SAMPLE_RATE_HZ:
                    raise UsageError(f"{path}: expected at most {MAX_SPEECH_S} s, got more")
            parts += [part.to_ndarray().reshape(-1).astype(np.int16) for part in resampler.resample(None)]
    except (av.FFmpegError, IndexError) as error:
        raise UsageError(f"{path}: expected a recording, got: {error}") from error
    if not parts:
        raise UsageError(f"{path}: expected a recording, got no sound")
    return np.concatenate(parts)
