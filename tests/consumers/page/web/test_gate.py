"""What every request passes: host, site, size, user; and what every response carries."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from triptych.consumers.page.access_rules import access_rules
from triptych.consumers.page.options import AccessOptions, ListenOptions
from triptych.consumers.page.web.access import LOCAL_USER, PageUser, Users, granted_roles, new_token, token_hash
from triptych.consumers.page.web.gate import MOST_BODY_BYTES, AccessRules, TrustedProxy
from triptych.consumers.page.web.login import COOKIE, SESSION_S, LoginLimit, Sessions, session_key
from triptych.schemas.errors import UsageError

if TYPE_CHECKING:
    from tests.consumers.page.conftest import ServedPage, ServePage

ANNA = PageUser("anna", granted_roles(["review"]), token_hash=token_hash("secret"))


@pytest.fixture
def page(serve: ServePage) -> ServedPage:
    """A page for everybody on the machine."""
    return serve()


@pytest.fixture
def login(serve: ServePage) -> ServedPage:
    """A page with a login."""
    users = Users([ANNA])
    return serve(AccessRules(users=users, sessions=Sessions(b"k" * 32, users)))


def test_every_response_forbids_what_the_page_does_not_need(page: ServedPage) -> None:
    """Errors too. No inline script, no other origin, no frame."""
    for path in ("/", "/api/wall", "/api/nothing", "/missing.js"):
        headers = page.client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "server" not in headers
    assert page.client.get("/api/wall").headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8780", "localhost.evil.example", "", "127.0.0.1.nip.io"]
)
def test_another_name_for_this_machine_is_refused(page: ServedPage, host: str) -> None:
    """A site may let its own name point here, and read the page as its own."""
    for path in ("/", "/api/wall"):
        assert page.client.get(path, headers={"Host": host}).status_code == 421


def test_addresses_and_names_of_the_page_are_accepted(serve: ServePage) -> None:
    """With any port: a proxy or a tunnel may have its own."""
    page = serve(AccessRules(default_user=ANNA, host_names=frozenset({"page.example"})))
    for host in ("localhost", "localhost:1", "127.0.0.1:9", "[::1]:9", "10.1.2.3", "page.example", "PAGE.example:443"):
        page.get("/api/wall", Host=host)


def test_other_sites_cannot_send_requests(page: ServedPage) -> None:
    """Neither with a form, nor by a picture in their page."""
    sent = {"letters": [{"partition": 0, "offset": 0}]}
    for headers in (
        {},
        {"X-Triptych": "1", "Content-Type": "text/plain"},
        {"Content-Type": "application/json"},
        {"X-Triptych": "1", "Content-Type": "application/json", "Sec-Fetch-Site": "cross-site"},
    ):
        assert page.client.post("/api/dead/redrive", json=sent, headers=headers).status_code == 403 or not headers
    assert page.client.post("/api/dead/redrive", data={"letters": "1"}).status_code == 403
    page.get("/api/wall", 403, **{"Sec-Fetch-Site": "cross-site"})
    page.get("/api/wall", 200, **{"Sec-Fetch-Site": "same-origin"})
    assert "access-control-allow-origin" not in page.client.get("/api/wall").headers


def test_a_large_body_is_refused(page: ServedPage) -> None:
    """Whether its length is declared or not."""
    large = b'"' + b"x" * MOST_BODY_BYTES + b'"'
    headers = {"X-Triptych": "1", "Content-Type": "application/json"}
    assert page.client.post("/api/dead/redrive", content=large, headers=headers).status_code == 413
    assert page.client.post("/api/dead/redrive", content=iter([large]), headers=headers).status_code == 413
    assert page.client.post("/api/dead/redrive", content=b"[" * 9_000, headers=headers).status_code == 400


def test_a_token_logs_in_until_the_cookie_is_given_back(login: ServedPage) -> None:
    """The cookie is for this site and not for scripts."""
    login.get("/api/wall", 401)
    login.post("/api/login", {"token": "wrong"}, 401)
    answer = login.client.post("/api/login", json={"token": "secret"}, headers={"X-Triptych": "1"})
    assert answer.json()["user"] == "anna"
    cookie = answer.headers["set-cookie"].lower()
    assert {"httponly", "samesite=strict", "path=/"} <= {part.strip() for part in cookie.split(";")}
    assert "secret" not in cookie
    login.get("/api/wall")
    login.post("/api/logout", {})
    login.get("/api/wall", 401)


def test_failed_logins_are_bounded(login: ServedPage) -> None:
    """Not for somebody who has a right token: behind a proxy everybody may have the same address."""
    for _ in range(10):
        login.post("/api/login", {"token": "wrong"}, 401)
    answer = login.client.post("/api/login", json={"token": "guessed"}, headers={"X-Triptych": "1"})
    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= 301
    assert login.post("/api/login", {"token": "secret"})["user"] == "anna"
    login.post("/api/login", {"token": "guessed"}, 429)


def test_the_limit_of_failed_logins_forgets_after_minutes() -> None:
    """By address, and over all addresses."""
    limit = LoginLimit()
    for number in range(10):
        assert limit.wait_s("a", 100.0) == 0
        limit.note_failure("a", 100.0 + number)
    assert limit.wait_s("a", 120.0) == 281
    assert limit.wait_s("b", 120.0) == 0
    assert limit.wait_s("a", 401.0) == 0
    for number in range(200):
        limit.note_failure(str(number), 500.0)
    assert limit.wait_s("new", 501.0) > 0


def test_a_cookie_is_only_as_good_as_its_signature_and_its_user() -> None:
    """A forged one, an old one, and one of a user whose token was replaced are nobody's."""
    sessions = Sessions(b"k" * 32, Users([ANNA]))
    cookie = sessions.cookie(ANNA, 1_000.0)
    assert sessions.user(cookie, 1_001.0) == ANNA
    assert sessions.user(cookie, 1_000.0 + SESSION_S) is None
    assert Sessions(b"x" * 32, Users([ANNA])).user(cookie, 1_001.0) is None
    replaced = PageUser("anna", ANNA.roles, token_hash=token_hash("another"))
    assert Sessions(b"k" * 32, Users([replaced])).user(cookie, 1_001.0) is None
    assert Sessions(b"k" * 32, Users([])).user(cookie, 1_001.0) is None
    content, _, signature = cookie.partition(".")
    for forged in ("", ".", content, f"{content}.", f"{content}x.{signature}", "ä.ä", "A" * 5_000):
        assert sessions.user(forged, 1_001.0) is None


