"""Silero's voice detector in torch, for many windows at once: how likely each 32 ms of sound is speech.

The network is the original's for 16 kHz; the original takes one step of one stream at a time.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from triptych.models.network.collate import WindowBatch
from triptych.models.network.parts import Encoded, Encoder, Features, Head

SAMPLE_RATE_HZ = 16_000
STEP_SAMPLES = 512
_CONTEXT_SAMPLES = 64
_FFT_SAMPLES = 256
_FFT_BINS = _FFT_SAMPLES // 2 + 1
_HOP_SAMPLES = 128
FEATURES = 128


class _SileroTrunk(nn.Module):
    """Turn sound [B, S] into [B, ceil(S / 512), 128], carrying a memory from step to step."""

    def __init__(self) -> None:
        super().__init__()
        self.stft_conv = nn.Conv1d(1, 2 * _FFT_BINS, _FFT_SAMPLES, stride=_HOP_SAMPLES, bias=False)
        self.conv1 = nn.Conv1d(_FFT_BINS, FEATURES, 3, padding=1)
        self.conv2 = nn.Conv1d(FEATURES, FEATURES // 2, 3, stride=2, padding=1)
        self.conv3 = nn.Conv1d(FEATURES // 2, FEATURES // 2, 3, stride=2, padding=1)
        self.conv4 = nn.Conv1d(FEATURES // 2, FEATURES, 3, padding=1)
        self.lstm = nn.LSTM(FEATURES, FEATURES, batch_first=True)

    def forward(self, sound: Tensor) -> Tensor:
        rows = sound.shape[0]
        # Each step sees the end of the one before it, the first sees silence: [B, F, 576].
        tail = -sound.shape[1] % STEP_SAMPLES
        steps = functional.pad(sound, (_CONTEXT_SAMPLES, tail)).unfold(1, _CONTEXT_SAMPLES + STEP_SAMPLES, STEP_SAMPLES)
        x = functional.pad(steps.flatten(0, 1), (0, _CONTEXT_SAMPLES), mode="reflect").unsqueeze(1)  # [B·F, 1, 640]
        x = self.stft_conv(x)
        x = (x[:, :_FFT_BINS].square() + x[:, _FFT_BINS:].square()).sqrt()  # [B·F, 129, 4]
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = conv(x).relu()
        # [B·F, 128, 1] to [B, F, 128]
        hidden: Tensor = self.lstm(x.view(rows, -1, FEATURES))[0]
        return hidden


class SpeechEncoder(Encoder):
    """Encode the sound that is there, put together without its gaps, as one token for each 32 ms.

    Put together, because the detector is to say what it would say of these samples alone: after a gap filled with
    zeros it would say something else.
    """

    dim = FEATURES

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.trunk = _SileroTrunk()
        state = {name: tensor for name, tensor in weights.items() if not name.startswith("final_conv.")}
        self.trunk.load_state_dict(
            {name.replace("lstm_cell.", "lstm.") + ("_l0" if "lstm" in name else ""): state[name] for name in state}
        )

    def forward(self, batch: WindowBatch) -> Encoded:
        """Return [B, F, 128]; the mask says which steps a row's own sound fills."""
        if batch.is_dense:  # whose sound begins with the window and has no gaps
            with torch.autocast(batch.audio.device.type, enabled=False):
                return Encoded(self.trunk(batch.audio), batch.audio_mask)
        rows = batch.rows_with("audio")
        sounds = [_put_together(batch.audio[row], batch.audio_spans[row]) for row in rows]
        steps = batch.audio_mask.shape[1]
        # Always a whole window long: oneDNN keeps what it made for each new shape, a thousand of them, which is memory
        # that grows for hours where sounds have gaps of any length.
        sound = batch.audio.new_zeros(len(sounds), steps * STEP_SAMPLES)
        for row, samples in enumerate(sounds):
            sound[row, : samples.shape[0]] = samples
        # Speech is decided by thresholds, near which half precision would decide otherwise.
        with torch.autocast(sound.device.type, enabled=False):
            features = self.trunk(sound)  # [rows, steps, 128]
        tokens = features.new_zeros(len(batch.audio_spans), steps, FEATURES)
        mask = batch.audio_mask.new_zeros(len(batch.audio_spans), steps)
        for row, own, samples in zip(rows, features, sounds, strict=True):
            count = -(-samples.shape[0] // STEP_SAMPLES)
            tokens[row, :count] = own[:count]
            mask[row, :count] = True
        return Encoded(tokens, mask)


class SpeechHead(Head):
    """Say of each 32 ms how likely it is speech."""

    source = "audio"

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.fc = nn.Linear(FEATURES, 1)
        self.fc.load_state_dict(
            {"weight": weights["final_conv.weight"].squeeze(-1), "bias": weights["final_conv.bias"]}
        )

    def forward(self, features: Features) -> Tensor:
        """Return [B, F]; what lies beyond a window's own sound means nothing."""
        tokens = features.encoded[self.source].tokens
        with torch.autocast(tokens.device.type, enabled=False):
            probabilities: Tensor = self.fc(tokens.relu()).squeeze(-1).sigmoid()
        return probabilities


def _put_together(sound: Tensor, spans: tuple[tuple[int, int], ...]) -> Tensor:
    if len(spans) == 1:
        return sound[spans[0][0] : spans[0][1]]
    return torch.cat([sound[start:end] for start, end in spans])
