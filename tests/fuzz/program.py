"""Feeds damaged inputs to the code that reads foreign bytes. It is a separate process, since a decoder may crash it.

It prints one line of JSON: the number of inputs, the time of the slowest, and the growth of memory. Any exception other
than an expected rejection ends it with a traceback; the current input is in the given file.
"""

from __future__ import annotations

import json
import math
import resource
import sys
import time
import warnings
import zlib
from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Final

import numpy as np

from tests.e2e.poison import pcm, png, zeros
from tests.fuzz.mutations import damaged
from triptych.models.model import InputSpec
from triptych.schemas.dead import DeadLetter
from triptych.schemas.dead_codec import decode_dead, decode_mark, encode_dead, read_redrive_origin, redriven_message
from triptych.schemas.errors import MalformedRecordError
from triptych.schemas.names import INPUT_TOPICS
from triptych.schemas.records import AudioChunk
from triptych.transport.records import Headers, Record
from triptych.worker.alignment.entry import Kind
from triptych.worker.intake import received_entry
from triptych.worker.media import audio, picture
from triptych.worker.media.errors import UnreadableMediaError

TESTS: Final = Path(__file__).parents[1]
CORPUS: Final = TESTS / "data" / "corpus"
GOLDEN: Final = TESTS / "golden" / "v1"
SPEC: Final = InputSpec(frames=4, height=32, width=48, sample_rate_hz=16_000)
FEWER: Final = 1_000_000
"""Lower limits for pixels and samples of damaged inputs; decode_image `main`."""
RATE_HZ: Final = 48_000
WAV_HEADER_BYTES: Final = 44
MORE_BYTES: Final = 2 << 30
"""Address space that the process may allocate in addition to what it has at the start."""

Input = bytes | tuple[bytes, bytes, Headers]
Target = Callable[[Input], bool]


# --- targets: each returns whether the input was valid ---------------------------------------------------------------


def decode_image(data: Input) -> bool:
    """Decode an image."""
    assert isinstance(data, bytes)
    try:
        rgb = picture.decode_picture(data, SPEC)
    except UnreadableMediaError as error:
        if "memory" in str(error):
            raise
        return False
    assert rgb.shape == (32, 48, 3)
    return True


def decode_audio(data: Input, *, seconds: float = 0.1) -> bool:
    """Decode an audio chunk."""
    assert isinstance(data, bytes)
    flac = data.startswith(b"fLaC")
    chunk = AudioChunk(
        stream="city",
        id="1",
        source="fuzz",
        session="s",
        start_ns=0,
        end_ns=round(seconds * 1e9),
        data=data or b"\0",
        content_type="audio/flac" if flac else "audio/wav",
    )
    try:
        decoded = audio.decode_audio(chunk, SPEC.sample_rate_hz)
    except UnreadableMediaError:
        return False
    assert len(decoded.samples) > 0
    assert abs(decoded.samples).max() <= 1
    return True


def decode_whole_audio(data: Input) -> bool:
    """Decode an audio chunk that declares its true duration, at 48 kHz."""
    return decode_audio(data, seconds=(len(data) - WAV_HEADER_BYTES) / 2 / RATE_HZ)


def read_message(message: Input) -> bool:
    """Read a message as an input record, a dead letter and a mark. Then dead-letter it and put it back."""
    assert isinstance(message, tuple)
    key, value, headers = message
    is_used = False
    for topic in INPUT_TOPICS:
        entry = received_entry(Record(topic, 0, 7, 1, key, value, headers), 1)
        is_used |= entry.kind not in {Kind.DEAD, Kind.OTHER_PIPELINE}
    for decode in (decode_mark, lambda headers: decode_dead(key, value, headers)):
        try:
            decode(headers)
        except MalformedRecordError as error:
            if not str(error).isprintable():
                raise
    place = {"pipeline": "triptych", "topic": INPUT_TOPICS[0], "partition": 0, "offset": 7, "arrival_ns": 1}
    letter = DeadLetter.model_validate(place | {"reason": "x", "key": key, "value": value, "headers": headers})
    assert decode_dead(*encode_dead(letter)) == letter
    returned = read_redrive_origin(redriven_message(letter).headers)
    assert returned == ("triptych", letter.id)
    return is_used


# --- inputs -----------------------------------------------------------------------------------------------------------


