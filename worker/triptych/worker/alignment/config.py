"""The settings of alignment, in nanoseconds and bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from triptych.schemas.errors import UsageError
from triptych.schemas.names import Modality
from triptych.units import MIB, NS_PER_MS, NS_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignConfig:
    """The parameters of the rules in `docs/alignment.md`.

    `out_of_orderness_ns` is subtracted from a track's watermark, by modality. `stream_max_bytes` and
    `partition_max_bytes` limit the encoded media in windows; `ahead_max_bytes` and `max_lead_ns` limit how far one
    partition is read ahead of the others. A silence of a whole stream counts towards the idleness of its tracks for
    at most `pause_ns`.

    A late item revises a closed window whose end is less than `allowed_lateness_ns` before the start of the next window
    to close, `revise_after_ns` after the first such item arrives. If that is None, it revises one that closed without
    waiting for a track and ends less than `complete_within_ns` before. If both are None, it revises none.
    """

    size_ns: int = 2 * NS_PER_S
    hop_ns: int = 2 * NS_PER_S
    idle_timeout_ns: int = 10 * NS_PER_S
    pause_ns: int = 2_500 * NS_PER_MS
    out_of_orderness_ns: Mapping[Modality, int] = field(default_factory=lambda: MappingProxyType({}))
    max_hold_ns: int = 10 * NS_PER_S
    max_cue_ns: int = 60 * NS_PER_S
    max_empty: int = 5
    max_future_ns: int = 24 * 3600 * NS_PER_S
    stream_ttl_ns: int = 600 * NS_PER_S
    clock_margin_ns: int = 100 * NS_PER_MS
    stream_max_bytes: int = 64 * MIB
    partition_max_bytes: int = 512 * MIB
    ahead_max_bytes: int = 64 * MIB
    max_lead_ns: int = 60 * NS_PER_S
    allowed_lateness_ns: int | None = None
    complete_within_ns: int | None = None
    revise_after_ns: int = 1 * NS_PER_S

    def __post_init__(self) -> None:
        """Raise `UsageError` for values that no window can be made with."""
        if not 0 < self.hop_ns <= self.size_ns:
            msg = f"window: expected 0 < hop <= size, got hop {self.hop_ns} ns and size {self.size_ns} ns"
            raise UsageError(msg)
        if self.max_empty < 1 or min(self.idle_timeout_ns, self.pause_ns, self.stream_ttl_ns) <= 0:
            msg = "align: expected max_empty of at least 1 and an idle timeout, a pause and a stream TTL above 0"
            raise UsageError(msg)

    def out_of_orderness_of(self, modality: Modality) -> int:
        """Return the out-of-orderness of a track in nanoseconds."""
        return self.out_of_orderness_ns.get(modality, 0)
