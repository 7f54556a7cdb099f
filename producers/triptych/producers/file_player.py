"""Play one file: read a record, wait until it is due, send it."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import replace

from triptych.producers.pacing import RecordPacer
from triptych.producers.session.clock_measurement import OnDemandMeter
from triptych.producers.session.playback import Playback
from triptych.producers.session.session_boundary import SessionBoundary
from triptych.producers.source_player import SourcePlayer
from triptych.producers.sources.source import FileSource
from triptych.producers.sources.stoppable_pipe import stoppable
from triptych.producers.status.losses import LossLog
from triptych.schemas.errors import UsageError


class FilePlayer(SourcePlayer):
    """Play one file in a thread of its own."""

    def _play(self) -> None:
        self._guard(self._open_and_send)

    def _open_and_send(self) -> None:
        with stoppable(self._plan.source, self._stop) as source, ExitStack() as stack:
            try:
                playback = stack.enter_context(Playback(replace(self._plan, source=source)))
            except UsageError:
                if self._is_broken_off:
                    return
                raise
            self._send_all(playback)

    def _send_all(self, playback: Playback) -> None:
        """Send the records of the file, each when it is due, then the end of each track."""
        start_at_ns = self._start_at_ns(playback.duration_ns)
        self._counters.begin(self._plan.total_ns(playback.duration_ns))
        sender = self._open_sender(start_at_ns=start_at_ns, drops=self._plan.realtime)
        pacer = RecordPacer(self._clock, self._stop, realtime=self._plan.realtime, start_at_ns=start_at_ns)
        meter, boundary = OnDemandMeter(), SessionBoundary()
        failure: UsageError | None = None
        with closing(playback.records(start_at_ns)) as records:  # type: ignore[type-var]  # it is a generator
            try:
                for record in records:
                    paced = pacer.pace(meter.annotate(record))
                    if paced.is_missed:
                        sender.skip(paced.record)
                    else:
                        for ready in boundary.push(paced.record, self._clock.monotonic_ns()):
                            sender.send(ready, behind_clock_ns=paced.behind_ns)
                    self._counters.losses(playback.losses)
                    if self._stop.is_set():  # after sending: what was read counts towards where the tracks end
                        break
            except UsageError as error:  # of the source: what was sent of it is ended all the same
                failure = error
        for end in (*boundary.release_all(), *map(pacer.shifted, playback.ends())):
            sender.send(end)
        self._counters.losses(playback.losses)
        LossLog(self._plan.stream).show(playback.losses, reason=playback.decoder_error)
        if failure is not None and not self._is_broken_off:
            raise failure

    @property
    def _is_broken_off(self) -> bool:
        """Whether the source is a pipe that was stopped: what it has sent until then may be too little to play."""
        source = self._plan.source
        return self._stop.is_set() and isinstance(source, FileSource) and source.is_read_once

    def _start_at_ns(self, duration_ns: int | None) -> int:
        """Return the event time of media time zero: as planned, else now, or such that the file ends now."""
        if self._plan.start_at_ns is not None:
            return self._plan.start_at_ns
        length_ns = 0 if self._plan.realtime else self._plan.total_ns(duration_ns) or 0
        return self._clock.now_ns() - length_ns
