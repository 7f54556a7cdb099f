"""The records behind a result, fetched by their offsets."""

from __future__ import annotations

import io
import json
import wave
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from triptych.consumers.evidence.evidence import EvidenceRequest, find_evidence, gather_evidence
from triptych.consumers.evidence.files import check_folder, joined_audio, write_evidence
from triptych.consumers.subscription.result_buffer import Delivery
from triptych.schemas.codec import encode
from triptych.schemas.errors import UsageError
from triptych.schemas.names import INPUT_TOPICS, TOPIC_OF
from triptych.schemas.records import AudioChunk, End, InputRecord, Progress, SubtitleCue, VideoFrame
from triptych.schemas.results import Modalities, ModalityReport
from triptych.transport.memory.transport import MemoryTransport
from triptych.transport.records import Delivered, Message, TopicPartition
from triptych.transport.topic_settings import TopicSettings

if TYPE_CHECKING:
    from tests.consumers.conftest import Bench, MakeResult, TopicBench

START_NS = 1_767_225_600_000_000_000
S = 1_000_000_000
NOTHING = ModalityReport(state="absent")

Send = Callable[..., list[int]]


@pytest.fixture
def transport() -> MemoryTransport:
    """Input topics with one partition."""
    made = MemoryTransport(partitions=1)
    made.admin().create([TopicSettings(topic, partitions=1, replication=1) for topic in INPUT_TOPICS])
    return made


@pytest.fixture
def send(transport: MemoryTransport) -> Send:
    """Send records; return their offsets."""

    def send(*records: InputRecord) -> list[int]:
        publisher = transport.publisher()
        sent: list[Delivered] = [
            publisher.send(Message(TOPIC_OF[record.modality], *encode(record))).result(5) for record in records
        ]
        publisher.close(5)
        return [where.offset for where in sent]

    return send


def frame(at_s: float, stream: str = "city", data: bytes = b"jpeg") -> VideoFrame:
    """Create a frame at `at_s` seconds in the window."""
    start_ns = START_NS + int(at_s * S)
    return VideoFrame(stream=stream, id=f"v{at_s}", source="/cam", session="s", start_ns=start_ns, data=data)


def cue(from_s: float, to_s: float, text: str) -> SubtitleCue:
    """Create a cue."""
    spans = {"start_ns": START_NS + int(from_s * S), "end_ns": START_NS + int(to_s * S)}
    return SubtitleCue(stream="city", id=f"c{from_s}", source="/cam", session="s", text=text, **spans)


