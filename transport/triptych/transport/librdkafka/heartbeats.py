"""Follow a member's heartbeats in the statistics of librdkafka, which reports them in no other way.

The statistics come several times between two heartbeats. They count the heartbeats sent and the requests to the group's
coordinator that are unanswered. A heartbeat that is new in one report was sent after the report before. Once nothing is
unanswered, the group has answered it; its answer has been acted upon by the next report, since librdkafka makes the
reports on the thread that handles the answers.
"""

from __future__ import annotations

import json
import time
from typing import Final

COORDINATOR: Final = "GroupCoordinator"
"""The name under which librdkafka keeps the connection for requests of the group."""


class HeartbeatWatch:
    """When the group last answered a heartbeat. Written by the thread that polls the client, read by any."""

    def __init__(self) -> None:
        self.confirmed_s = float("-inf")
        """The time before which the last answered heartbeat was not sent, by the monotonic clock."""
        self._clock_offset_s = float("inf")
        self._reported_s = float("-inf")
        self._sent = 0
        self._unanswered_s: float | None = None
        self._answered_s: float | None = None

    def on_statistics(self, text: str, now_s: float | None = None) -> None:
        """Read one report (JSON).

        Args:
            text: the report.
            now_s: the time by the monotonic clock.
        """
        report = json.loads(text)
        now_s = time.monotonic() if now_s is None else now_s
        # librdkafka's clock may start elsewhere. A report is never read before it was made.
        made_s = report["ts"] / 1e6
        self._clock_offset_s = min(self._clock_offset_s, now_s - made_s)
        reported_s = made_s + self._clock_offset_s
        if self._answered_s is not None:
            self.confirmed_s = max(self.confirmed_s, self._answered_s)
            self._answered_s = None
        broker = report["brokers"].get(COORDINATOR)
        if broker is not None:
            sent = broker["req"].get("Heartbeat", 0)
            if sent > self._sent:
                self._unanswered_s = self._reported_s
            self._sent = sent
            if self._unanswered_s is not None and broker["waitresp_cnt"] == broker["outbuf_cnt"] == 0:
                self._answered_s, self._unanswered_s = self._unanswered_s, None
        self._reported_s = reported_s
