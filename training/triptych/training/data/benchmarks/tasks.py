"""The rules of the five generated benchmarks: their labels, and what each modality shows. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from itertools import permutations

from triptych.training.data.benchmarks.rules import Factor, RenderedFactors, Rules, uniform

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
MOODS = ("negative", "neutral", "positive")
COLOURS = ("red", "green", "blue", "yellow")
OPERATIONS = ("report", "plus one", "minus one")
NOTHING = len(DIGITS)
"""Value of a digit component in a modality that shows no digit."""

_ERROR = Fraction(2, 5)
_STEPS = (0, 1, -1)
_ARRANGEMENTS = tuple(permutations(range(len(COLOURS))))
_WITNESSES = ("video/digit", "audio/digit", "text/digit")


def sentiment_rules() -> Rules:
    """Text, face and voice are each negative, neutral or positive. The label is the sign of their sum."""
    return _sentiment("sentiment", ("video/face", "audio/voice", "text/words"))


def sentiment_pair_rules() -> Rules:
    """The same with text and face only: text beside an image."""
    return _sentiment("sentiment-pair", ("video/face", "text/words"))


def quorum_rules() -> Rules:
    """Three modalities show one digit. Each is wrong with probability 0.4, independently of the others."""

    def show(values: Mapping[str, int]) -> RenderedFactors:
        digit = values["digit"]
        return RenderedFactors(digit, {part: (digit + values[part]) % len(DIGITS) for part in _WITNESSES})

    wrong = (_ERROR / (len(DIGITS) - 1),) * (len(DIGITS) - 1)
    return Rules(
        name="quorum",
        labels=DIGITS,
        parts=dict.fromkeys(_WITNESSES, DIGITS),
        factors=(
            Factor("digit", uniform(len(DIGITS))),
            *(Factor(part, (1 - _ERROR, *wrong)) for part in _WITNESSES),  # the error of each modality
        ),
        show=show,
    )


def refer_rules() -> Rules:
    """Four digits have borders in four colours. The voice names a colour, and the text an operation on its digit.

    Only the binding of a frame to the colour word gives the label.
    """
    places = range(len(COLOURS))

    def show(values: Mapping[str, int]) -> RenderedFactors:
        digits = [values[f"digit {place}"] for place in places]
        borders = _ARRANGEMENTS[values["arrangement"]]
        digit = digits[borders.index(values["colour"])]
        return RenderedFactors(
            target=(digit + _STEPS[values["operation"]]) % len(DIGITS),
            parts={f"video/digit/{place}": digits[place] for place in places}
            | {f"video/border/{place}": borders[place] for place in places}
            | {"audio/colour": values["colour"], "text/operation": values["operation"]},
        )

    return Rules(
        name="refer",
        labels=DIGITS,
        parts={f"video/digit/{place}": DIGITS for place in places}
        | {f"video/border/{place}": COLOURS for place in places}
        | {"audio/colour": COLOURS, "text/operation": OPERATIONS},
        factors=(
            *(Factor(f"digit {place}", uniform(len(DIGITS))) for place in places),
            # Digits and the named colour are independent of the arrangement of the colours.
            Factor("arrangement", uniform(len(_ARRANGEMENTS)), symmetric=True),
            Factor("colour", uniform(len(COLOURS))),
            Factor("operation", uniform(len(OPERATIONS))),
        ),
        show=show,
    )


def decider_rules() -> Rules:
    """One random modality shows the digit. The two others show objects or fillers without information."""

    def show(values: Mapping[str, int]) -> RenderedFactors:
        parts = {
            part: values["digit"] if place == values["decider"] else NOTHING for place, part in enumerate(_WITNESSES)
        }
        return RenderedFactors(values["digit"], {"decider": values["decider"]} | parts)

    return Rules(
        name="decider",
        labels=DIGITS,
        parts={"decider": ("video", "audio", "text")} | dict.fromkeys(_WITNESSES, (*DIGITS, "nothing")),
        factors=(Factor("decider", uniform(len(_WITNESSES))), Factor("digit", uniform(len(DIGITS)))),
        show=show,
    )


def _sentiment(name: str, parts: tuple[str, ...]) -> Rules:
    def show(values: Mapping[str, int]) -> RenderedFactors:
        total = sum(values[part] - 1 for part in parts)
        return RenderedFactors((total > 0) - (total < 0) + 1, dict(values))

    return Rules(
        name=name,
        labels=MOODS,
        parts=dict.fromkeys(parts, MOODS),
        factors=tuple(Factor(part, uniform(len(MOODS))) for part in parts),
        show=show,
    )


RULES = {
    rules.name: rules
    for rules in (sentiment_rules(), sentiment_pair_rules(), quorum_rules(), refer_rules(), decider_rules())
}
