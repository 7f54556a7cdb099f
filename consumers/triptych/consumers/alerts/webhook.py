"""A match as a signed message, after Standard Webhooks (https://www.standardwebhooks.com). Pure.

The id of a message is made of what it says: a message that is sent again has the same id and the same body, so that its
receiver can drop it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from triptych.consumers.subscription.result_buffer import Delivery
from triptych.schemas.errors import UsageError
from triptych.units import NS_PER_S

EVENT_TYPE: Final = "triptych.match"
_PREFIX: Final = "whsec_"
_SHORTEST: Final = 24
_LONGEST: Final = 64
_HOW: Final = 'make one by: echo "whsec_$(openssl rand -base64 32)"'


@dataclass(frozen=True, slots=True)
class WebhookMessage:
    """One match, ready to be signed and sent."""

    id: str
    body: bytes

    def headers(self, secrets: Sequence[bytes], *, now_s: int) -> dict[str, str]:
        """Return the headers of one attempt: the moment is that of the attempt, the id never changes."""
        signed = b".".join((self.id.encode(), str(now_s).encode(), self.body))
        digests = (hmac.digest(secret, signed, hashlib.sha256) for secret in secrets)
        return {
            "content-type": "application/json",
            "webhook-id": self.id,
            "webhook-timestamp": str(now_s),
            "webhook-signature": " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests),
        }


def webhook_message(delivery: Delivery, *, rule: str, pipeline: str) -> WebhookMessage:
    """Return the message that says that a result fulfils a rule."""
    result = delivery.result
    named = json.dumps([pipeline, rule, result.id], ensure_ascii=False)
    published = datetime.fromtimestamp(result.published_ns // NS_PER_S, UTC)
    body = {
        "type": EVENT_TYPE,
        "timestamp": published.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "data": {"pipeline": pipeline, "rule": rule, "result": json.loads(delivery.document)},
    }
    return WebhookMessage(
        id=f"msg_{hashlib.sha256(named.encode()).hexdigest()[:32]}",
        body=json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(),
    )


def parse_secrets(text: str, *, origin: str) -> tuple[bytes, ...]:
    """Return the secrets of a file, one a line; several while receivers change from one to the next.

    Raises `UsageError`, which never shows what stands there.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise UsageError(f"{origin}: expected a secret, found none; {_HOW}")
    return tuple(_parse_secret(line, f"{origin}, line {number}") for number, line in enumerate(lines, 1))


def _parse_secret(line: str, origin: str) -> bytes:
    try:
        secret = base64.b64decode(line.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        secret = b""
    if not line.startswith(_PREFIX) or not _SHORTEST <= len(secret) <= _LONGEST:
        raise UsageError(f"{origin}: expected whsec_ and {_SHORTEST} to {_LONGEST} bytes in base64; {_HOW}")
    return secret
