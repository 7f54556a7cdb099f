"""Feeds with dogs, banks and music for questions, and the index of them."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from triptych.consumers.asking.lookup import IndexLookup
from triptych.consumers.page.web.access import PageUser, Users, granted_roles, token_hash
from triptych.consumers.page.web.gate import AccessRules
from triptych.consumers.page.web.login import Sessions
from triptych.consumers.searching.indexing import IndexLoop, Retention
from triptych.consumers.searching.window_index import index_writer
from triptych.schemas.perception.matches import Match
from triptych.schemas.perception.objects import ObjectCount
from triptych.schemas.results import LabelScore, Observations, Words

if TYPE_CHECKING:
    import pytest

    from tests.consumers.page.conftest import PagePipeline

SEEN: Final = "city-1"
HIDDEN: Final = ("harbour", "bank-1", "dock.2_b")
"""Feeds that nobody but `all` may see."""


def window(pipeline: PagePipeline, number: int, feed: str = SEEN, **shown: Any) -> None:  # noqa: ANN401 - what is in it
    """Publish a window with its pictures: `dogs=2, said="…", label="cup", sound="music", prompt="cat"`."""
    start_ns = pipeline.make_result(number, feed).start_ns
    changes: dict[str, Any] = {}
    if "dogs" in shown:
        changes["counts"] = {"dog": ObjectCount(median=shown["dogs"], largest=shown["dogs"])}
    if "prompt" in shown:
        changes["matches"] = {shown["prompt"]: Match(score=0.9, log_odds=2.0, at_ns=start_ns)}
    said = shown.get("said")
    observations = Observations(
        words=(Words(text=said, start_ns=start_ns, end_ns=start_ns + 10**9),) if said else (),
        visual=(LabelScore(label=shown["label"], score=0.9),) if "label" in shown else (),
        sound=(LabelScore(label=shown["sound"], score=0.9),) if "sound" in shown else (),
    )
    pipeline.window(number, feed, observations=observations, published_ns=start_ns, **changes)


def publish_seen(pipeline: PagePipeline) -> None:
    """Publish the feed that everybody may see: dogs in windows 10, 11 and 30, the bank in 11 and 40, music in 12."""
    window(pipeline, 0, said="Nothing happens.")
    window(pipeline, 10, dogs=1)
    window(pipeline, 11, dogs=2, said="ANNA: Where is the bank?")
    window(pipeline, 12, sound="music")
    window(pipeline, 30, dogs=1, label="cup")
    window(pipeline, 40, said="BEN: The bank is closed. Ask John Smith.")
    window(pipeline, 45, prompt="cat")
    window(pipeline, 50, said="银行关门了")


def publish_hidden(pipeline: PagePipeline) -> None:
    """Publish the other feeds. They have more of everything, earlier and later, and things of their own."""
    for shift, feed in enumerate(HIDDEN):
        for number in range(0, 80, 5):
            window(
                pipeline,
                number + shift,
                feed,
                dogs=9,
                said="CAROL: The bank has gold for Mary Jones. 银行",
                label="cat",
                sound="speech",
                prompt="elephant",
            )
        window(pipeline, 200 + shift, feed, said="CAROL: The bank again, and a secret.", dogs=9, label="zebra")


def write_index(pipeline: PagePipeline, folder: Path, name: str = "triptych") -> Path:
    """Index all that was published, as `triptych index` does. Return the folder."""
    with index_writer(folder, name) as writer:
        IndexLoop(writer, Retention()).run(pipeline.transport, threading.Event(), until_end=True)
    return folder


def rules(**feeds_of: tuple[str, ...]) -> AccessRules:
    """Return users who log in with their names as tokens, may only see, and only these feeds."""
    users = Users([PageUser(name, granted_roles(["see"]), feeds, token_hash(name)) for name, feeds in feeds_of.items()])
    return AccessRules(users=users, sessions=Sessions(b"k" * 32, users))


class SlowLookups:
    """Makes each lookup wait until it is told to go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = threading.Semaphore(0)
        self.has_begun = threading.Event()
        self.go_on = threading.Event()
        self.ended: list[bool] = []
        cues = IndexLookup.said

        def slow(lookup: IndexLookup, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - passed on
            self.begun.release()
            self.has_begun.set()
            deadline_s = time.monotonic() + 60
            while not (self.go_on.is_set() or lookup.limits.stopped()):
                assert time.monotonic() < deadline_s
                time.sleep(0.005)
            self.ended.append(lookup.limits.stopped())
            return cues(lookup, *args, **options)

        monkeypatch.setattr(IndexLookup, "said", slow)
