"""Keep channels from cancelling each other out where they are mixed to one.

Where one side of a recording is inverted (a miswired microphone, a phase effect), the mix is far below its channels,
and so silent for whoever hears it. Then one channel is taken instead of the mix.
"""

from __future__ import annotations

from typing import Any, Final

import av
import numpy as np
import structlog
from numpy.typing import NDArray

from triptych.producers.media.frame_samples import samples_of, with_samples

_log = structlog.get_logger(__name__)
_CANCELLED: Final = 0.2
"""The mix of n channels counts as cancelled below this, divided by n, of the loudest channel: 20 dB for stereo."""

_AUDIBLE: Final = 1e-3
"""Quieter frames tell nothing. As a share of full scale."""

_SWITCH_S: Final = 0.5
"""For how long all audible frames must say otherwise before the decision changes."""


class Downmix:
    """Decide for one source whether its channels can be mixed. The first audible frame decides at once."""

    def __init__(self, stream: str) -> None:
        """Log the decision for a stream with this id."""
        self._stream = stream
        self._one_channel: int | None = None
        self._has_decided = False
        self._contrary_s = 0.0
        self._has_logged = False

    def prepare(self, frame: av.AudioFrame) -> av.AudioFrame:
        """Return the frame to mix: where its channels cancel each other out, one of them on all channels."""
        channels = frame.layout.nb_channels
        if channels == 1 or frame.format.name.startswith("u8"):
            return frame
        samples = samples_of(frame)
        self._decide(samples, frame.samples / frame.sample_rate)
        if self._one_channel is None or self._one_channel >= channels:
            return frame
        return _on_all_channels(frame, samples[self._one_channel])

    def _decide(self, samples: NDArray[Any], duration_s: float) -> None:
        """Take a frame of samples [channels, N]."""
        loudness = np.sqrt(np.mean(np.square(samples, dtype=np.float64), axis=1))
        loudest = int(np.argmax(loudness))
        full_scale = 1.0 if samples.dtype.kind == "f" else float(np.iinfo(samples.dtype).max)
        if not loudness[loudest] > _AUDIBLE * full_scale:
            return
        mix = np.sqrt(np.mean(np.square(np.mean(samples, axis=0, dtype=np.float64))))
        is_cancelled = bool(mix < _CANCELLED / len(samples) * loudness[loudest])
        if is_cancelled == (self._one_channel is not None):
            self._has_decided, self._contrary_s = True, 0.0
            return
        self._contrary_s += duration_s
        if not self._has_decided or self._contrary_s >= _SWITCH_S:
            self._has_decided, self._contrary_s = True, 0.0
            self._one_channel = loudest if is_cancelled else None
            self._report()

    def _report(self) -> None:
        if self._one_channel is not None and not self._has_logged:
            self._has_logged = True
            reason = "the channels cancel each other out when mixed; is one of them inverted?"
            _log.warning("audio_channel_taken", stream=self._stream, channel=self._one_channel + 1, reason=reason)


def _on_all_channels(frame: av.AudioFrame, samples: NDArray[Any]) -> av.AudioFrame:
    """Return a frame of the same format with these samples, [N], on every channel."""
    return with_samples(frame, np.tile(samples, (frame.layout.nb_channels, 1)))
