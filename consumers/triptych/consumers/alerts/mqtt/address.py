"""The address of an MQTT broker, and names that are valid in its topics and in Home Assistant. No I/O."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import urlsplit

from triptych.schemas.errors import UsageError

DEFAULT_PREFIX: Final = "triptych"
_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
_PREFIX: Final = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*", re.ASCII)
_MOST_CHARACTERS: Final = 128
_EXPECTED: Final = (
    "mqtt: expected mqtt://HOST[:PORT][/TOPIC] or mqtts://…, with a topic of A-Z a-z 0-9 _ . - and /, and without user "
    "name or password: set TRIPTYCH_MQTT_USERNAME, and TRIPTYCH_MQTT_PASSWORD or TRIPTYCH_MQTT_PASSWORD_FILE"
)

_OTHER_CHARACTERS: Final = re.compile(r"[^A-Za-z0-9_-]+")
_LOOKS_DIGESTED: Final = re.compile(r"_[0-9a-f]{12}$")
_READABLE_CHARACTERS: Final = 40


@dataclass(frozen=True, slots=True)
class MqttAddress:
    """Host, port and topic prefix of `mqtt://HOST:PORT/PREFIX`."""

    host: str
    port: int
    tls: bool
    prefix: str

    @classmethod
    def parse(cls, url: str) -> Self:
        """Parse a URL. Raises `UsageError` if it is invalid; the message does not contain it."""
        try:
            parts = urlsplit(url)
            port, host = parts.port, parts.hostname
        except ValueError:
            raise UsageError(_EXPECTED) from None
        prefix = parts.path.strip("/") or DEFAULT_PREFIX
        if (
            parts.scheme not in _PORTS
            or not host
            or port == 0
            or "@" in parts.netloc
            or "?" in url
            or "#" in url
            or len(prefix) > _MOST_CHARACTERS
            or not _PREFIX.fullmatch(prefix)
        ):
            raise UsageError(_EXPECTED)
        return cls(host, port or _PORTS[parts.scheme], parts.scheme == "mqtts", prefix)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}/{self.prefix}"


def object_id(name: str) -> str:
    """Return a name that is valid as one level of a topic and as an object id of Home Assistant: `[A-Za-z0-9_-]+`.

    It is stable, and different for different names: a name that had to be changed gets a digest of the original, and so
    does one that looks as if it had one.
    """
    is_valid = name and len(name) <= _MOST_CHARACTERS and not _OTHER_CHARACTERS.search(name)
    return name if is_valid and not _LOOKS_DIGESTED.search(name) else digested_id(name, name)


def digested_id(readable: str, identity: str) -> str:
    """Return an object id of what is valid in a name for people, and a digest of what the id stands for."""
    digest = hashlib.sha256(identity.encode()).hexdigest()[:12]
    valid = _OTHER_CHARACTERS.sub("_", readable).strip("_")[:_READABLE_CHARACTERS]
    return f"{valid}_{digest}"
