"""A doubtful person counts only with a face of its own."""

from __future__ import annotations

from triptych.models.detection.boxes import FoundBox
from triptych.models.detection.persons import drop_doubtful_persons

FACE = FoundBox("face", 0.9, (0.4, 0.2, 0.5, 0.3))
AROUND = (0.3, 0.1, 0.6, 0.9)


def kept(*found: FoundBox) -> list[FoundBox]:
    """Return what is kept with a threshold of 0.4."""
    return drop_doubtful_persons(found, 0.4)


def person(score: float, box: tuple[float, float, float, float] = AROUND) -> FoundBox:
    """Return a person around the face."""
    return FoundBox("person", score, box)


def test_a_doubtful_person_without_a_face_is_dropped() -> None:
    """Other labels are not."""
    car = FoundBox("car", 0.3, AROUND)
    assert kept(person(0.39), car) == [car]


def test_a_certain_person_needs_no_face() -> None:
    """It may be seen from behind."""
    assert kept(person(0.4)) == [person(0.4)]


def test_a_face_confirms_a_doubtful_person() -> None:
    """In the upper half of its box."""
    assert kept(person(0.2), FACE) == [FACE, person(0.2)]


def test_a_face_elsewhere_confirms_nothing() -> None:
    """Beside the person, or at its feet."""
    beside, above = (0.6, 0.1, 0.9, 0.9), (0.3, 0.0, 0.6, 0.3)
    assert kept(person(0.2, beside), person(0.2, above), FACE) == [FACE]


def test_a_face_confirms_the_better_of_two_persons() -> None:
    """Only one of them."""
    other = (0.35, 0.1, 0.7, 0.9)
    assert kept(person(0.2, other), FACE, person(0.3)) == [FACE, person(0.3)]


def test_a_certain_person_has_its_face_for_itself() -> None:
    """So a doubtful one around the same face is dropped."""
    assert kept(person(0.3), FACE, person(0.6)) == [FACE, person(0.6)]
