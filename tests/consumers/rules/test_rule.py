"""Which results a rule matches, and how invalid rules are rejected."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from triptych.consumers.rules.names import RULE_NAMES
from triptych.consumers.rules.rule import Rule
from triptych.schemas.errors import UsageError
from triptych.schemas.perception.matches import Match
from triptych.schemas.perception.objects import Detection, ObjectCount
from triptych.schemas.results import LabelScore, Observations, Prediction, Words

if TYPE_CHECKING:
    from tests.consumers.conftest import MakeResult
    from triptych.schemas.results import Result

SAID = Observations(
    visual=(LabelScore(label="golden retriever, dog", score=0.6), LabelScore(label="hot dog", score=0.2)),
    sound=(LabelScore(label="Bark", score=0.9),),
    speech_share=0.83,
    loudness_lufs=-21.4,
    words=(Words(text="Don't panic! 城市在下雨", start_ns=1, end_ns=2),),
    language="eng",
)


COUNTS = {
    "car": ObjectCount(median=1.0, largest=3),
    "dog": ObjectCount(median=0.0, largest=0, passages=1),
    "face": ObjectCount(median=1.0, largest=1),
    "people": ObjectCount(median=1.5, largest=2),
    "person": ObjectCount(median=1.5, largest=2),
}
CAR = Detection(time_ns=1, label="car", score=0.6, box=(0, 0, 9, 9))


@pytest.fixture(scope="session")
def full(make_result: MakeResult) -> Result:
    """Return a result with all fields."""
    predictions: dict[str, Any] = {"scene": (Prediction(label="street", score=0.7),)}
    matches = {"fire": Match(score=0.95, log_odds=2.9, quantile=0.99), "fire-truck": Match(score=0.1, log_odds=-2.2)}
    seen: dict[str, Any] = {"counts": COUNTS, "detections": (CAR,) * 3}
    return make_result(0, observations=SAID, predictions=predictions, novelty=0.4, matches=matches, **seen)


@pytest.fixture(scope="session")
def bare(make_result: MakeResult) -> Result:
    """Return a result without optional fields."""
    return make_result(0, observations=Observations(), arrival_ms={})


def test_rules_see_all_sounds_with_their_shares(make_result: MakeResult) -> None:
    """Also those that no line shows."""
    sound = (LabelScore(label="music", score=0.6), LabelScore(label="singing", score=0.1))
    heard = make_result(0, observations=Observations(sound=sound))
    for rule in ("'music' in sound", "sound['music'] > .5", "sound['singing'] == .1 and sound['silence'] == 0"):
        assert Rule(rule).matches(heard)
    for rule in ("'silence' in sound", "sound['music'] > .7", "sound['speech'] > 0"):
        assert not Rule(rule).matches(heard)


@pytest.mark.parametrize(
    "rule",
    [
        "speech > .5 and 'dog' in visual",
        "'Golden Retriever' in visual",
        "visual['dog'] == .6 and visual['cat'] == 0",
        "'bark' in sound or speech < 0.1",
        "'panic' in words and 'pan' not in words",
        "'下雨' in words",
        "-30 < loudness < -20",
        "(speech + novelty) / 2 > 0.6",
        "predictions['scene']['street'] > .5 and predictions['mood']['sad'] == 0",
        "'scene' in predictions",
        "matches['fire'] > .9 and quantiles['fire'] > .95",
        "'fire' in matches and 'Fire' not in matches and matches['dogs'] is None",
        "matches['fire-truck'] < .5 and quantiles['fire-truck'] is None and matches",
        "stream in ('city', 'gate-3') and video == 'present' and not audio != 'empty'",
        "closed_by == 'progress' and language == 'eng'",
        "revision == 0 and skipped == 0 and dead == 0 and lag < 1",
        "end - start == 2",
        "visual",
        "speech >\n .5",
        "people > 1 and people == 2 and faces == 1",
        "counts['car'] > 2 and counts['Person'] == 2 and counts['zebra'] == 0 and counts",
        "'car' in counts and not 'dog' in counts",
        "'dog' not in detections and 'car' in detections and detections['car'] > .5",
    ],
)
def test_rules_that_match(full: Result, rule: str) -> None:
    """Names, comparisons, phrases, arithmetic."""
    assert Rule(rule).matches(full)
    assert not Rule(f"not ({rule})").matches(full)


@pytest.mark.parametrize(
    "rule",
    [
        "speech > 0",
        "speech <= 1",
        "-loudness < 100",
        "novelty + 1 > 0",
        "'dog' in visual",
        "visual",
        "language in words",
        "visual[language] > 0",
        "'en' in language",
        "speech == 0",
        "lag < 100 and lag > -100",
        "1 / 0 > 0",
        "people >= 0",
        "counts['car'] == 0 or counts['car'] < 1",
        "counts[language] == 0",
        "'car' in counts",
        "counts",
        "'person' in detections",
    ],
)
def test_a_missing_value_matches_no_comparison(bare: Result, rule: str) -> None:
    """It is neither larger nor smaller than anything, nor equal to zero."""
    assert not Rule(rule).matches(bare)


def test_a_missing_value_can_be_tested_for(bare: Result, full: Result) -> None:
    """By None."""
    assert Rule("speech is None and loudness == None").matches(bare)
    assert not Rule("speech is None").matches(full)


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        ("speach > .5", "column 1: expected a name of a result, got 'speach'; did you mean speech?"),
        ("speech > .5 and 'dog' in visuals", "column 26: expected a name of a result, got 'visuals'"),
        ("'é' in words and speach", "column 18: "),
        ("speech >", "column 9: invalid syntax"),
        ("", "expected a condition such as"),
        ("speech > .5 and (visual > .3)", "column 18: expected a number, got 'visual > .3'"),
        ("speech > 'loud'", "column 1: expected a number"),
        ("visual == 'dog'", "column 1: expected labels or words after in"),
        ("matches > .9", "column 1: expected a number"),
        ("matches[0] > .9", "column 1: expected a text in quotes"),
        ("stream[0] == 'c'", "column 1: expected labels, words, counts or matches before the bracket"),
        ("counts == 2", "column 1: expected labels or words after in"),
        ("counts[1] > 2", "column 1: expected a text in quotes"),
        ("words[1] > 0", "column 1: expected a text in quotes"),
        ("True or 'dog' in 5", "column 9: expected 'text' in labels or words"),
        ("(visual and stream) > 1", "column 1: expected a number"),
        ("9" * 1001, "at most 1000 characters"),
        ("-" * 500 + "1", "at most 40 levels"),
        ("(" * 300 + "1" + ")" * 300, "too many nested parentheses"),
        ("b'x' in words", "column 1: expected a number, 'text', True, False or None"),
        ("2 ** 99999999 > speech", "column 1: expected only names"),
    ],
)
def test_an_invalid_rule_is_rejected_with_the_position(rule: str, complaint: str) -> None:
    """Before the first result, also in a part that no result would reach."""
    with pytest.raises(UsageError) as refused:
        Rule(rule)
    assert complaint in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "rule",
    [
        "__import__('os').system('true')",
        "stream.__class__",
        "().__class__.__bases__",
        "stream.format(1)",
        "open('x')",
        "[x for x in words]",
        "(lambda: 1)()",
        "(speech := 1)",
        "f'{speech}'",
        "{'a': 1}",
        "'a' % speech",
        "1 if speech else 2",
        "words['a':'b']",
        "print",
        "await speech",
        "*words,",
    ],
)
def test_other_python_expressions_are_rejected(rule: str) -> None:
    """Calls, attributes, comprehensions, and everything that could reach beyond the result."""
    with pytest.raises(UsageError, match="where"):
        Rule(rule)


def _joined(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    signs = ["and", "or", "<", ">=", "==", "!=", "in", "not in", "is", "+", "-", "*", "/"]
    return st.one_of(
        st.builds("({} {} {})".format, parts, st.sampled_from(signs), parts),
        st.builds("{} {}".format, st.sampled_from(["not", "-"]), parts),
        st.builds("{}[{}]".format, parts, parts),
        st.builds("({}, {})".format, parts, parts),
    )


RULES = st.recursive(st.sampled_from([*RULE_NAMES, "'dog'", "'---'", "1", "0", "0.5", "None", "True", "''"]), _joined)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(rule=RULES)
def test_a_valid_rule_never_fails(full: Result, bare: Result, rule: str) -> None:
    """Every mistake is found when the rule is created, and reported with its position."""
    try:
        taken = Rule(rule)
    except UsageError as refused:
        assert str(refused).startswith("where")  # noqa: PT017 - both ends of this are right
        return
    assert taken.matches(full) in {True, False}
    assert taken.matches(bare) in {True, False}


def test_every_name_is_documented() -> None:
    """In docs/rules.md."""
    document = (Path(__file__).parents[3] / "docs" / "rules.md").read_text(encoding="utf-8")
    assert not [name for name in RULE_NAMES if f"| `{name}` |" not in document]
