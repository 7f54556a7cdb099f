"""Which observations of a result are worth showing to a person: in a line, a table or on a page.

A result holds the five best of 1,000 labels, whatever is in the picture, and rules see all of them. A person is shown
those only that say something. The limits are measured: see docs/seen-and-heard.md.
"""

from __future__ import annotations

from typing import Final

from triptych.schemas.results import LabelScore, Observations, Result

SHOWN_LABEL_SCORE: Final = 0.8
"""Least score of a label that is shown."""
SHOWN_SOUND_SHARE: Final = 0.5
"""Least share of the window's audio of a sound that is shown."""

SHOWN_PERSON_SCORE: Final = 0.55
"""Least score of a person, in a window without a face, for which people are shown."""
SHOWN_OBJECT_SCORE: Final = 0.6
"""Least score of another object that is shown."""
_PEOPLE: Final = "people"

_SHOWN_SOUNDS: Final = frozenset({"music"})
"""Speech is shown by its share, silence by its flag of quality; singing is missed or mistaken too often."""
_NEVER_SHOWN: Final = frozenset(
    {
        "abaya",
        "academic gown",
        "apron",
        "bathing cap",
        "bikini",
        "bolo tie",
        "bow tie",
        "brassiere",
        "bulletproof vest",
        "cardigan",
        "cloak",
        "clog",
        "diaper",
        "feather boa",
        "fur coat",
        "gasmask",
        "gown",
        "groom",
        "hair slide",
        "hair spray",
        "hoopskirt",
        "jean",
        "jersey",
        "kimono",
        "lab coat",
        "lipstick",
        "maillot",
        "maillot tank suit",
        "mask",
        "military uniform",
        "miniskirt",
        "mitten",
        "neck brace",
        "overskirt",
        "oxygen mask",
        "pajama",
        "poncho",
        "sandal",
        "sarong",
        "shower cap",
        "ski mask",
        "sock",
        "stole",
        "suit",
        "sunglass",
        "sunglasses",
        "sweatshirt",
        "swimming trunks",
        "trench coat",
        "vestment",
        "wig",
        "Windsor tie",
    }
)
"""The labels for clothes and people, by their first name. They are what a picture of a person scores, since there is no
label for a person, and are seldom what a person would say of it."""


def shown_labels(observations: Observations) -> tuple[LabelScore, ...]:
    """Return the labels of the frames that are worth showing, best first, each by its first name."""
    named = (LabelScore(label=seen.label.split(",")[0], score=seen.score) for seen in observations.visual)
    return tuple(seen for seen in named if seen.score >= SHOWN_LABEL_SCORE and seen.label not in _NEVER_SHOWN)


def shown_sounds(observations: Observations) -> tuple[LabelScore, ...]:
    """Return the sounds beside speech that are worth showing, largest share first."""
    return tuple(
        heard for heard in observations.sound if heard.label in _SHOWN_SOUNDS and heard.score >= SHOWN_SOUND_SHARE
    )


def shown_counts(result: Result) -> dict[str, int]:
    """Return how many people and other objects are worth showing, in the picture that shows most of them, by label.

    The number is that of `counts`. A label is left out if even its best detection is doubtful. Persons and faces are
    counted as `people`. A result whose detections were too large to publish shows all its counts.
    """
    best: dict[str, float] = {}
    for detection in result.detections:
        best[detection.label] = max(best.get(detection.label, 0.0), detection.score)
    counts = {label: count.largest for label, count in (result.counts or {}).items() if count.largest}
    has_people = not best or "face" in best or best.get("person", 0.0) >= SHOWN_PERSON_SCORE
    return {
        label: number
        for label, number in counts.items()
        if (has_people if label == _PEOPLE else not best or best.get(label, 0.0) >= SHOWN_OBJECT_SCORE)
        and label not in {"person", "face"}
    }
