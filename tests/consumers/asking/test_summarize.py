"""Reports of a stream, hour by hour."""

from __future__ import annotations

import io
from itertools import count
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.consumers.conftest import START_NS, WINDOW_NS
from tests.consumers.searching.conftest import PIPELINE, SearchWorld
from tests.scripted_endpoint import scripted_endpoint
from triptych.cli import app
from triptych.consumers.asking.asker import Asker
from triptych.consumers.asking.lookup import AskScope, Occurrence
from triptych.consumers.asking.summarizing.hour_pictures import write_pictures
from triptych.consumers.asking.summarizing.report import escaped, report
from triptych.consumers.asking.summarizing.summary import hours_of, top_phrases
from triptych.consumers.searching.window_index import WindowIndex
from triptych.schemas.codec import encode
from triptych.schemas.errors import UsageError
from triptych.schemas.names import VIDEO_TOPIC
from triptych.schemas.perception.objects import ObjectCount
from triptych.schemas.records import VideoFrame
from triptych.schemas.results import Modalities, ModalityReport, Quality
from triptych.transport.records import Message
from triptych.transport.topic_settings import TopicSettings

HOUR = 1_800
"""Windows."""


@pytest.fixture
def city(world: SearchWorld) -> SearchWorld:
    """Two hours, one without anything between them."""
    dogs = {"dog": ObjectCount(median=1, largest=2), "people": ObjectCount(median=1, largest=4)}
    world.publish(
        world.result(0, "ANNA: The *bank* is closed, John Smith.", counts=dogs),
        world.result(1, "BEN: Why is the bank closed, John Smith?", counts=dogs),
        world.result(2, quality=Quality(flags=("black",))),
        world.result(2 * HOUR + 5, "今天银行关门"),
        world.result(2 * HOUR + 9, "明天银行开门"),
        world.result(3, "elsewhere", stream="harbour"),
    )
    world.index()
    return world


def test_a_report_sums_up_each_hour(city: SearchWorld) -> None:
    """With counts, first lines, what was said several times, and troubles. An hour without anything is left out."""
    done = CliRunner().invoke(app, ["summarize", "city", "--index", str(city.folder)])
    first, second = done.stdout.split("## ")[1:]
    assert first.startswith("2026-01-01 00:00:00")
    assert "- **People**: at most 4, 1 moment, 4 s, first at 00:00:00" in first
    assert "- **Seen**: dog (1 moment, 4 s, first at 00:00:00, at most 2)" in first
    assert "ANNA: The \\*bank\\* is closed" in first
    assert "John Smith (2)" in first
    assert "- **Quality**: black (1 moment, 2 s" in first
    assert second.startswith("2026-01-01 02:00:00")
    assert "银行 (2)" in second
    assert "elsewhere" not in done.stdout


def test_a_report_begins_with_its_stream_and_names_the_time_of_a_picture(world: SearchWorld) -> None:
    """Other streams began earlier, and what the picture shows came later in the hour."""
    people = {"people": ObjectCount(median=1, largest=4)}
    world.publish(
        world.result(0, "elsewhere", stream="harbour"),
        world.result(3, "good morning"),
        world.result(9, counts=people),
        world.result(40, "elsewhere", stream="harbour"),
    )
    world.index()
    hours = list(hours_of(Asker.open(world.folder).lookup, AskScope(("city",))))
    text = report("city", hours, {hours[0].start_ns: "city.jpg"}, {})
    assert "2026-01-01 00:00:06 to 2026-01-01 00:00:20 UTC, 1 hour." in text
    assert "![city at 2026-01-01 00:00:18](city.jpg)" in text
    done = CliRunner().invoke(app, ["summarize", "city", "--index", str(world.folder), "--from", "5h", "--to", "5h"])
    assert "--to: expected a time after that of --from" in str(done.exception)


