"""Rendered clips for the benchmark of prompts: `python -m benchmarks.prompts --rendered`.

Each stream is a film of windows of 2 s. Its pictures show an emoji on a photograph, a voice says a sentence, and there
is noise or music. Something is asked for that all three can show: "a penguin, with music". If it happens,
each shows it with the same probability and independently, so the best possible AUROC of each source and of all together
is known (`benchmarks/prompts.py`).

The films are read as a producer reads files, sent over the transport in memory, and aligned, decoded, embedded and
matched by a whole worker with the model `base`. Each sentence is spoken once by each of some synthetic voices, and
transcribed with whisper-tiny.en, errors included; the films have the transcript as cues. Music is synthesised.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from triptych.producers.session.playback import Playback
from triptych.producers.sources.playback_plan import PlaybackPlan
from triptych.producers.sources.source import FileSource
from triptych.producers.speech.recogniser import Recogniser, check_transcription
from triptych.producers.speech.utterances import Utterance
from triptych.schemas.codec import decode_result, encode
from triptych.schemas.names import TOPIC_OF, prompts_topic, results_topic
from triptych.schemas.perception.prompt_codec import encode_prompt_change
from triptych.schemas.perception.prompts import Prompt, PromptChange
from triptych.schemas.results import Result
from triptych.service.health import Health
from triptych.settings.loading import load
from triptych.training.data.pools.images import FONT
from triptych.training.data.pools.voices import Manner, SpokenPhrase, missing_package, synthesise
from triptych.transport.memory.transport import MemoryTransport
from triptych.transport.records import Message, TopicPartition
from triptych.transport.topic_settings import TopicSettings
from triptych.transport.topics import create_topics
from triptych.units import NS_PER_S
from triptych.worker.publishing.stores.memory import MemoryStore
from triptych.worker.run import WholeLog
from triptych.worker.wiring import Dependencies, open_pipeline

if TYPE_CHECKING:
    from PIL import Image

Samples = NDArray[np.float32]
Pixels = NDArray[np.uint8]

SHOWN: Final = 0.5
"""Probability with which each source shows what happens."""
SOURCES: Final = ("video", "subtitles", "audio")
WINDOW_S: Final = 2
WINDOWS: Final = 120
FILMS: Final = 1
"""How many films of each motif."""
HAPPENS: Final = 0.1
FALSELY: Final = 0.03
OF_TOPIC: Final = 0.5
TOPICS: Final = 4
FPS: Final = 1
RATE_HZ: Final = 16_000
SIDE: Final = 256
START_NS: Final = 1_767_225_600 * NS_PER_S
ARRIVAL_STEP_NS: Final = 1_000_000
WHISPER: Final = "whisper-tiny.en"
VOICES: Final = (("espeak-ng", "en-us+f3"), ("flite", "slt"))
_POINTS: Final = 109  # the only size of the font
_NOTES: Final = (0, 2, 4, 7, 9, 12)
_CHORD: Final = (0, 4, 7)


@dataclass(frozen=True)
class Motif:
    """What may happen in a stream: its name, the emoji that shows it, and sentences about it."""

    name: str
    glyph: str
    sentences: tuple[str, ...]

    @property
    def prompt(self) -> str:
        """What is asked for."""
        return f"{'an' if self.name[0] in 'aeiou' else 'a'} {self.name}, with music"


MOTIFS: Final = (
    Motif("penguin", "🐧", ("The penguins dive into the sea.", "Look at that little penguin.")),
    Motif("tropical fish", "🐠", ("The fish swims in the aquarium.", "Feed the fish every morning.")),
    Motif("butterfly", "🦋", ("A butterfly landed on the flower.", "Butterflies have colourful wings.")),
    Motif("frog", "🐸", ("The frog jumps into the pond.", "Frogs croak all night long.")),
    Motif("zebra", "🦓", ("Zebras have black and white stripes.", "A zebra runs across the plain.")),
    Motif("bus", "🚌", ("The bus leaves in five minutes.", "Take the bus to the station.")),
    Motif("clock", "⏰", ("The old clock has stopped.", "The alarm clock rings at six.")),
    Motif("violin", "🎻", ("She practises the violin.", "Bring your violin tomorrow.")),
    Motif("banjo", "🪕", ("He tunes his banjo.", "The banjo has five strings.")),
    Motif("mushroom", "🍄", ("Do not eat that mushroom.", "We pick mushrooms in the forest.")),
    Motif("strawberry", "🍓", ("Strawberries with cream, please.", "These strawberries are sweet.")),
    Motif("football", "⚽", ("What a goal by the striker!", "They play football on Sunday.")),
    Motif("telephone", "☎", ("Please answer the telephone.", "Call me on the phone tonight.")),
    Motif("ambulance", "🚑", ("Call an ambulance, quickly!", "The ambulance is on its way.")),
    Motif("spider", "🕷", ("A spider sits in its web.", "Are you afraid of spiders?")),
    Motif("snail", "🐌", ("The snail crawls over the leaf.", "Snails carry their shells.")),
)
"""16 of the 20 whose pictures were recognised with an AUROC above .74, of 49 that were tried on other renderings."""
USUAL_GLYPHS: Final = "🏠🌳🌻🍎🎂📚🔑⌚🪑🛏🚪💻📷👟🥕🍇🔨✂🎩👓🧦👖🧸🎁💡🔦📺🖨🚽🧹🧲🧭⛵🛵🚁🚜🥁🎺"
USUAL_SENTENCES: Final = (
    "I do not know what you mean.", "See you tomorrow.", "Thank you very much.", "How are you today?",
    "Let us talk about it later.", "The meeting begins at ten.", "That is not what she said.", "Wait a moment.",
)  # fmt: skip


@dataclass(frozen=True)
class Spoken:
    """A sentence as it is said, float32 [S] at 16 kHz, and as it was transcribed."""

    samples: Samples
    transcript: str


@dataclass(frozen=True)
class RenderedStream:
    """A stream: what is asked for, in which windows it happens, bool [WINDOWS], and its results in order."""

    motif: Motif
    happens: NDArray[np.bool_]
    results: tuple[Result, ...]


def spoken_sentences(sentences: Sequence[str], folder: Path) -> Mapping[str, tuple[Spoken, ...]]:
    """Return each sentence in each voice that speaks it in less than a window, with its transcript."""
    check_transcription(WHISPER, "en")
    transcribe = Recogniser(WHISPER, "en")
    found = {}
    for sentence in sentences:
        own = []
        for engine, voice in VOICES:
            said = synthesise(SpokenPhrase(engine, voice, sentence, Manner(tempo=1.15)), folder, "said")  # type: ignore[arg-type]
            padded = np.pad(said, RATE_HZ // 4)
            text = " ".join(cue.text for cue in transcribe(Utterance(0, padded)))
            if text and len(said) <= (WINDOW_S - 0.2) * RATE_HZ:
                own.append(Spoken(0.6 * said.astype(np.float32) / 32_768, text))
        if not own:
            raise SystemExit(f"{sentence!r}: expected a voice that speaks it in less than {WINDOW_S} s, found none")
        found[sentence] = tuple(own)
    return found


class EmojiStickers:
    """Draws emoji, turned and of any size, on a transparent ground.

    Raises:
        UsageError: the font is not installed.
    """

    def __init__(self) -> None:
        from PIL import ImageFont  # noqa: PLC0415 - only to render

        if not FONT.is_file():
            raise missing_package("the font of the emoji")
        self._font = ImageFont.truetype(str(FONT), _POINTS)

    def draw(self, glyph: str, sides: tuple[int, int], random: np.random.Generator) -> Image.Image:
        """Return an emoji whose longer side has from `sides[0]` to below `sides[1]` pixels."""
        from PIL import Image, ImageDraw  # noqa: PLC0415

        canvas = Image.new("RGBA", (136, 128), (0, 0, 0, 0))
        ImageDraw.Draw(canvas).text((0, 0), glyph, font=self._font, embedded_color=True)
        alone = canvas.crop(canvas.getbbox())
        turned = alone.rotate(random.uniform(-15, 15), Image.Resampling.BICUBIC, expand=True)
        scale = random.integers(*sides) / max(turned.size)
        return turned.resize([round(side * scale) for side in turned.size], Image.Resampling.LANCZOS)


class Painter:
    """Paints emoji on photographs."""

    def __init__(self) -> None:
        from sklearn.datasets import load_sample_images  # noqa: PLC0415 - only to render

        self._stickers = EmojiStickers()
        self._photographs: Sequence[Pixels] = load_sample_images().images

    def picture(self, glyph: str, random: np.random.Generator) -> Pixels:
        """Return a picture of a glyph at a random place on a part of a photograph, uint8 [SIDE, SIDE, 3]."""
        from PIL import Image  # noqa: PLC0415

        sticker = self._stickers.draw(glyph, (SIDE // 2, SIDE * 4 // 5), random)
        photograph = self._photographs[random.integers(len(self._photographs))]
        side = int(random.integers(150, 400))
        top, left = (int(random.integers(0, length - side)) for length in photograph.shape[:2])
        part = cv2.resize(photograph[top : top + side, left : left + side], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        whole = Image.fromarray(part)
        whole.paste(sticker, tuple(int(random.integers(0, SIDE - length)) for length in sticker.size), sticker)
        return np.asarray(whole, np.uint8)


def music(random: np.random.Generator) -> Samples:
    """Return a window of random notes over chords, float32 [S] with a peak of 0.3: an organ or a piano."""
    length = WINDOW_S * RATE_HZ
    decay = random.choice((0.5, 3.0))
    whole = np.zeros(length)
    beat = RATE_HZ // 4
    for number in range(length // beat):
        first = number * beat
        pitches = [220 * 2 ** (random.choice(_NOTES) / 12)]
        if number % 4 == 0:
            pitches += [110 * 2 ** (step / 12) for step in _CHORD]
        for hz in pitches:
            times_s = np.arange(length - first) / RATE_HZ
            whole[first:] += sum(np.sin(2 * np.pi * hz * n * times_s) / n for n in range(1, 8)) * np.exp(
                -decay * times_s
            )
    return np.asarray(0.3 * whole / np.abs(whole).max(), np.float32)


class FilmMaker:
    """Draws what each window shows, and writes it to a film.

    Args:
        painter: paints pictures.
        spoken: sentences as they are spoken.
    """

    def __init__(self, painter: Painter, spoken: Mapping[str, tuple[Spoken, ...]]) -> None:
        self._painter = painter
        self._spoken = spoken

    def write(
        self, motif: Motif, random: np.random.Generator, file: Path, *, without: str | None = None
    ) -> NDArray[np.bool_]:
        """Write a film, and its cues beside it; return in which windows it happens, bool [WINDOWS].

        Args:
            motif: what may happen.
            random: decides everything.
            file: the film, `*.mkv`.
            without: a source whose track is left out.
        """
        others = [MOTIFS[n] for n in random.permutation(len(MOTIFS)) if MOTIFS[n] is not motif][:TOPICS]
        happens = random.random(WINDOWS) < HAPPENS
        cues = []
        with av.open(str(file), "w", format="matroska") as film:
            video = None if without == "video" else film.add_stream("mjpeg", rate=FPS)
            if video is not None:
                video.width, video.height, video.pix_fmt = SIDE, SIDE, "yuvj420p"
                video.options = {"qmin": "2", "qmax": "2"}
            audio = None if without == "audio" else film.add_stream("pcm_s16le", rate=RATE_HZ, layout="mono")
            for number in range(WINDOWS):
                shows = {s: bool(random.random() < (SHOWN if happens[number] else FALSELY)) for s in SOURCES}
                pictures, said, sound = self._window(motif, others, shows, random)
                cues.append(_cue(number, said.transcript))
                for place, picture in enumerate(pictures):
                    if video is not None:
                        film.mux(video.encode(_video_frame(picture, number * len(pictures) + place)))
                if audio is not None:
                    film.mux(audio.encode(_audio_frame(sound, number)))
            for stream in (video, audio):
                if stream is not None:
                    film.mux(stream.encode(None))
        if without != "subtitles":
            file.with_suffix(".srt").write_text("\n".join(cues), encoding="utf-8")
        return happens

    def _window(
        self, motif: Motif, others: Sequence[Motif], shows: Mapping[str, bool], random: np.random.Generator
    ) -> tuple[list[Pixels], Spoken, Samples]:
        seen, heard = (others[random.integers(len(others))] if random.random() < OF_TOPIC else None for _ in range(2))
        glyph = seen.glyph if seen is not None else USUAL_GLYPHS[random.integers(len(USUAL_GLYPHS))]
        sentences = heard.sentences if heard is not None else USUAL_SENTENCES
        if shows["video"]:
            glyph = motif.glyph
        if shows["subtitles"]:
            sentences = motif.sentences
        voices = self._spoken[sentences[random.integers(len(sentences))]]
        said = voices[random.integers(len(voices))]
        sound = random.normal(0, 0.01, WINDOW_S * RATE_HZ).astype(np.float32)
        sound[RATE_HZ // 10 : RATE_HZ // 10 + len(said.samples)] += said.samples
        if shows["audio"]:
            sound += music(random)
        return [self._painter.picture(glyph, random) for _ in range(WINDOW_S * FPS)], said, np.clip(sound, -1, 1)


def _cue(number: int, text: str) -> str:
    start_s, end_s = number * WINDOW_S + 0.1, number * WINDOW_S + 1.9
    return f"{number + 1}\n{_srt_time(start_s)} --> {_srt_time(end_s)}\n{text}\n"


def _srt_time(at_s: float) -> str:
    milliseconds = round(at_s * 1_000)
    seconds, milliseconds = divmod(milliseconds, 1_000)
    return f"{seconds // 3_600:02}:{seconds // 60 % 60:02}:{seconds % 60:02},{milliseconds:03}"


def _video_frame(picture: Pixels, number: int) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuvj420p")
    frame.pts, frame.time_base = number, Fraction(1, FPS)
    return frame


def _audio_frame(sound: Samples, number: int) -> av.AudioFrame:
    samples = np.rint(sound * 32_767).astype(np.int16)[np.newaxis]
    frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, number * len(sound), Fraction(1, RATE_HZ)
    return frame


class Broadcast:
    """An installation in memory: films and prompts in, results of a whole worker out.

    Args:
        settings: settings of the worker that differ from those of the benchmark of prompts.
    """

    def __init__(self, settings: Mapping[str, object] | None = None) -> None:
        self._now_ns = START_NS
        self._transport = MemoryTransport(clock_ns=lambda: self._now_ns, max_bytes=4 << 30)
        self._settings = load(
            overrides={
                "model.name": "base",
                "model.detector": "off",
                "model.device": "cpu",
                "model.threads": 1,
                "model.frames_per_window": WINDOW_S * FPS,
                "batch.max_delay_ms": 0,
                **(settings or {}),
            },
            environ={},
        )
        create_topics(self._transport.admin(), self._settings.pipeline, TopicSettings(""))

    def ask(self, stream: str, text: str) -> None:
        """Ask for something in one stream. It takes effect before whatever is sent later."""
        prompt = Prompt(name=stream, texts={"en": text}, feeds=(stream,))
        change = PromptChange(id=stream, name=stream, prompt=prompt)
        wire = encode_prompt_change(change, pipeline=self._settings.pipeline, moment_ns=self._now_ns)
        self._send([Message(prompts_topic(self._settings.pipeline), wire.key, wire.value, wire.headers)])
        self._now_ns += (self._settings.prompts.delay_ms + 1) * 1_000_000

    def send(self, stream: str, film: Path) -> None:
        """Send a film as a producer does."""
        self._send(self._messages(stream, film))

    def work(self) -> Mapping[str, tuple[Result, ...]]:
        """Run a worker to the end of the topics, and return its results by stream, in order."""
        dependencies = Dependencies(self._transport, MemoryStore(), [], Health())
        with open_pipeline(self._settings, dependencies, WholeLog.of(self._settings)) as pipeline:
            pipeline.run(threading.Event(), until_end=lambda: True)
        found: dict[str, list[Result]] = {}
        for result in self._results():
            found.setdefault(result.stream, []).append(result)
        return {stream: tuple(sorted(own, key=lambda one: one.start_ns)) for stream, own in found.items()}

    def _messages(self, stream: str, film: Path) -> Iterator[Message]:
        with Playback(PlaybackPlan(source=FileSource(film), stream=stream)) as playback:
            for record in (*playback.records(START_NS), *playback.ends()):
                wire = encode(record)
                yield Message(TOPIC_OF[record.modality], wire.key, wire.value, wire.headers)

    def _send(self, messages: Iterator[Message] | Sequence[Message]) -> None:
        publisher = self._transport.publisher()
        for message in messages:
            publisher.send(message).result(timeout=5)
            self._now_ns += ARRIVAL_STEP_NS
        publisher.close(5)

    def _results(self) -> Iterator[Result]:
        topic = results_topic(self._settings.pipeline)
        tps = [
            TopicPartition(topic, partition) for partition in range(self._transport.admin().partition_count(topic) or 0)
        ]
        reader = self._transport.reader(dict.fromkeys(tps, 0))
        ends = reader.end_offsets(tps)
        while any(reader.position(tp) < ends[tp] for tp in tps):
            for record in reader.poll(1).records:
                yield decode_result(record.key, record.value, record.headers)
        reader.close()


class Studio:
    """Renders films and runs them through a worker. Speaks and transcribes all sentences when it is made.

    Args:
        folder: for the films.

    Raises:
        UsageError: a synthesiser, the font, faster-whisper or the weights of whisper-tiny.en are not installed.
    """

    def __init__(self, folder: Path) -> None:
        sentences = [sentence for motif in MOTIFS for sentence in motif.sentences]
        self._folder = folder
        self._maker = FilmMaker(Painter(), spoken_sentences([*sentences, *USUAL_SENTENCES], folder))

    def streams(
        self, seed: int, *, motifs: Sequence[Motif] = MOTIFS, films: int = FILMS, without: str | None = None
    ) -> list[RenderedStream]:
        """Return the results of some films of each motif.

        Args:
            seed: decides everything.
            motifs: what may happen.
            films: how many films of each.
            without: a source whose track is left out.
        """
        broadcast = Broadcast()
        planned: dict[str, tuple[Motif, NDArray[np.bool_]]] = {}
        for motif in motifs:
            for number in range(films):
                stream = f"{motif.name.replace(' ', '-')}-{number}"
                random = np.random.default_rng([seed, MOTIFS.index(motif), number])
                film = self._folder / f"{stream}.mkv"
                planned[stream] = motif, self._maker.write(motif, random, film, without=without)
                broadcast.ask(stream, motif.prompt)
                broadcast.send(stream, film)
                for file in (film, film.with_suffix(".srt")):
                    file.unlink(missing_ok=True)
        results = broadcast.work()
        for stream, (_, happens) in planned.items():
            found = len(results.get(stream, ()))
            if found != len(happens):
                raise SystemExit(f"{stream}: expected {len(happens)} results, got {found}")
        return [RenderedStream(motif, happens, results[stream]) for stream, (motif, happens) in planned.items()]
