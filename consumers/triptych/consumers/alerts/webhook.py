"""A match as a signed message in the format of Standard Webhooks (https://www.standardwebhooks.com). No I/O.

The message id is derived from the content. A message that is sent again has the same id and body, so the receiver can
drop duplicates.
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
_MIN_SECRET_BYTES: Final = 24
_MAX_SECRET_BYTES: Final = 64
_HINT: Final = 'create one with: echo "whsec_$(openssl rand -base64 32)"'


@dataclass(frozen=True, slots=True)
class WebhookMessage:
    """One match, ready to be signed and sent."""

    id: str
    body: bytes

    def headers(self, secrets: Sequence[bytes], *, now_s: int) -> dict[str, str]:
        """Return the headers of one attempt. The timestamp is that of the attempt; the id never changes."""
        signed = b".".join((self.id.encode(), str(now_s).encode(), self.body))
        digests = (hmac.digest(secret, signed, hashlib.sha256) for secret in secrets)
        return {
            "content-type": "application/json",
            "webhook-id": self.id,
            "webhook-timestamp": str(now_s),
            "webhook-signature": " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests),
        }


def webhook_message(
    delivery: Delivery, *, rule: str, pipeline: str, event_since_ns: int | None = None
) -> WebhookMessage:
    """Return the message for a result that matches a rule. All revisions of a window have the same message id.

    `event_since_ns` is since when the rule has held, if the message is for an event.
    """
    result = delivery.result
    identity = json.dumps([pipeline, rule, f"{result.window}/0"], ensure_ascii=False)
    published = datetime.fromtimestamp(result.published_ns // NS_PER_S, UTC)
    event = {} if event_since_ns is None else {"event": {"since_ns": event_since_ns}}
    body = {
        "type": EVENT_TYPE,
        "timestamp": published.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "data": {"pipeline": pipeline, "rule": rule, **event, "result": json.loads(delivery.document)},
    }
    return WebhookMessage(
        id=f"msg_{hashlib.sha256(identity.encode()).hexdigest()[:32]}",
        body=json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(),
    )


def parse_secrets(text: str, *, origin: str) -> tuple[bytes, ...]:
    """Return the secrets in a file, one per line. Several are used while receivers change from one to the next.

    Raises:
        UsageError: a secret is invalid. The message never contains it.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise UsageError(f"{origin}: expected a secret, found none; {_HINT}")
    return tuple(_parse_secret(line, f"{origin}, line {number}") for number, line in enumerate(lines, 1))


def _parse_secret(line: str, origin: str) -> bytes:
    try:
        secret = base64.b64decode(line.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        secret = b""
    if not line.startswith(_PREFIX) or not _MIN_SECRET_BYTES <= len(secret) <= _MAX_SECRET_BYTES:
        raise UsageError(
            f"{origin}: expected whsec_ and {_MIN_SECRET_BYTES} to {_MAX_SECRET_BYTES} bytes in base64; {_HINT}"
        )
    return secret
