"""Make the rules of access of the options, and refuse those that would let strangers in."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from triptych.consumers.page.options import AccessOptions, ListenOptions
from triptych.consumers.page.web.access import LOCAL_USER, PageUser, granted_roles, read_users
from triptych.consumers.page.web.gate import AccessRules, TrustedProxy
from triptych.consumers.page.web.login import Sessions, session_key
from triptych.schemas.errors import UsageError

_HEADER: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_HOST_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,253}")


def access_rules(listen: ListenOptions, access: AccessOptions) -> AccessRules:
    """Return who may look.

    Raises:
        UsageError: an option or the users file is wrong, or strangers could look.
    """
    users = None if access.users is None else read_users(access.users)
    proxy = _proxy(access)
    if access.without_login and (users is not None or proxy is not None):
        raise UsageError("without-login: expected neither --users nor --user-header beside it: each of them is a login")
    if users is None and proxy is None and not access.without_login and not _is_loopback(listen.host):
        raise UsageError(
            f"host: expected a loopback address without a login, got {listen.host!r}: everybody in the network could "
            "look. Give --users FILE, or --user-header and --trust-proxy; --without-login if nobody else reaches the "
            "port (docs/page.md)"
        )
    if users is not None and proxy is None and not users.have_tokens:
        raise UsageError(f"{access.users}: expected a user with token_sha256, or a proxy that names the users")
    for name in listen.host_name:
        if not _HOST_NAME.fullmatch(name):
            raise UsageError(f"host-name: expected a name such as page.example.org without port, got {name!r}")
    return AccessRules(
        users=users,
        sessions=None if users is None or proxy is not None else Sessions(session_key(access.session_key), users),
        proxy=proxy,
        default_user=PageUser(LOCAL_USER, granted_roles([access.allow])) if users is None else None,
        host_names=frozenset(name.lower() for name in listen.host_name),
        secure_cookie=access.secure_cookie,
    )


def _proxy(access: AccessOptions) -> TrustedProxy | None:
    if (access.user_header is None) != (not access.trust_proxy):
        raise UsageError("expected --user-header and --trust-proxy together: one without the other trusts nobody")
    if access.user_header is None:
        return None
    if not _HEADER.fullmatch(access.user_header):
        raise UsageError(f"user-header: expected a name such as X-Forwarded-User, got {access.user_header!r}")
    try:
        networks = tuple(ipaddress.ip_network(address, strict=False) for address in access.trust_proxy)
    except ValueError as error:
        raise UsageError(f"trust-proxy: expected an address or a network such as 10.0.0.0/8: {error}") from None
    return TrustedProxy(access.user_header, networks)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