def media(folder: str) -> Callable[[Random, int], Iterator[Input]]:
    """Return a function that damages the files of a folder of the corpus."""
    corpus = [path.read_bytes() for path in sorted((CORPUS / folder).iterdir())]
    return lambda rng, count: damaged(corpus, rng, count)


def messages(rng: Random, count: int) -> Iterator[Input]:
    """Yield golden messages, then messages with one part damaged: a header's name or value, the key, or the value."""
    documents = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(GOLDEN.glob("*.json"))]
    golden = [
        (
            (document["key"] or "").encode(),
            b64decode(document.get("value_base64", "")) or str(document.get("value", "")).encode(),
            tuple((name, value.encode()) for name, value in document["headers"]),
        )
        for document in documents
    ]
    yield from golden
    texts = [value for _, _, headers in golden for _, value in headers]
    for _ in range(count):
        key, value, headers = rng.choice(golden)
        at = rng.randrange(len(headers))
        name, text = headers[at]
        [*_, other] = damaged([text, *texts][:1] or texts, rng, 1)
        match rng.randrange(6):
            case 0:
                changed: list[tuple[str, bytes]] = [(name, rng.choice(texts))]
            case 1:
                changed = []
            case 2:
                changed = [(name, text), (rng.choice(headers)[0], other)]
            case _:
                changed = [(name, other)]
        [*_, key] = damaged([key or b"k"], rng, rng.choice((0, 0, 0, 1)))
        [*_, value] = damaged([value or b"v"], rng, rng.choice((0, 0, 1)))
        yield key, value, headers[:at] + tuple(changed) + headers[at + 1 :]


def small_png() -> bytes:
    """Return a small image."""
    return png(16, 16, idat=zlib.compress(bytes(16 * 49)))


def largest_png() -> bytes:
    """Return an image with as many pixels as the decoder accepts."""
    side = math.isqrt(picture.MAX_PIXELS)
    return png(side, side, idat=zeros(side * (3 * side + 1)))


def silent_wav(samples: int) -> bytes:
    """Return a chunk of silence."""
    return pcm(np.zeros((samples, 1), "<i2"), rate_hz=RATE_HZ, bits=16)


# --- the run ----------------------------------------------------------------------------------------------------------


def peak_bytes() -> int:
    """Return the peak resident memory since `reset_peak`."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def reset_peak() -> None:
    """Reset the peak of resident memory."""
    Path("/proc/self/clear_refs").write_text("5")


def run(target: Target, inputs: Iterator[Input], current_input: Path) -> dict[str, float]:
    """Feed inputs to a target. Return statistics."""
    first = next(inputs)
    target(first)
    reset_peak()
    before = peak_bytes()
    used = count = 0
    slowest_s = 0.0
    for one in inputs:
        current_input.write_bytes(one if isinstance(one, bytes) else repr(one).encode())
        begun_s = time.process_time()
        used += target(one)
        slowest_s = max(slowest_s, time.process_time() - begun_s)
        count += 1
    return {"inputs": count, "used": used, "slowest_s": slowest_s, "grown_bytes": peak_bytes() - before}


def main(args: Sequence[str]) -> None:
    """Run one target. The arguments are its name, a seed, the number of inputs, and the file for the current input."""
    warnings.simplefilter("error")  # of decoders; libraries that were imported above may have warned already
    name, seed, count, current_input = args
    targets: dict[str, tuple[Target, Callable[[Random, int], Iterator[Input]]]] = {
        "pictures": (decode_image, media("pictures")),
        "sounds": (decode_audio, media("sounds")),
        "messages": (read_message, messages),
        "largest_picture": (decode_image, lambda _, __: iter((small_png(), largest_png()))),
        "largest_sound": (decode_whole_audio, lambda _, __: iter((silent_wav(48_000), silent_wav(audio.MAX_VALUES)))),
    }
    if not name.startswith("largest"):  # a damaged header may declare sizes that would take long to decode
        picture.MAX_PIXELS, audio.MAX_VALUES = FEWER, FEWER  # type: ignore[misc]
    picture.quiet_opencv()
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + MORE_BYTES, held + MORE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    target, inputs = targets[name]
    outcome = run(target, inputs(Random(int(seed)), int(count)), Path(current_input))  # noqa: S311 - reproducible, not secret
    sys.stdout.write(json.dumps(outcome))


if __name__ == "__main__":
    main(sys.argv[1:])
