"""Render the planned feeds, and run them through a whole worker: real pictures, voices and models.

Each feed is a film. A photograph is shown as a crop that moves, with its own brightness and size in each shot, and an
emoji on a blurred ground. Voices of espeak-ng and flite say the spoken cues. English ones are transcribed with
whisper-tiny.en, errors included; Chinese ones keep their text, since no small model transcribes such voices. Music is
synthesised. The films are read as a producer reads files, and seen by the model `base` and the default detector.
"""

from __future__ import annotations

import sys
import tempfile
import time
import zlib
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.rendered_prompts import RATE_HZ, START_NS, WHISPER, Broadcast, EmojiStickers, Pixels, Samples, music
from benchmarks.search_quality.content import FeedContent, FeedPicture
from benchmarks.search_quality.feed_plan import WINDOW_S, PlannedCue, StreamPlan
from benchmarks.semantic_space import read_photos
from triptych.producers.speech.recogniser import Recogniser, check_transcription
from triptych.producers.speech.utterances import Utterance
from triptych.schemas.results import Result
from triptych.training.data.pools.voices import Manner, SpokenPhrase, check_synthesisers, synthesise

SIDE: Final = 320
_VOICES: Final = {"en": (("espeak-ng", "en-us+f3"), ("flite", "slt")), "zh": (("espeak-ng", "cmn"),)}
_MIRRORED: Final = 0.5
_STREAMS_AT_ONCE: Final = 12
"""A worker in memory holds the films of so many streams."""


