"""What a producer may keep while it cannot send."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from triptych.units import MIB, NS_PER_MS, NS_PER_S

if TYPE_CHECKING:
    from triptych.settings.tree import Settings

_MAX_IN_FLIGHT_BYTES: Final = 16 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class SendLimits:
    """The limits of one program, for all its feeds together.

    Attributes:
        max_bytes: how much is kept, unacknowledged records included.
        max_lag_ns: how old the kept pictures and sound may be.
        max_in_flight_bytes: how much may be handed to the transport and not be acknowledged yet.
    """

    max_bytes: int = 256 * MIB
    max_lag_ns: int = 120 * NS_PER_S
    max_in_flight_bytes: int = _MAX_IN_FLIGHT_BYTES

    @classmethod
    def from_settings(cls, settings: Settings) -> SendLimits:
        """Return the limits that the settings make. Most is kept in the queue, where it can still be dropped."""
        produce, kafka = settings.produce, settings.kafka
        return cls(
            max_bytes=produce.max_queue_bytes,
            max_lag_ns=produce.max_lag_ms * NS_PER_MS,
            max_in_flight_bytes=min(
                _MAX_IN_FLIGHT_BYTES, produce.max_queue_bytes // 4, kafka.publisher_max_in_flight_bytes
            ),
        )
