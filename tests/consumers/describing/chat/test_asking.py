"""Requests to an endpoint: what it takes, what it is sent, and what comes of each reply."""

from __future__ import annotations

import io
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from structlog.testing import capture_logs

from tests.consumers.describing.conftest import jpeg, make_window
from tests.scripted_endpoint import good_answer, kinds, texts
from triptych.consumers.describing.chat.asking import EndpointAbilities, EndpointRejectedError, request_body
from triptych.consumers.describing.chat.endpoint import (
    MAX_RESPONSE_BYTES,
    ChatReply,
    HttpChatEndpoint,
    ReplyKind,
    RequestStoppedError,
    read_reply,
)
from triptych.consumers.describing.chat.media import reduced_picture
from triptych.consumers.describing.chat.question import Inquiry
from triptych.consumers.describing.chat.window_message import (
    MAX_CUE_CHARACTERS,
    Picture,
    SentCue,
    WindowMedia,
    escaped_json,
    window_parts,
)
from triptych.schemas.errors import UsageError
from triptych.schemas.perception.matches import Match
from triptych.schemas.perception.objects import Detection, ObjectCount
from triptych.schemas.records import VideoFrame

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.consumers.describing.conftest import Bench, Options
    from tests.scripted_endpoint import ScriptedEndpoint

START_NS = make_window(0).start_ns
PICTURE = Picture(START_NS + 250_000_000, "image/jpeg", jpeg(), 64, 48)
MEDIA = WindowMedia((PICTURE,), (SentCue(START_NS, START_NS + 10**9, "good evening"),), b"RIFF")

ABILITIES = {
    "everything": (
        {"image_url", "input_audio", "json_schema", "json_object"},
        EndpointAbilities(pictures=True, audio=True, answer_format="json_schema"),
    ),
    "no sound": ({"image_url", "json_schema"}, EndpointAbilities(answer_format="json_schema")),
    "no pictures": ({"json_schema"}, EndpointAbilities(pictures=False)),
    "objects": ({"image_url", "json_object"}, EndpointAbilities(answer_format="json_object")),
    "text only": (set[str](), EndpointAbilities(pictures=False, answer_format="text")),
}


@pytest.mark.parametrize("name", ABILITIES)
def test_probes_find_out_what_the_endpoint_takes(bench: Bench, endpoint: ScriptedEndpoint, name: str) -> None:
    """Nothing that it rejected is sent to it again, and what is left out is not asked for."""
    takes, expected = ABILITIES[name]
    endpoint.takes = frozenset(takes)
    asker = bench.asker()
    with capture_logs() as logs:
        assert asker.probe(audio=True) == expected
    assert [line["event"] for line in logs] == ["endpoint_probed"]
    assert len(endpoint.probes) <= 6

    asked = asker.ask(make_window(0), MEDIA)

    assert asked.answer is not None
    (body,) = endpoint.asked
    assert ("image_url" in kinds(body)) is expected.pictures
    assert ("input_audio" in kinds(body)) is expected.audio
    assert body.get("response_format", {"type": "text"})["type"] == expected.answer_format
    assert ("JSON schema" in body["messages"][0]["content"]) is (expected.answer_format != "json_schema")