def test_the_key_of_the_cookies_lasts_over_a_restart(tmp_path: Path) -> None:
    """In a file that only its owner may read."""
    path = tmp_path / "page.key"
    key = session_key(path)
    assert session_key(path) == key
    assert path.stat().st_mode & 0o777 == 0o600
    assert session_key(None) != session_key(None)
    path.write_text("short")
    with pytest.raises(UsageError, match="session key"):
        session_key(path)


def test_a_proxy_names_the_user(serve: ServePage) -> None:
    """Only the proxy that is trusted, and only once."""
    here = (ipaddress.ip_network("127.0.0.1"),)
    page = serve(AccessRules(users=Users([ANNA]), proxy=TrustedProxy("X-Forwarded-User", here)))
    assert page.get("/api/session", **{"X-Forwarded-User": "anna"})["user"] == "anna"
    page.get("/api/wall", 401)
    page.get("/api/wall", 403, **{"X-Forwarded-User": "mallory"})
    twice = page.client.get("/api/wall", headers=[("X-Forwarded-User", "anna"), ("X-Forwarded-User", "mallory")])
    assert twice.status_code == 401
    page.post("/api/login", {"token": "secret"}, 404)
    elsewhere = (ipaddress.ip_network("10.0.0.0/8"),)
    other = serve(AccessRules(users=Users([ANNA]), proxy=TrustedProxy("X-Forwarded-User", elsewhere)))
    other.get("/api/wall", 401, **{"X-Forwarded-User": "anna", "X-Forwarded-For": "10.0.0.1"})


def test_everybody_of_a_proxy_is_a_user_without_a_users_file(serve: ServePage) -> None:
    """With the roles that --allow gives."""
    here = (ipaddress.ip_network("127.0.0.0/8"),)
    default = PageUser(LOCAL_USER, granted_roles(["see"]))
    page = serve(AccessRules(default_user=default, proxy=TrustedProxy("X-User", here)))
    body = page.get("/api/session", **{"X-User": "bob"})
    assert (body["user"], body["roles"]) == ("bob", ["see"])


