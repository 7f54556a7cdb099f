"""Who may look, by the options of `triptych page`."""

from __future__ import annotations

from pathlib import Path

import pytest

from triptych.consumers.page.access_rules import access_rules
from triptych.consumers.page.options import AccessOptions, ListenOptions
from triptych.schemas.errors import UsageError

EVERYWHERE = ListenOptions(host="0.0.0.0")  # noqa: S104 - nothing listens here


def test_an_address_that_others_reach_needs_a_login() -> None:
    """Unless somebody says that nobody else reaches it."""
    with pytest.raises(UsageError, match="expected a loopback address without a login"):
        access_rules(EVERYWHERE, AccessOptions())

    rules = access_rules(EVERYWHERE, AccessOptions(without_login=True))

    assert not rules.needs_user
    assert rules.default_user is not None


def test_without_a_login_and_with_one_contradict_each_other(tmp_path: Path) -> None:
    """Whoever has written a users file would find it ignored."""
    users = tmp_path / "users.toml"
    users.write_text(f'[[user]]\nname = "anna"\nroles = ["see"]\ntoken_sha256 = "{"0" * 64}"\n')

    with pytest.raises(UsageError, match="each of them is a login"):
        access_rules(EVERYWHERE, AccessOptions(without_login=True, users=users))