def test_years_without_windows_take_no_time(city: SearchWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """One record with a wrong clock lies 56 years before the others."""
    city.publish(city.result(1 - START_NS // WINDOW_NS, "1970"))
    city.index()
    lookup = Asker.open(city.folder).lookup
    searches = count()
    search = type(WindowIndex.open(city.folder).table).search

    def counted(*args: object, **options: object) -> object:
        assert next(searches) < 50
        return search(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(type(WindowIndex.open(city.folder).table), "search", counted)
    hours = [hour.start_ns for hour in hours_of(lookup, AskScope(("city",)))]
    assert hours == [WINDOW_NS, START_NS, START_NS + 2 * HOUR * WINDOW_NS]


def test_a_report_of_a_part_goes_to_a_file(city: SearchWorld, tmp_path: Path) -> None:
    """A stream that the index does not have is an error that names those that it has."""
    file = tmp_path / "report.md"
    command = ["summarize", "--index", str(city.folder), "--from", "2026-01-01T01:00:00Z", "--to-file", str(file)]
    assert CliRunner().invoke(app, [*command, "city"]).exit_code == 0
    assert file.read_text(encoding="utf-8").count("## ") == 1
    assert "1 hour." in file.read_text(encoding="utf-8")
    unwritable = [*command[:-1], str(tmp_path / "none" / "report.md"), "city"]
    assert "cannot be written: No such file" in str(CliRunner().invoke(app, unwritable).exception)
    assert "(city, harbour), got 'west'" in str(CliRunner().invoke(app, [*command, "west"]).exception)


def test_a_model_words_an_hour_from_its_quotes(city: SearchWorld) -> None:
    """What nothing supports is dropped, and the report says so."""
    with scripted_endpoint() as endpoint:
        endpoint.answer = lambda _: "A dog was visible [1].\nThe moon is made of cheese [1]."
        model = ["--endpoint", endpoint.url, "--model", "m"]
        done = CliRunner().invoke(app, ["summarize", "city", "--index", str(city.folder), *model])
    # In the first hour, [1] is the cue of its first window: a cue supports no dog.
    assert "moon" not in done.stdout
    assert "sentences of the language model were dropped" in done.stdout


def test_pictures_are_fetched_as_jpeg(world: SearchWorld, tmp_path: Path) -> None:
    """Of the moment that shows most, from the records behind its result."""
    world.transport.admin().create([TopicSettings(VIDEO_TOPIC, partitions=1, replication=1)])
    out = io.BytesIO()
    Image.new("RGB", (32, 16), "red").save(out, "PNG")
    frame = VideoFrame(
        stream="city",
        id="v",
        source="/cam",
        session="s",
        start_ns=START_NS,
        data=out.getvalue(),
        content_type="image/png",
    )
    publisher = world.transport.publisher()
    offset = publisher.send(Message(VIDEO_TOPIC, *encode(frame))).result(5).offset
    publisher.close(5)
    absent = ModalityReport(state="absent")
    video = ModalityReport(state="present", items=1, used=1, partition=0, offsets=(offset, offset))
    people = {"people": ObjectCount(median=1, largest=4)}
    world.publish(
        world.result(0, counts=people, modalities=Modalities(video=video, audio=absent, subtitles=absent)),
        world.result(2 * HOUR, counts=people),
    )
    world.index()
    lookup = Asker.open(world.folder).lookup
    wanted = {
        hour.start_ns: hour.best_moment.results[0] for hour in hours_of(lookup, AskScope(("city",))) if hour.best_moment
    }
    since_ns = lookup.published_since(tuple(wanted.values()))
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(UsageError, match=r"--pictures: .*file: expected a folder"):
        write_pictures(world.transport, PIPELINE, wanted, since_ns, tmp_path / "file")
    found = write_pictures(world.transport, PIPELINE, wanted, since_ns, tmp_path / "pictures")
    assert list(found) == [START_NS]
    with Image.open(found[START_NS]) as image:
        assert (image.format, image.size) == ("JPEG", (32, 16))


def test_phrases_are_the_longest_that_several_cues_have() -> None:
    """Names as a whole, words without their speakers."""
    cues = [
        Occurrence("city", number, number + 1, (), text)
        for number, text in enumerate(["CARLA: Ask John Smith today", "CARLA: Ask John Smith now, quickly", "quickly"])
    ]
    assert top_phrases(cues) == [("John Smith", 2), ("quickly", 2)]


def test_texts_of_feeds_are_no_markdown() -> None:
    """Nor several lines, nor HTML."""
    assert escaped("# a\n[b](c) <img> *d*") == r"\# a \[b\]\(c\) \<img\> \*d\*"