def chunk(from_s: float, samples: Sequence[int], rate_hz: int = 4) -> AudioChunk:
    """Create a chunk of a few samples."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(b"".join(sample.to_bytes(2, "little") for sample in samples))
    start_ns = START_NS + int(from_s * S)
    end_ns = start_ns + len(samples) * S // rate_hz
    return AudioChunk(
        stream="city",
        id=f"a{from_s}",
        source="/cam",
        session="s",
        start_ns=start_ns,
        end_ns=end_ns,
        data=out.getvalue(),
    )


def case(make_result: MakeResult, held: ModalityReport | None = None, **reports: ModalityReport) -> EvidenceRequest:
    """Create the evidence request of a result of the first two seconds with these reports."""
    modalities = Modalities(**{modality: reports.get(modality, NOTHING) for modality in TOPIC_OF})
    result = make_result(0, modalities=modalities)
    return EvidenceRequest(Delivery(result, result.model_dump_json().encode()), held)


def report(offsets: list[int], items: int) -> ModalityReport:
    """Create the report of `items` records between these offsets."""
    return ModalityReport(state="present", items=items, used=1, partition=0, offsets=(offsets[0], offsets[-1]))


def test_only_records_that_overlap_the_window_are_returned(
    transport: MemoryTransport, send: Send, make_result: MakeResult
) -> None:
    """Other records between the offsets are left out: other streams and windows, duplicates, invalid ones."""
    told = {"stream": "city", "source": "/cam", "session": "s", "modality": "video", "start_ns": START_NS}
    video = send(
        frame(0.0),
        frame(1.0, stream="other"),
        frame(2.0),
        Progress(id="p", **told),
        frame(0.0),
        End(id="e", **told),
        frame(1.9),
    )
    publisher = transport.publisher()
    publisher.send(Message(TOPIC_OF["subtitles"], b"city", b"junk")).result(5)
    words = send(cue(-2, 0, "before"), cue(-1, 0.1, "into"), cue(1.9, 9, "out of"), cue(2, 3, "after"))
    found = gather_evidence(transport, case(make_result, video=report(video, 2), subtitles=report(words, 2)))
    texts = {gathered.modality: [item.media.id for item in gathered.items] for gathered in found}
    assert texts == {"video": ["v0.0", "v1.9"], "audio": [], "subtitles": ["c-1", "c1.9"]}
    assert not any(gathered.missing for gathered in found)


def test_records_deleted_by_retention_are_reported(
    transport: MemoryTransport, send: Send, make_result: MakeResult
) -> None:
    """The remaining records are returned."""
    video = send(frame(0.0), frame(0.5), frame(1.0))
    transport.admin().delete_records({TopicPartition(TOPIC_OF["video"], 0): 2})
    [found, _, _] = gather_evidence(transport, case(make_result, video=report(video, 3)))
    assert [item.media.id for item in found.items] == ["v1.0"]
    assert found.missing == "2 of 3 records are missing: retention deleted offsets 0 to 1 of triptych.video 0"
    transport.admin().delete_records({TopicPartition(TOPIC_OF["video"], 0): 3})
    [found, _, _] = gather_evidence(transport, case(make_result, video=report(video, 3)))
    assert found.items == ()
    assert "3 of 3 records are missing: retention deleted offsets 0 to 2" in found.missing


def test_a_recreated_topic_is_reported(transport: MemoryTransport, send: Send, make_result: MakeResult) -> None:
    """Its offsets mean other records."""
    send(frame(0.0))
    [found, _, _] = gather_evidence(transport, case(make_result, video=report([7, 9], 3)))
    assert found.missing == "3 of 3 records are missing: triptych.video 0 ends before offset 9; it was recreated since"


def test_a_held_frame_is_found(transport: MemoryTransport, send: Send, make_result: MakeResult) -> None:
    """It is the last frame of the last earlier window with frames. Without that window it is missing."""
    video = send(frame(-2.0), frame(-0.5), frame(-1.0))
    held = ModalityReport(state="held")
    [found, _, _] = gather_evidence(transport, case(make_result, report(video, 3), video=held))
    assert [item.media.id for item in found.items] == ["v-0.5"]
    [found, _, _] = gather_evidence(transport, case(make_result, video=held))
    assert "no longer among the results" in found.missing


@pytest.mark.parametrize("source", ["memory", "redis", "kafka"])
def test_a_result_is_found_by_its_id_in_every_source(
    source: str, request: pytest.FixtureRequest, make_result: MakeResult
) -> None:
    """With the report of the window whose frame is held. An unknown id is an error with a hint."""
    bench: Bench = request.getfixturevalue(f"{source}_bench")
    seen = report([3, 5], 3)
    held = Modalities(video=ModalityReport(state="held"), audio=NOTHING, subtitles=NOTHING)
    bench.publish(
        make_result(0, modalities=Modalities(video=report([0, 2], 3), audio=NOTHING, subtitles=NOTHING)),
        make_result(1, modalities=Modalities(video=seen, audio=NOTHING, subtitles=NOTHING)),
        make_result(2, modalities=held),
        make_result(3),
        # A late frame: its window has a new report, and the held frame is the same.
        make_result(
            1,
            id=f"{make_result(1).window}/1",
            revision=1,
            modalities=Modalities(video=report([3, 9], 4), audio=NOTHING, subtitles=NOTHING),
        ),
    )
    with bench.subscriber() as subscriber:
        found = find_evidence(subscriber, make_result(2).id)
        assert found.delivery.result == make_result(2, modalities=held)
        assert found.held == seen
        assert find_evidence(subscriber, make_result(3).id).held is None
        for revision in (0, 1):  # each has its own id
            found = find_evidence(subscriber, f"{make_result(1).window}/{revision}")
            assert found.delivery.result.revision == revision
        with pytest.raises(UsageError, match="--from kafka"):
            find_evidence(subscriber, make_result(9).id)
        with pytest.raises(UsageError, match="STREAM/START-END/REVISION"):
            find_evidence(subscriber, "../etc/passwd")


def test_the_evidence_of_a_completed_window_has_what_came_later(
    memory_bench: TopicBench, transport: MemoryTransport, send: Send, make_result: MakeResult
) -> None:
    """Each revision has its own: the first result what it had, the next one all of it."""
    first, _, rest = send(frame(0.0)), send(frame(2.5)), send(frame(0.5), frame(1.0))
    reports = {0: report(first, 1), 1: report([*first, *rest], 3)}
    window = make_result(0).window
    for revision, video in reports.items():
        modalities = Modalities(video=video, audio=NOTHING, subtitles=NOTHING)
        memory_bench.publish(
            make_result(0, id=f"{window}/{revision}", revision=revision, closed_by="quiet", modalities=modalities)
        )
    found = {}
    with memory_bench.subscriber() as subscriber:
        for revision in reports:
            [video, *_] = gather_evidence(transport, find_evidence(subscriber, f"{window}/{revision}"))
            assert video.missing == ""
            found[revision] = [item.media.id for item in video.items]

    assert found == {0: ["v0.0"], 1: ["v0.0", "v0.5", "v1.0"]}


def test_files_contain_the_original_bytes(
    transport: MemoryTransport, send: Send, make_result: MakeResult, tmp_path: Path
) -> None:
    """A file for each record, a list of them, the result, and the joined audio."""
    video, audio = send(frame(0.0, data=b"\xff\xd8picture")), send(chunk(-0.5, [1, 2, 3, 4]), chunk(1.0, [5, 6]))
    words = send(cue(0, 1, "grüezi"))
    reports = {"video": report(video, 1), "audio": report(audio, 2), "subtitles": report(words, 1)}
    found = case(make_result, **reports)
    write_evidence(tmp_path, found.delivery, gather_evidence(transport, found))
    assert (tmp_path / "video/0.jpg").read_bytes() == b"\xff\xd8picture"
    assert (tmp_path / "audio/1.wav").read_bytes() == chunk(1.0, [5, 6]).data
    assert (tmp_path / "subtitles/0.txt").read_text(encoding="utf-8") == "grüezi"
    assert (tmp_path / "result.json").read_bytes() == found.delivery.document
    listed = json.loads((tmp_path / "records.json").read_text(encoding="utf-8"))
    assert [record["file"] for record in listed] == ["video/0.jpg", "audio/0.wav", "audio/1.wav", "subtitles/0.txt"]
    assert {"topic", "partition", "offset", "arrival_ns", "start_ns", "session", "source"} <= listed[0].keys()
    with wave.open(str(tmp_path / "sound.wav")) as sound:
        frames = sound.readframes(99)
    assert [int.from_bytes(frames[at : at + 2], "little") for at in range(0, 16, 2)] == [3, 4, 0, 0, 5, 6, 0, 0]


def test_audio_of_different_formats_is_not_joined(make_result: MakeResult) -> None:
    """Two sample rates, or a codec other than WAV."""
    result = make_result(0)
    flac = chunk(1.0, [1]).model_copy(update={"content_type": "audio/flac"})
    broken = chunk(1.0, [1]).model_copy(update={"data": b"RIFF"})
    for other in (chunk(1.0, [1], rate_hz=8), flac, broken):
        assert joined_audio([chunk(0.0, [1, 2]), other], result) is None
    assert joined_audio([], result) is None


def test_evidence_is_not_mixed_with_other_files(tmp_path: Path) -> None:
    """It needs a new or empty folder."""
    check_folder(tmp_path / "new" / "one")
    (tmp_path / "mine").write_text("x", encoding="utf-8")
    for folder in (tmp_path, tmp_path / "mine"):
        with pytest.raises(UsageError, match="out: expected"):
            check_folder(folder)