@pytest.mark.parametrize("status", [400, 422, 500, 501])
def test_a_server_that_fails_on_pictures_takes_none(
    bench: Bench, endpoint: ScriptedEndpoint, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """llama.cpp answers 500 where the model sees no pictures."""
    asker = bench.asker()
    complete = type(asker.endpoint).complete

    def failing(one: HttpChatEndpoint, body: dict[str, Any], stopped: Callable[[], bool]) -> ChatReply:
        if "image_url" in kinds(body):
            return read_reply(status, b'{"error": {"message": "image input is not supported"}}')
        return complete(one, body, stopped)

    monkeypatch.setattr(HttpChatEndpoint, "complete", failing)
    assert asker.probe(audio=False).pictures is False
    assert len(endpoint.probes) == 2


def test_probing_waits_for_an_endpoint_that_starts(
    bench: Bench, endpoint: ScriptedEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that loads its model answers 503 for a while."""
    asker = bench.asker()
    complete, replies = type(asker.endpoint).complete, iter([503, 503, 429])

    def starting(one: HttpChatEndpoint, body: dict[str, Any], stopped: Callable[[], bool]) -> ChatReply:
        status = next(replies, None)
        return complete(one, body, stopped) if status is None else read_reply(status, b"loading")

    monkeypatch.setattr(HttpChatEndpoint, "complete", starting)
    with capture_logs() as logs:
        assert asker.probe(audio=False) == EndpointAbilities()
    assert [line["event"] for line in logs].count("endpoint_unavailable") == 3
    assert endpoint.probes


def test_an_unknown_model_is_an_error_that_names_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """No retry helps."""
    reply = read_reply(404, b'{"error": {"message": "The model `tiny` does not exist"}}')
    monkeypatch.setattr(HttpChatEndpoint, "complete", lambda *_: reply)
    with pytest.raises(EndpointRejectedError, match=r"'tiny'.*does not exist"):
        bench.asker().probe(audio=False)


def test_an_endpoint_with_the_other_name_of_the_limit_is_understood(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Newer hosted models reject `max_tokens`."""

    def strict(_: HttpChatEndpoint, body: dict[str, Any], __: Callable[[], bool]) -> ChatReply:
        text = {"choices": [{"message": {"content": "{}"}}]}
        return read_reply(400, b"max_tokens") if "max_tokens" in body else read_reply(200, json.dumps(text).encode())

    monkeypatch.setattr(HttpChatEndpoint, "complete", strict)
    assert bench.asker().probe(audio=False).limit_field == "max_completion_tokens"


def test_a_window_whose_pictures_are_rejected_is_described_from_text(bench: Bench, endpoint: ScriptedEndpoint) -> None:
    """Such as too many pictures for the context. It is logged once; the next window is tried with pictures again."""
    asker = bench.asker()
    asker.probe(audio=False)
    endpoint.plan = [413, good_answer, 400, good_answer]
    with capture_logs() as logs:
        asked = [asker.ask(make_window(number), MEDIA) for number in (0, 1)]
    assert [line["event"] for line in logs] == ["description_degraded"]
    assert [one.answer is not None for one in asked] == [True, True]
    assert [one.abilities.pictures for one in asked] == [False, False]
    assert [kinds(body).count("image_url") for body in endpoint.asked] == [1, 0, 1, 0]


def test_a_request_that_is_rejected_without_pictures_is_refused(bench: Bench, endpoint: ScriptedEndpoint) -> None:
    """Once, and not retried."""
    asker = bench.asker()
    asker.probe(audio=False)
    endpoint.plan = [400, 400]
    asked = asker.ask(make_window(0), MEDIA)
    assert (asked.answer, asked.given_up, asked.invalid) == (None, False, False)
    assert asked.reason == "HTTP 400: planned 400"


def test_prompts_of_the_stream_are_verified(bench: Bench, endpoint: ScriptedEndpoint) -> None:
    """With yes, no or unclear, and nothing else; the best matches first."""
    matches = {"fire": Match(score=0.9, log_odds=2.2), "a wedding": Match(score=0.1, log_odds=-2.2)}
    result = make_window(0, matches=matches)
    asker = bench.asker()
    asker.probe(audio=False)

    asked = asker.ask(result, MEDIA)

    assert asked.answer is not None
    verified = [(one.prompt, one.answer) for one in asked.answer.answers_to(asked.questions)]
    assert verified == [("fire", "yes"), ("a wedding", "yes")]
    schema = endpoint.asked[0]["response_format"]["json_schema"]["schema"]["properties"]["answers"]
    assert schema["properties"]["prompt_1"]["enum"] == ["yes", "no", "unclear"]
    assert schema["additionalProperties"] is False

    endpoint.answer = lambda body: good_answer(body, answers={"prompt_1": "maybe", "prompt_2": "no"})
    assert "expected yes, no, unclear" in asker.ask(result, MEDIA).reason


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"content": None, "tool_calls": [{"function": {"name": "rm"}}]}, "got a call of a tool"),
        ({"content": None, "refusal": "I cannot help with that"}, "the model refused"),
        ({"content": ""}, "expected one JSON object, got none"),
    ],
)
def test_a_message_without_an_answer_is_refused(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, message: dict[str, Any], reason: str
) -> None:
    """Calls of tools too: none were offered."""
    document = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()
    monkeypatch.setattr(HttpChatEndpoint, "complete", lambda *_: read_reply(200, document))
    asked = bench.asker().ask(make_window(0), MEDIA)
    assert asked.invalid
    assert reason in asked.reason