class ScenePainter:
    """Paints the pictures of the feeds.

    Args:
        contents: what the feeds show.
        opencv_doc: folder `examples` of Debian's opencv-doc, for some photographs.

    Raises:
        UsageError: the font is not installed.
    """

    def __init__(self, contents: Sequence[FeedContent], opencv_doc: Path) -> None:
        self._stickers = EmojiStickers()
        self._pictures = {picture.id: picture for content in contents for picture in content.pictures}
        wanted = {picture.photo for picture in self._pictures.values() if picture.photo}
        files = {entry["file"].rpartition("/")[2]: content for entry, content in read_photos(opencv_doc)}
        self._photos = {name: _decoded(files[name]) for name in wanted}

    def shot(self, shown: str, windows: int, random: np.random.Generator) -> Iterator[Pixels]:
        """Yield a picture for each window of a shot, uint8 [SIDE, SIDE, 3]."""
        picture = self._pictures.get(shown) or FeedPicture(shown, "", shown, (), {})
        whole = self._photos[picture.photo] if picture.photo else self._emoji_scene(picture.glyph, random)
        if random.random() < _MIRRORED:
            whole = np.ascontiguousarray(whole[:, ::-1])
        share, gain = random.uniform(0.75, 0.95), random.uniform(0.7, 1.15)
        height, width = (round(share * length) for length in whole.shape[:2])
        for _ in range(windows):
            top, left = int(random.integers(whole.shape[0] - height)), int(random.integers(whole.shape[1] - width))
            part = whole[top : top + height, left : left + width]
            part = cv2.resize(part, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
            yield np.clip(gain * part + random.normal(0, 3, part.shape), 0, 255).astype(np.uint8)

    def _emoji_scene(self, glyph: str, random: np.random.Generator) -> Pixels:
        from PIL import Image  # noqa: PLC0415 - only to render

        sticker = self._stickers.draw(glyph, (SIDE // 2, SIDE * 3 // 4), random)
        ground = random.uniform(40, 220, (4, 4, 3)).astype(np.float32)
        blurred = np.clip(cv2.resize(ground, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC), 0, 255)
        scene = Image.fromarray(blurred.astype(np.uint8))
        left, top = ((SIDE - length) // 2 + int(random.integers(-20, 20)) for length in sticker.size)
        scene.paste(sticker, (left, top), sticker)
        return np.asarray(scene, np.uint8)


class Speaker:
    """Says and transcribes sentences. Each is spoken once.

    Raises:
        UsageError: a synthesiser, faster-whisper or the weights of whisper-tiny.en are not installed.
    """

    def __init__(self, folder: Path) -> None:
        check_synthesisers()
        check_transcription(WHISPER, "en")
        self._transcribe = Recogniser(WHISPER, "en")
        self._folder = folder
        self._said: dict[str, tuple[Samples, str]] = {}

    def say(self, cue: PlannedCue) -> tuple[Samples, str]:
        """Return how the words of a cue sound, float32 [S] at 16 kHz, and what the cue file says."""
        if cue.text not in self._said:
            voices = _VOICES[cue.language]
            engine, voice = voices[zlib.crc32(cue.text.encode()) % len(voices)]
            phrase = SpokenPhrase(engine, voice, cue.text, Manner(tempo=1.1))  # type: ignore[arg-type]
            sound = synthesise(phrase, self._folder, "said")
            heard = ""
            if cue.language == "en":
                heard = " ".join(one.text for one in self._transcribe(Utterance(0, np.pad(sound, RATE_HZ // 4))))
            self._said[cue.text] = (np.asarray(sound * (0.6 / 32_768), np.float32), heard or cue.text)
        return self._said[cue.text]


def render_results(
    contents: Sequence[FeedContent], plans: Sequence[StreamPlan], seed: int, opencv_doc: Path
) -> list[Result]:
    """Render the feeds and return the results of a worker, in order of streams and times. Takes minutes."""
    painter = ScenePainter(contents, opencv_doc)
    results: list[Result] = []
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="triptych-feeds-") as scratch:
        speaker = Speaker(Path(scratch))
        for first in range(0, len(plans), _STREAMS_AT_ONCE):
            broadcast = Broadcast({"model.detector": "auto", "model.frames_per_window": 1})
            for plan in plans[first : first + _STREAMS_AT_ONCE]:
                film = Path(scratch) / f"{plan.stream}.mkv"
                write_film(
                    plan, film, painter, speaker, np.random.default_rng([seed, zlib.crc32(plan.stream.encode())])
                )
                broadcast.send(plan.stream, film)
                film.unlink()
            found = broadcast.work()
            for plan in plans[first : first + _STREAMS_AT_ONCE]:
                results += _checked(plan, found.get(plan.stream, ()))
            sys.stderr.write(f"\r{len(results):,} windows, {time.monotonic() - began_s:.0f} s")
    sys.stderr.write("\n")
    return results


def _checked(plan: StreamPlan, results: Sequence[Result]) -> Sequence[Result]:
    starts = [(result.start_ns - START_NS) // (WINDOW_S * 1_000_000_000) for result in results]
    if starts != list(range(len(plan.shown))):
        raise SystemExit(f"{plan.stream}: expected results of {len(plan.shown)} windows in order, got {len(results)}")
    return results


def write_film(
    plan: StreamPlan, file: Path, painter: ScenePainter, speaker: Speaker, random: np.random.Generator
) -> None:
    """Write the film of a stream, `*.mkv`, and its cues beside it."""
    sound, cues = _sound(plan, speaker, random)
    with av.open(str(file), "w", format="matroska") as film:
        video = film.add_stream("mjpeg", rate=Fraction(1, WINDOW_S))
        video.width, video.height, video.pix_fmt = SIDE, SIDE, "yuvj420p"
        video.options = {"qmin": "2", "qmax": "2"}
        audio = film.add_stream("pcm_s16le", rate=RATE_HZ, layout="mono")
        for number, picture in enumerate(_pictures(plan, painter, random)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuvj420p")
            frame.pts, frame.time_base = number, Fraction(WINDOW_S)
            film.mux(video.encode(frame))
            film.mux(audio.encode(_audio_frame(sound, number)))
        for stream in (video, audio):
            film.mux(stream.encode(None))
    file.with_suffix(".srt").write_text("\n".join(cues), encoding="utf-8")


def _pictures(plan: StreamPlan, painter: ScenePainter, random: np.random.Generator) -> Iterator[Pixels]:
    first = 0
    for number in range(1, len(plan.shown) + 1):
        if number == len(plan.shown) or plan.shown[number] != plan.shown[first]:
            yield from painter.shot(plan.shown[first], number - first, random)
            first = number


def _sound(plan: StreamPlan, speaker: Speaker, random: np.random.Generator) -> tuple[Samples, list[str]]:
    """Return the sound of a stream, float32 [S], and its cues as entries of a cue file."""
    sound = random.normal(0, 0.01, len(plan.shown) * WINDOW_S * RATE_HZ).astype(np.float32)
    for number, plays in enumerate(plan.music):
        if plays:
            sound[number * WINDOW_S * RATE_HZ : (number + 1) * WINDOW_S * RATE_HZ] += music(random)
    cues = []
    for number, cue in enumerate(plan.cues, 1):
        text = cue.text
        if cue.is_spoken:
            said, text = speaker.say(cue)
            first = round(cue.start_s * RATE_HZ)
            said = said[: max(0, len(sound) - first)]
            sound[first : first + len(said)] += said
        cues.append(f"{number}\n{_srt_time(cue.start_s)} --> {_srt_time(cue.end_s)}\n{text}\n")
    return np.clip(sound, -1, 1), cues


def _srt_time(at_s: float) -> str:
    seconds, milliseconds = divmod(round(at_s * 1_000), 1_000)
    return f"{seconds // 3_600:02}:{seconds // 60 % 60:02}:{seconds % 60:02},{milliseconds:03}"


def _audio_frame(sound: Samples, number: int) -> av.AudioFrame:
    length = WINDOW_S * RATE_HZ
    samples = np.rint(sound[number * length : (number + 1) * length] * 32_767).astype(np.int16)[np.newaxis]
    frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, number * length, Fraction(1, RATE_HZ)
    return frame


def _decoded(content: bytes) -> NDArray[np.uint8]:
    bgr = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        raise SystemExit("expected a photograph, got something that cannot be decoded")
    return np.ascontiguousarray(bgr[..., ::-1], dtype=np.uint8)
