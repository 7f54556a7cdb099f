"""Subscribe to results, search, ask and recommend from Python: `Subscriber`, `MomentSearch`, `Asker`, `Recommender`.

`to_arrow` and `to_pandas` make tables of results.
Each name is imported from its module on first use, so importing this package is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from triptych.consumers.asking.answer import Answer
    from triptych.consumers.asking.asker import Asker
    from triptych.consumers.exporting.result_table import to_arrow, to_pandas
    from triptych.consumers.recommending.opening import open_recommender
    from triptych.consumers.recommending.pseudonyms import Pseudonyms
    from triptych.consumers.recommending.recommender import RecommendationQuery, Recommender
    from triptych.consumers.rules.rule import Rule
    from triptych.consumers.searching.search import MomentQuery, MomentSearch
    from triptych.consumers.subscription.async_subscriber import AsyncSubscriber
    from triptych.consumers.subscription.description_subscriber import DescriptionSubscriber
    from triptych.consumers.subscription.subscriber import Subscriber
    from triptych.schemas.perception.descriptions import Description
    from triptych.schemas.results import Result

__all__ = [
    "Answer",
    "Asker",
    "AsyncSubscriber",
    "Description",
    "DescriptionSubscriber",
    "MomentQuery",
    "MomentSearch",
    "Pseudonyms",
    "RecommendationQuery",
    "Recommender",
    "Result",
    "Rule",
    "Subscriber",
    "open_recommender",
    "to_arrow",
    "to_pandas",
]

_MODULES = {
    "Answer": "triptych.consumers.asking.answer",
    "Asker": "triptych.consumers.asking.asker",
    "AsyncSubscriber": "triptych.consumers.subscription.async_subscriber",
    "Description": "triptych.schemas.perception.descriptions",
    "DescriptionSubscriber": "triptych.consumers.subscription.description_subscriber",
    "MomentQuery": "triptych.consumers.searching.search",
    "MomentSearch": "triptych.consumers.searching.search",
    "Pseudonyms": "triptych.consumers.recommending.pseudonyms",
    "RecommendationQuery": "triptych.consumers.recommending.recommender",
    "Recommender": "triptych.consumers.recommending.recommender",
    "Result": "triptych.schemas.results",
    "Rule": "triptych.consumers.rules.rule",
    "Subscriber": "triptych.consumers.subscription.subscriber",
    "open_recommender": "triptych.consumers.recommending.opening",
    "to_arrow": "triptych.consumers.exporting.result_table",
    "to_pandas": "triptych.consumers.exporting.result_table",
}


def __getattr__(name: str) -> object:
    """Import a public name from its module on first use."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
