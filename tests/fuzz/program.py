"""Feeds damaged inputs to what reads foreign bytes; run as a process of its own, since a decoder may take it along.

Prints one line of JSON: what became of the inputs, the slowest of them, and by how much memory grew at most. Whatever
is raised and is not a refusal ends it with a traceback; the input that was at work lies in the file given.
"""

from __future__ import annotations

import json
import math
import resource
import sys
import time
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
from triptych.worker.media import picture, sound
from triptych.worker.media.errors import UnreadableMediaError

TESTS: Final = Path(__file__).parents[1]
CORPUS: Final = TESTS / "data" / "corpus"
GOLDEN: Final = TESTS / "golden" / "v1"
SPEC: Final = InputSpec(frames=4, height=32, width=48, sample_rate_hz=16_000)
FEWER: Final = 1_000_000
"""Pixels and values: see `main`."""
RATE_HZ: Final = 48_000
WAV_HEADER_BYTES: Final = 44
MORE_BYTES: Final = 2 << 30
"""Of address space, beyond what the process has when it begins: what wants more fails here, not the machine."""

Input = bytes | tuple[bytes, bytes, Headers]
Target = Callable[[Input], bool]


# --- targets: each says whether the input was used -------------------------------------------------------------------


def see(data: Input) -> bool:
    """Decode a picture."""
    assert isinstance(data, bytes)
    try:
        rgb = picture.decode_picture(data, SPEC)
    except UnreadableMediaError as error:
        if "memory" in str(error):
            raise
        return False
    assert rgb.shape == (32, 48, 3)
    return True


def hear(data: Input, *, seconds: float = 0.1) -> bool:
    """Decode a chunk."""
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
        heard = sound.decode_sound(chunk, SPEC.sample_rate_hz)
    except UnreadableMediaError:
        return False
    assert len(heard.samples) > 0
    assert abs(heard.samples).max() <= 1
    return True


def hear_all(data: Input) -> bool:
    """Decode a chunk that is as long as it is, at 48 kHz."""
    return hear(data, seconds=(len(data) - WAV_HEADER_BYTES) / 2 / RATE_HZ)


def read(message: Input) -> bool:
    """Take a message as a record of each input topic, as a letter and as a mark; bury it and put it back."""
    assert isinstance(message, tuple)
    key, value, headers = message
    used = False
    for topic in INPUT_TOPICS:
        entry = received_entry(Record(topic, 0, 7, 1, key, value, headers), 1)
        used |= entry.kind not in {Kind.DEAD, Kind.ELSEWHERE}
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
    return used


# --- inputs -----------------------------------------------------------------------------------------------------------


def media(folder: str) -> Callable[[Random, int], Iterator[Input]]:
    """Return how to damage the files of a folder."""
    corpus = [path.read_bytes() for path in sorted((CORPUS / folder).iterdir())]
    return lambda chance, count: damaged(corpus, chance, count)


def messages(chance: Random, count: int) -> Iterator[Input]:
    """Return golden messages with one part damaged: a header's name or value, the key, or the value."""
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
        key, value, headers = chance.choice(golden)
        at = chance.randrange(len(headers))
        name, text = headers[at]
        [*_, other] = damaged([text, *texts][:1] or texts, chance, 1)
        match chance.randrange(6):
            case 0:
                changed: list[tuple[str, bytes]] = [(name, chance.choice(texts))]
            case 1:
                changed = []
            case 2:
                changed = [(name, text), (chance.choice(headers)[0], other)]
            case _:
                changed = [(name, other)]
        [*_, key] = damaged([key or b"k"], chance, chance.choice((0, 0, 0, 1)))
        [*_, value] = damaged([value or b"v"], chance, chance.choice((0, 0, 1)))
        yield key, value, headers[:at] + tuple(changed) + headers[at + 1 :]


def small_png() -> bytes:
    """Return a picture."""
    return png(16, 16, idat=zlib.compress(bytes(16 * 49)))


def largest_png() -> bytes:
    """Return a picture of as many pixels as are taken."""
    side = math.isqrt(picture.MAX_PIXELS)
    return png(side, side, idat=zeros(side * (3 * side + 1)))


def quiet_wav(samples: int) -> bytes:
    """Return a chunk of silence."""
    return pcm(np.zeros((samples, 1), "<i2"), rate_hz=RATE_HZ, bits=16)


# --- the run ----------------------------------------------------------------------------------------------------------


def peak_bytes() -> int:
    """Return the most memory that was held since `forget_peak`."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def forget_peak() -> None:
    """Measure from now on."""
    Path("/proc/self/clear_refs").write_text("5")


def run(target: Target, inputs: Iterator[Input], at_work: Path) -> dict[str, float]:
    """Feed inputs to a target; return what became of them."""
    first = next(inputs)
    target(first)
    forget_peak()
    before = peak_bytes()
    used = count = 0
    slowest_s = 0.0
    for one in inputs:
        at_work.write_bytes(one if isinstance(one, bytes) else repr(one).encode())
        begun_s = time.process_time()
        used += target(one)
        slowest_s = max(slowest_s, time.process_time() - begun_s)
        count += 1
    return {"inputs": count, "used": used, "slowest_s": slowest_s, "grown_bytes": peak_bytes() - before}


def main(args: Sequence[str]) -> None:
    """Run one target: its name, a seed, how many inputs, and the file for the input at work."""
    name, seed, count, at_work = args
    targets: dict[str, tuple[Target, Callable[[Random, int], Iterator[Input]]]] = {
        "pictures": (see, media("pictures")),
        "sounds": (hear, media("sounds")),
        "messages": (read, messages),
        "largest_picture": (see, lambda _, __: iter((small_png(), largest_png()))),
        "largest_sound": (hear_all, lambda _, __: iter((quiet_wav(48_000), quiet_wav(sound.MAX_VALUES)))),
    }
    if not name.startswith("largest"):  # what damage declares would otherwise take long to decode
        picture.MAX_PIXELS, sound.MAX_VALUES = FEWER, FEWER  # type: ignore[misc]
    picture.quiet_opencv()
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + MORE_BYTES, held + MORE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    target, inputs = targets[name]
    outcome = run(target, inputs(Random(int(seed)), int(count)), Path(at_work))  # noqa: S311 - a test's dice
    sys.stdout.write(json.dumps(outcome))


if __name__ == "__main__":
    main(sys.argv[1:])