USERS_FILE = f"""
[[user]]
name = "anna"
roles = ["review"]
feeds = ["city-*", "bank-1"]
token_sha256 = "{token_hash("secret")}"

[[user]]
name = "bob@example.org"
roles = ["see"]
"""


def rules(tmp_path: Path, text: str | None = USERS_FILE, host: str = "127.0.0.1", **access: object) -> AccessRules:
    """Return the rules of a users file and options."""
    if text is not None:
        path = tmp_path / "users.toml"
        path.write_text(text)
        access["users"] = path
    return access_rules(ListenOptions(host=host), AccessOptions(**access))  # type: ignore[arg-type]  # by the caller


def test_the_users_file_has_names_roles_feeds_and_hashes(tmp_path: Path) -> None:
    """A role includes those before it."""
    users = rules(tmp_path).users
    assert users is not None
    anna = users.with_token("secret")
    assert anna is not None
    assert (anna.name, anna.may("see"), anna.may("review"), anna.may("operate")) == ("anna", True, True, False)
    assert [anna.may_see(feed) for feed in ("city-9", "bank-1", "bank-2", "")] == [True, True, False, False]
    assert (anna.sees_all, users.with_token(""), users.with_token("other")) == (False, None, None)
    token, hashed = new_token()
    assert (token_hash(token), len(token)) == (hashed, 43)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "one table"),
        ("[[user]]\nname = 1\nroles = ['see']", "name: expected"),
        ("[[user]]\nname = 'a'\nroles = ['admin']", "role: expected see, review, operate, got 'admin'"),
        ("[[user]]\nname = 'a'\nroles = 'see'", "a list of texts"),
        ("[[user]]\nname = 'a'\nroles = ['see']\ntoken = 'x'", "expected name, roles"),
        ("[[user]]\nname = 'a'\nroles = ['see']\ntoken_sha256 = 'x'", "64 of 0-9 a-f"),
        ("[[user]]\nname = 'a'\nroles = ['see']\n" * 2, "each name once"),
        ("[[user]]\nname = 'a'\nroles = ['see']", "expected a user with token_sha256"),
        ("[user", "TOML"),
    ],
)
def test_a_wrong_users_file_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    """Nobody is let in by mistake."""
    with pytest.raises(UsageError, match=message):
        rules(tmp_path, text)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "page.example"])  # noqa: S104 - refused
def test_strangers_cannot_look_without_a_login(tmp_path: Path, host: str) -> None:
    """An address that others can reach needs one."""
    with pytest.raises(UsageError, match="everybody in the network could look"):
        rules(tmp_path, None, host)
    assert rules(tmp_path, host=host).needs_user
    assert rules(tmp_path, None, host, user_header="X-User", trust_proxy=("10.0.0.1",)).needs_user


@pytest.mark.parametrize(
    ("access", "message"),
    [
        ({"user_header": "X-User"}, "together"),
        ({"trust_proxy": ("10.0.0.1",)}, "together"),
        ({"user_header": "X User", "trust_proxy": ("10.0.0.1",)}, "user-header"),
        ({"user_header": "X-User", "trust_proxy": ("nowhere",)}, "trust-proxy"),
    ],
)
def test_a_proxy_needs_a_header_and_an_address(tmp_path: Path, access: dict[str, object], message: str) -> None:
    """Half of it would trust everybody, or nobody."""
    with pytest.raises(UsageError, match=message):
        rules(tmp_path, None, **access)


def test_a_page_without_users_is_for_reading(tmp_path: Path) -> None:
    """Unless --allow says otherwise."""
    assert rules(tmp_path, None).default_user == PageUser(LOCAL_USER, frozenset({"see"}))
    allowed = rules(tmp_path, None, allow="operate").default_user
    assert allowed is not None
    assert allowed.roles == {"see", "review", "operate"}


def test_the_cookie_has_a_name_of_its_own(login: ServedPage) -> None:
    """Another program on another port of the same host has other cookies."""
    login.post("/api/login", {"token": "secret"})
    assert list(login.client.cookies) == [COOKIE]
