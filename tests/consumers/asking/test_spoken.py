"""What a recogniser hears is written as the parser of questions reads it."""

from __future__ import annotations

import pytest

from triptych.consumers.asking.spoken import prompt_for_questions, with_written_times


@pytest.mark.parametrize(
    ("heard", "written"),
    [
        ("What was shown at 1014-22?", "What was shown at 10:14:22?"),
        ("What was visible at 10-10-20?", "What was visible at 10:10:20?"),
        ("At 101020 what was said?", "At 10:10:20 what was said?"),
        ("What did someone say at 10-845?", "What did someone say at 10:08:45?"),
        ("What were they saying at 10, 12, 59?", "What were they saying at 10:12:59?"),
        ("At 10,1259, what was heard?", "At 10:12:59, what was heard?"),
        ("What was seen at 1056?", "What was seen at 10:56?"),
        ("Between 9.30 and 9.45?", "Between 9.30 and 09:45?"),
        ("What was seen at 10:14:22?", "What was seen at 10:14:22?"),
        ("From 7-05 until 23-10?", "From 07:05 until 23:10?"),
    ],
)
def test_times_of_day_are_written_with_colons(heard: str, written: str) -> None:
    """Whatever signs stand between the numbers, or none."""
    assert with_written_times(heard) == written


@pytest.mark.parametrize(
    "text",
    [
        "Were there about 100 people?",
        "How many dogs were seen after 3 cars?",
        "What was said since 2026?",
        "Was the number 1014 shown?",
        "What was shown at 9?",
        "What was shown at 99-14?",
        "Did more than 50% agree by 10?",
        "Did they count to 10, 3 times?",
        "什么时候有人提到银行",
    ],
)
def test_other_numbers_stay(text: str) -> None:
    """Counts, years and shares are no times."""
    assert with_written_times(text) == text


def test_the_prompt_has_the_names_of_the_index() -> None:
    """So many as Whisper reads."""
    assert prompt_for_questions(["car", "dog"]).endswith(" car, dog.")
    assert prompt_for_questions([]).endswith("14:02?")
    many = prompt_for_questions(f"thing-{number}" for number in range(1_000))
    assert "thing-99." in many
    assert "thing-100" not in many
