"""Silero VAD (snakers4/silero-vad, version 6) in torch: the probability of speech for each 32 ms of audio.

The network is the original one for 16 kHz. The original processes one step of one stream per call, this one whole
windows in batches.
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
    """Encode audio float32 [B, S] as float32 [B, F, 128], F = ceil(S / 512), with an LSTM over the steps."""

    def __init__(self) -> None:
        super().__init__()
        self.stft_conv = nn.Conv1d(1, 2 * _FFT_BINS, _FFT_SAMPLES, stride=_HOP_SAMPLES, bias=False)
        self.conv1 = nn.Conv1d(_FFT_BINS, FEATURES, 3, padding=1)
        self.conv2 = nn.Conv1d(FEATURES, FEATURES // 2, 3, stride=2, padding=1)
        self.conv3 = nn.Conv1d(FEATURES // 2, FEATURES // 2, 3, stride=2, padding=1)
        self.conv4 = nn.Conv1d(FEATURES // 2, FEATURES, 3, padding=1)
        self.lstm = nn.LSTM(FEATURES, FEATURES, batch_first=True)

    def forward(self, audio: Tensor) -> Tensor:
        """Return the LSTM states float32 [B, F, 128] of audio float32 [B, S]."""
        rows = audio.shape[0]
        # Each step includes the last 64 samples of the previous step, or silence for the first: [B, F, 576].
        tail = -audio.shape[1] % STEP_SAMPLES
        steps = functional.pad(audio, (_CONTEXT_SAMPLES, tail)).unfold(1, _CONTEXT_SAMPLES + STEP_SAMPLES, STEP_SAMPLES)
        x = functional.pad(steps.flatten(0, 1), (0, _CONTEXT_SAMPLES), mode="reflect").unsqueeze(1)  # [B·F, 1, 640]
        x = self.stft_conv(x)
        x = (x[:, :_FFT_BINS].square() + x[:, _FFT_BINS:].square()).sqrt()  # [B·F, 129, 4]
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = conv(x).relu()
        # [B·F, 128, 1] to [B, F, 128]
        hidden: Tensor = self.lstm(x.view(rows, -1, FEATURES))[0]
        return hidden


class SpeechEncoder(Encoder):
    """Encode the present audio, concatenated without gaps, as one token per 32 ms.

    Gaps are removed, not filled with zeros, so that the result only depends on the present samples. The detector would
    react to zeros.
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
        """Return tokens float32 [B, F, 128] of audio float32 [B, S].

        The mask covers the steps of a row's present samples.
        """
        if batch.is_dense:  # dense batches have no gaps
            with torch.autocast(batch.audio.device.type, enabled=False):
                return Encoded(self.trunk(batch.audio), batch.audio_mask)
        rows = batch.rows_with("audio")
        segments = [_without_gaps(batch.audio[row], batch.audio_spans[row]) for row in rows]
        steps = batch.audio_mask.shape[1]
        # Always the length of a window: oneDNN caches code for up to a thousand shapes, so audio of varying lengths
        # would make memory grow for hours.
        audio = batch.audio.new_zeros(len(segments), steps * STEP_SAMPLES)
        for row, samples in enumerate(segments):
            audio[row, : samples.shape[0]] = samples
        # Speech is decided by thresholds, and half precision would change decisions near them.
        with torch.autocast(audio.device.type, enabled=False):
            features = self.trunk(audio)  # [rows, steps, 128]
        tokens = features.new_zeros(len(batch.audio_spans), steps, FEATURES)
        mask = batch.audio_mask.new_zeros(len(batch.audio_spans), steps)
        for row, own, samples in zip(rows, features, segments, strict=True):
            count = -(-samples.shape[0] // STEP_SAMPLES)
            tokens[row, :count] = own[:count]
            mask[row, :count] = True
        return Encoded(tokens, mask)


class SpeechHead(Head):
    """Predict the probability of speech for each 32 ms."""

    source = "audio"

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.fc = nn.Linear(FEATURES, 1)
        self.fc.load_state_dict(
            {"weight": weights["final_conv.weight"].squeeze(-1), "bias": weights["final_conv.bias"]}
        )

    def forward(self, features: Features) -> Tensor:
        """Return the probabilities, float32 [B, F]. Values after the end of a row's present audio are meaningless."""
        tokens = features.encoded[self.source].tokens
        with torch.autocast(tokens.device.type, enabled=False):
            probabilities: Tensor = self.fc(tokens.relu()).squeeze(-1).sigmoid()
        return probabilities


def _without_gaps(audio: Tensor, spans: tuple[tuple[int, int], ...]) -> Tensor:
    """Concatenate the ranges of audio float32 [S] that are in `spans`."""
    if len(spans) == 1:
        return audio[spans[0][0] : spans[0][1]]
    return torch.cat([audio[start:end] for start, end in spans])