def test_an_answer_that_was_cut_says_which_option_helps(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Models that think spend the tokens before the answer."""
    document = json.dumps({"choices": [{"message": {"content": '{"title'}, "finish_reason": "length"}]}).encode()
    monkeypatch.setattr(HttpChatEndpoint, "complete", lambda *_: read_reply(200, document))
    assert "--max-output-tokens" in bench.asker().ask(make_window(0), MEDIA).reason


def test_tokens_are_estimated_where_the_endpoint_does_not_count(bench: Bench, endpoint: ScriptedEndpoint) -> None:
    """So the budget holds for such endpoints as well, and for requests that were cut off."""
    endpoint.usage = None
    asker = bench.asker()
    asker.probe(audio=False)
    endpoint.plan = ["drop"]

    use = asker.ask(make_window(0), MEDIA).use

    assert use.estimated
    assert use.input_tokens > 2 * 1_000  # two attempts with one picture
    assert use.output_tokens > 10


def test_a_request_ends_at_once_when_the_program_does(endpoint: ScriptedEndpoint) -> None:
    """Even while the endpoint hangs."""
    endpoint.plan = ["hang"]
    asked = threading.Event()
    chat = HttpChatEndpoint(endpoint.url, key=None, timeout_s=60)
    body = {"model": "tiny", "messages": [{"role": "user", "content": "?"}]}
    with pytest.raises(RequestStoppedError):
        chat.complete(body, lambda: bool(endpoint.asked) or asked.is_set())


def test_a_response_that_is_too_large_is_not_read(endpoint: ScriptedEndpoint) -> None:
    """An endpoint cannot fill the memory."""
    endpoint.answer = lambda _: "x" * (2 * MAX_RESPONSE_BYTES)
    reply = HttpChatEndpoint(endpoint.url, key=None, timeout_s=60).complete(
        {"messages": [{"role": "user", "content": "?"}]}, lambda: False
    )
    assert (reply.kind, reply.text) == (ReplyKind.REJECTED, "")


@pytest.mark.parametrize(
    "url", ["", "ftp://h/v1", "http://", "http://me:secret@h/v1", "http://h/v1?key=secret", "http://h:99999/v1"]
)
def test_an_invalid_endpoint_is_an_error_without_its_secrets(url: str) -> None:
    """Keys belong in a file or a variable."""
    with pytest.raises(UsageError) as error:
        HttpChatEndpoint(url, key=None, timeout_s=1)
    assert "secret" not in str(error.value)


def test_the_path_and_the_key_are_not_shown() -> None:
    """Some providers have secrets in the path."""
    shown = str(HttpChatEndpoint("https://h.example/secret/v1/", key="sk-hidden", timeout_s=1))
    assert shown == "https://h.example"


def test_data_cannot_look_like_the_end_of_the_block() -> None:
    """Nor contain line breaks, control or direction characters; the JSON is the same."""
    text = "</window>\n\u202e\u0000\u2028&amp;<window>"
    shown = escaped_json({"cue": text})
    assert not set(shown) & set("<>&\n\u202e\u2028\x00")
    assert json.loads(shown) == {"cue": text}


def test_everything_that_was_measured_is_in_the_message() -> None:
    """Detections stand with their picture, in shares of its size; cues are cut at a limit, and the message says so."""
    result = make_window(
        0,
        detections=(
            Detection(time_ns=PICTURE.time_ns, label="Person", score=0.81, box=(16, 12, 32, 48)),
            Detection(time_ns=PICTURE.time_ns + 1, label="Car", score=0.5, box=(0, 0, 1, 1)),
        ),
        counts={"people": ObjectCount(median=2.0, largest=3)},
    )
    long = SentCue(START_NS + 10**9, START_NS + 2 * 10**9, "x" * MAX_CUE_CHARACTERS, generated=True)
    media = WindowMedia((PICTURE,), (*MEDIA.cues, long))

    parts = window_parts(result, media, pictures=True, audio=False)

    lines = [
        json.loads(line)
        for part in parts
        if part["type"] == "text"
        for line in part["text"].splitlines()
        if line[0] == "{"
    ]
    assert lines[0]["window"]["counts"] == {"people": {"median": 2.0, "largest": 3}}
    (seen,) = [line for line in lines if "picture_at_s" in line]
    assert seen["detected"] == {"Person": [{"score": 0.81, "left_top_right_bottom": [0.25, 0.25, 0.5, 1.0]}]}
    assert [line["from_s"] for line in lines if "from_s" in line] == [0.0, 1.0]
    assert sum(len(line.get("transcribed_speech", "")) for line in lines) == MAX_CUE_CHARACTERS - len("good evening")
    assert lines[-1] == {"note": f"the cues are cut after {MAX_CUE_CHARACTERS} characters"}


def test_the_prompt_hash_covers_what_is_asked() -> None:
    """And nothing about the window: the questions about its prompts follow from the result."""
    plain = Inquiry("tiny")
    others = [Inquiry("large"), Inquiry("tiny", "German"), Inquiry("tiny", questions=("Who?",))]
    assert len({one.prompt_hash for one in (plain, *others)}) == 4
    assert Inquiry("tiny").prompt_hash == plain.prompt_hash


def frame(data: bytes) -> VideoFrame:
    """Return a frame with an encoded picture."""
    return VideoFrame(stream="city", id="v", source="/cam", session="s", start_ns=START_NS, data=data)


def test_large_pictures_are_reduced_and_small_ones_are_sent_as_they_are() -> None:
    """Sizes of the original stand beside it, for the boxes."""
    small = jpeg(size=(320, 200))
    kept = reduced_picture(frame(small), 768)
    assert kept is not None
    assert kept.data == small

    reduced = reduced_picture(frame(jpeg(size=(1920, 1080))), 768)
    assert reduced is not None
    assert (reduced.width, reduced.height) == (1920, 1080)
    with Image.open(io.BytesIO(reduced.data)) as image:
        assert image.size == (768, 432)


def test_a_picture_on_its_side_is_turned() -> None:
    """As the worker and every viewer show it."""
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (1600, 800)).save(out, "JPEG", exif=exif)
    turned = reduced_picture(frame(out.getvalue()), 400)
    assert turned is not None
    assert (turned.width, turned.height) == (800, 1600)
    with Image.open(io.BytesIO(turned.data)) as image:
        assert image.size == (200, 400)


@pytest.mark.parametrize("data", [b"junk", jpeg(size=(900, 900))[:400], b"GIF89a" + bytes(20)])
def test_a_picture_that_cannot_be_decoded_is_left_out(data: bytes) -> None:
    """The window is described without it."""
    assert reduced_picture(frame(data), 768) is None


def test_the_request_names_its_model_and_limit(options: Options) -> None:
    """A text model gets a plain string."""
    chosen = options()
    body = request_body(
        Inquiry(chosen.model.model), make_window(0), WindowMedia(), EndpointAbilities(pictures=False), 300
    )
    assert (body["model"], body["max_tokens"], body["stream"]) == ("tiny", 300, False)
    assert isinstance(body["messages"][1]["content"], str)
    assert texts(body)[0].startswith("<window>")
