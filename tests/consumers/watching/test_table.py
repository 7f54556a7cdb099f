"""The text of results: the table at every width, and the line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from rich.cells import cell_len
from rich.console import Console

from triptych.consumers.watching.table import ResultsTable, result_line
from triptych.schemas.names import result_id
from triptych.schemas.perception.matches import Match
from triptych.schemas.perception.objects import Detection, ObjectCount
from triptych.schemas.results import LabelScore, Modalities, ModalityReport, Observations, Prediction, Shed, Words

if TYPE_CHECKING:
    from tests.consumers.conftest import MakeResult
    from triptych.schemas.results import Result


def render(*results: Result, width: int = 140, height: int = 30) -> str:
    """Return the table as plain text."""
    table = ResultsTable()
    for result in results:
        table.add(result)
    console = Console(width=width, height=height, force_terminal=False, color_system=None)
    with console.capture() as captured:
        console.print(table)
    return captured.get()


def row(text: str, stream: str) -> str:
    """Return the row of a stream."""
    [found] = [line for line in text.splitlines() if line.strip().startswith(stream)]
    return found


@pytest.mark.parametrize("width", [60, 80, 100, 140, 200])
def test_it_fits_the_width_and_every_stream_has_one_row(make_result: MakeResult, width: int) -> None:
    """Nothing wraps; long text is cut."""
    long = make_result(0, "a-stream-whose-name-" + "x" * 100, observations=Observations(speech_share=1.0))
    text = render(make_result(0), make_result(1), long, width=width)
    lines = text.splitlines()
    assert all(cell_len(line) <= width for line in lines)
    assert len([line for line in lines if "00:00:0" in line]) == 2
    assert "00:00:02" in row(text, "city")


def test_the_widest_table_shows_everything(make_result: MakeResult) -> None:
    """Window, states, labels, speech, loudness, words, why it closed, and the lag."""
    found = row(render(make_result(1, skipped=3), width=200), "city")
    for part in (
        "2026-01-01 00:00:02 +2 s",
        "● ○ -",
        "tabby cat 81%",
        "speech 83%",
        "-21.4",
        "the city was asleep",
        "progress, 3 skipped",
        "0.2 s",
    ):
        assert part in found


def test_matches_that_are_probable_are_shown_first(make_result: MakeResult) -> None:
    """In the table and in the line, best first; the others not at all."""
    scores = {"dogs": 0.5, "fire": 0.97, "smoke": 0.49}
    matched = make_result(1, matches={name: Match(score=score, log_odds=0) for name, score in scores.items()})
    for text in (row(render(matched, width=200), "city"), result_line(matched)):
        assert "fire! 97%, dogs! 50%" in text
        assert text.index("fire") < text.index("tabby")
        assert "smoke" not in text


def test_missing_values_are_dashes(make_result: MakeResult) -> None:
    """For example in an empty window."""
    nothing = ModalityReport(state="empty")
    empty = make_result(
        0,
        observations=Observations(),
        arrival_ms={},
        closed_by="idle",
        modalities=Modalities(video=nothing, audio=nothing, subtitles=nothing),
    )
    assert row(render(empty), "city").split() == ["city", "00:00:00", "○", "○", "○", "-", "-", "-", "idle", "-"]
    assert result_line(empty) == "city  2026-01-01 00:00:00 +2 s  V A S ○ ○ ○  idle, lag -"


def test_a_revision_is_marked(make_result: MakeResult) -> None:
    """At every width."""
    revised = make_result(0, id=f"{make_result(0).window}/2", revision=2)
    assert " r2," in result_line(revised)
    for width in (80, 120, 200):
        text = render(revised, width=width)
        assert " r2" in row(text, "city")
        assert ", 1 revisions" in text


def test_a_late_revision_does_not_replace_a_newer_window(make_result: MakeResult) -> None:
    """It is counted only."""
    old = make_result(0)
    revised = make_result(0, id=result_id("city", old.start_ns, old.end_ns, 1), revision=1)
    text = render(old, make_result(1), revised)
    assert "00:00:02" in row(text, "city")
    assert "2 windows of 1 streams, 1 revisions" in text
    assert "00:00:00" in row(render(old, revised), "city")


def test_a_completed_window_takes_the_place_of_its_first_result(make_result: MakeResult) -> None:
    """After an outage: one row, one window, and why there is a second result. By `revise` it is called otherwise."""
    hollow = make_result(0, closed_by="quiet", observations=Observations())
    completed = make_result(0, id=f"{hollow.window}/1", revision=1, closed_by="quiet")
    text = render(hollow, completed, width=200)
    assert "quiet, completed r1" in row(text, "city")
    assert "the city was asleep" in row(text, "city")
    assert "1 windows of 1 streams, 1 revisions" in text
    assert "quiet, completed r1" in result_line(completed)
    assert "progress, revised r1" in result_line(completed.model_copy(update={"closed_by": "progress"}))


def test_if_not_all_streams_fit_the_most_recent_are_shown(make_result: MakeResult) -> None:
    """With the number of hidden ones."""
    text = render(*(make_result(0, f"s{number:03}") for number in range(50)), height=17)
    assert "s049" in text
    assert "s000" not in text
    assert "40 of them not shown" in text
    assert len(text.splitlines()) <= 17


def test_labels_that_say_nothing_and_clothes_are_not_shown(make_result: MakeResult) -> None:
    """At every width and in the line; the result keeps them."""
    seen = (LabelScore(label="tabby, tabby cat", score=0.81), LabelScore(label="studio couch, day bed", score=0.11))
    dressed = (LabelScore(label="brassiere, bra, bandeau", score=0.92), LabelScore(label="wool", score=0.08))
    for width in (80, 120, 200):
        found = row(render(make_result(0, observations=Observations(visual=seen)), width=width), "city")
        assert "tabby 81%" in found
        assert "couch" not in found
        assert "brassiere" not in render(make_result(0, observations=Observations(visual=dressed)), width=width)
    assert "brassiere" not in result_line(make_result(0, observations=Observations(visual=dressed)))


def test_music_is_shown_beside_speech(make_result: MakeResult) -> None:
    """Where it fills half the window. Singing is mistaken too often."""
    sound = (
        LabelScore(label="music", score=0.97),
        LabelScore(label="singing", score=0.9),
        LabelScore(label="speech", score=0.4),
    )
    narrated = make_result(0, observations=Observations(sound=sound, speech_share=0.4))
    assert "speech 40%, music 97%" in row(render(narrated, width=200), "city")
    assert "speech 40%, music 97%  " in result_line(narrated)
    assert "singing" not in result_line(narrated)
    faint = (LabelScore(label="music", score=0.45),)
    assert "music" not in result_line(make_result(0, observations=Observations(sound=faint)))


def test_a_label_is_shown_by_its_first_synonym(make_result: MakeResult) -> None:
    """ImageNet labels list several."""
    seen = (LabelScore(label="wood rabbit, cottontail, cottontail rabbit", score=0.8),)
    assert "wood rabbit 80%" in result_line(make_result(0, observations=Observations(visual=seen)))


def test_predictions_of_trained_heads_are_shown_first(make_result: MakeResult) -> None:
    """With the confidence; for regression, the number."""
    mood = (Prediction(label="glad", score=0.9, confidence=0.8), Prediction(label="sad", score=0.1, confidence=0.2))
    valence = (Prediction(label="valence", score=-1.25),)
    line = result_line(make_result(0, predictions={"mood": mood, "valence": valence}))

    assert "mood: glad 80%, valence -1.25" in line


def test_people_and_the_most_frequent_objects_are_shown(make_result: MakeResult) -> None:
    """In the picture that shows most of them. Persons and faces are people; labels with passages only are absent."""
    numbers = {"person": 2, "face": 3, "people": 3, "chair": 1, "car": 4, "bottle": 1, "book": 1, "dog": 0}
    counts = {label: ObjectCount(median=0.0, largest=number, passages=1) for label, number in numbers.items()}
    result = make_result(0, counts=counts)
    assert "people 3, car 4, book 1, bottle 1  tabby cat 81%" in result_line(result)
    assert "people 3, car 4, book 1" in row(render(result, width=160), "city")
    assert "people" not in result_line(make_result(0, counts={"dog": counts["dog"]}))


@pytest.mark.parametrize(
    ("detected", "shown"),
    [
        ([("person", 0.54)], ""),
        ([("person", 0.55)], "people 1"),
        ([("person", 0.3), ("face", 0.5)], "people 1"),
        ([("footwear", 0.59)], ""),
        ([("footwear", 0.6)], "footwear 1"),
    ],
)
def test_doubtful_objects_are_not_shown(make_result: MakeResult, detected: list[tuple[str, float]], shown: str) -> None:
    """They stay in the result, where rules see them. A face makes a doubtful person certain."""
    labels = {label for label, _ in detected}
    names = labels | ({"people"} if labels & {"person", "face"} else set())
    counts = {label: ObjectCount(median=1.0, largest=1) for label in names}
    detections = tuple(Detection(time_ns=0, label=label, score=score, box=(0, 0, 9, 9)) for label, score in detected)
    line = result_line(make_result(0, counts=counts, detections=detections))
    assert ("people" in line or "footwear" in line) == bool(shown)
    assert shown in line


def test_load_shedding_is_shown(make_result: MakeResult) -> None:
    """Frames, pictures for detectors, or the whole model."""
    line = result_line(make_result(0, shed=Shed(video=3, detections=1)))
    assert "progress, 3 frames and 1 pictures for detection shed" in line
    assert "progress, 3 frames shed" in result_line(make_result(0, shed=Shed(video=3)))
    assert "progress, model not run" in result_line(make_result(0, shed=Shed(video=4, audio=4, model=True)))


def test_text_from_speech_recognition_is_marked(make_result: MakeResult) -> None:
    """It may be wrong."""
    heard = Words(text="crown jewels", start_ns=0, end_ns=1, generated=True, generated_by="whisper-tiny.en")
    result = make_result(0, observations=Observations(words=(heard, Words(text="then", start_ns=0, end_ns=1))))
    assert "“≈ crown jewels / then”" in result_line(result)
    assert "≈ crown jewels / then" in render(result, width=200)


def test_words_cannot_control_the_terminal(make_result: MakeResult) -> None:
    """Control characters, line breaks, text direction and markup are untrusted input."""
    evil = "[bold]a\x1b[31mb\nc\u202ed\x9be"
    words = (Words(text=evil, start_ns=0, end_ns=1), Words(text="then", start_ns=0, end_ns=1))
    result = make_result(0, observations=Observations(words=words))
    assert "[bold]a [31mb c d e / then" in result_line(result)
    assert "[bold]a [31mb c d e / then" in render(result, width=200)
