"""Who may do what: each route, by each role, for a feed that the user may see and for one that is hidden."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from triptych.consumers.page.web.access import PageUser, Users, granted_roles, token_hash
from triptych.consumers.page.web.gate import AccessRules
from triptych.consumers.page.web.login import Sessions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.consumers.page.conftest import PagePipeline, ServedPage, ServePage

SEEN, HIDDEN = "city-1", "bank-1"
USERS: Final = ("nobody", "see", "review", "operate")
LETTER: Final = {"letters": [{"partition": 0, "offset": 0}]}

ROUTES: Final = (
    # path, body of a POST, status for nobody, see, review, operate
    ("/api/session", None, (200, 200, 200, 200)),
    ("/api/wall", None, (401, 200, 200, 200)),
    ("/api/review", None, (401, 200, 200, 200)),
    ("/api/health", None, (401, 200, 200, 200)),
    ("/api/dead", None, (401, 200, 200, 200)),
    ("/api/dead/redrive", LETTER, (401, 403, 403, 200)),
    ("/api/nothing", None, (401, 404, 404, 404)),
    ("/", None, (200, 200, 200, 200)),
    ("/api/logout", {}, (200, 200, 200, 200)),
)
FEED_ROUTES: Final = (
    # path, body of a POST, status for nobody, see, review, operate, where the user may see the feed
    ("/api/feeds/{feed}/timeline", None, (401, 200, 200, 200)),
    ("/api/feeds/{feed}/windows/{window}", None, (401, 200, 200, 200)),
    ("/api/feeds/{feed}/windows/{window}/sound", None, (401, 200, 200, 200)),
    ("{picture}", None, (401, 200, 200, 200)),
    ("/api/review/{event}", {"answer": "yes"}, (401, 403, 200, 200)),
    ("/api/dead/{letter}", None, (401, 200, 200, 200)),
)


@pytest.fixture
def page(pipeline: PagePipeline, serve: ServePage) -> ServedPage:
    """A page with two feeds; each user may see those that begin with city."""
    for feed in (SEEN, HIDDEN):
        pipeline.window(0, feed, fire=0.9)
        pipeline.dead_letter(feed)
    named = [PageUser(name, granted_roles([name]), ("city-*",), token_hash(name)) for name in USERS[1:]]
    users = Users([*named, PageUser("all", granted_roles(["operate"]), ("*",), token_hash("all"))])
    served = serve(AccessRules(users=users, sessions=Sessions(b"k" * 32, users)))
    served.until_read(2)
    return served


def as_user(page: ServedPage, name: str) -> ServedPage:
    """Log in; nobody logs out."""
    page.client.cookies.clear()
    if name != "nobody":
        page.post("/api/login", {"token": name})
    return page


def paths(page: ServedPage, feed: str) -> Mapping[str, str]:
    """Return what stands in the paths for a feed."""
    as_user(page, "all")
    event = next(event for event in page.get("/api/review")["events"] if event["feed"] == feed)
    letter = next(letter for letter in page.get("/api/dead")["letters"] if letter["feed"] == feed)
    return {
        "feed": feed,
        "window": event["window_id"],
        "picture": event["picture"]["url"],
        "event": event["id"],
        "letter": f"{letter['partition']}/{letter['offset']}",
    }


def status_of(page: ServedPage, path: str, body: object) -> int:
    """Return how a request is answered."""
    if body is None:
        return page.client.get(path).status_code
    return page.client.post(path, json=body, headers={"X-Triptych": "1"}).status_code


def test_each_route_is_for_its_roles(page: ServedPage) -> None:
    """A role includes those before it."""
    for at, name in enumerate(USERS):
        as_user(page, name)
        found = {path: status_of(page, path, body) for path, body, _ in ROUTES}
        assert found == {path: statuses[at] for path, _, statuses in ROUTES}, name


def test_what_belongs_to_a_feed_is_for_those_who_may_see_it(page: ServedPage) -> None:
    """For others it does not exist, whatever their role: the answer does not tell whether there is such a feed."""
    for feed in (SEEN, HIDDEN, "no-such-feed"):
        names = paths(page, SEEN if feed == "no-such-feed" else feed)
        if feed == "no-such-feed":
            names = {**names, "feed": feed, "picture": "/api/feeds/no-such-feed/pictures/0/0"}
        for at, name in enumerate(USERS):
            as_user(page, name)
            for path, body, statuses in FEED_ROUTES:
                own = "{event}" in path or "{letter}" in path
                expected = statuses[at]
                if expected == 200 and feed != SEEN and not (own and feed == "no-such-feed"):
                    expected = 404
                assert status_of(page, path.format(**names), body) == expected, (name, feed, path)


def test_lists_leave_out_what_is_hidden(page: ServedPage) -> None:
    """Also counts, findings, producers, topics and groups."""
    as_user(page, "operate")
    assert [tile["feed"] for tile in page.get("/api/wall")["feeds"]] == [SEEN]
    assert [event["feed"] for event in page.get("/api/review")["events"]] == [SEEN]
    letters = page.get("/api/dead")
    assert ([letter["feed"] for letter in letters["letters"]], letters["total"]) == ([SEEN], 1)
    health = page.get("/api/health")
    assert HIDDEN not in str(health)
    assert (health["feeds_n"], health["topics"], health["groups"]) == (1, [], [])
    assert health["dead"] == [{"reason": "broken_media", "n": 1}]


def test_a_letter_of_a_hidden_feed_is_not_redriven(page: ServedPage) -> None:
    """It counts as one that does not exist."""
    hidden = paths(page, HIDDEN)["letter"]
    partition, _, offset = hidden.partition("/")
    as_user(page, "operate")
    done = page.post("/api/dead/redrive", {"letters": [{"partition": int(partition), "offset": int(offset)}]})
    assert (done["redriven"], done["skipped"]) == (0, 1)


def test_the_stream_of_changes_needs_a_user(page: ServedPage) -> None:
    """It is a route as the others."""
    as_user(page, "nobody")
    page.get("/api/events", 401)


def test_somebody_who_is_not_logged_in_learns_nothing(page: ServedPage) -> None:
    """Not even the name of the pipeline."""
    as_user(page, "nobody")
    body = page.get("/api/session")
    assert (body["user"], body["pipeline"], body["version"], body["needs_login"]) == (None, "", "", True)
