"""Google's multilingual Universal Sentence Encoder, version 3, in torch (Yang et al., 2019, arXiv 1907.04307).

Word embeddings pass through three convolution branches of widths 2, 3 and 5. Their sum over a sentence passes through
four dense layers. The sentences of a batch are concatenated into one sequence, so nothing is padded.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from triptych.models.network.collate import WindowBatch
from triptych.models.network.parts import Encoded, Encoder
from triptych.models.pretrained.tokenizer import START_ID

FEATURES = 512
MAX_GRAPH_CUES = 8
"""Maximum number of cues per row that a dense batch distinguishes."""
_BRANCH = 256
_CHUNKS = 17
"""The word table of the original is quantised in this many interleaved chunks, each with its own scale."""
_WIDEST = 2
_BRANCHES = ((2, 0), (3, 1), (5, 2))
"""Kernel width of each branch, and how many of these words precede the current word."""


class _Branch(nn.Module):
    """A branch of two residual convolutions over neighbouring words."""

    w1: Tensor
    b1: Tensor
    w2: Tensor
    b2: Tensor

    def __init__(self, weights: Mapping[str, Tensor], neighbours: int, before: int) -> None:
        super().__init__()
        first = _WIDEST - before
        self._columns = slice(first, first + neighbours)
        for name in ("w1", "b1", "w2", "b2"):
            self.register_buffer(name, weights[f"{name}_{neighbours}"])

    def forward(self, words: Tensor, windows: Tensor) -> Tensor:
        """Return float32 [N, 256] of words float32 [N, 256] and their neighbours' indices, int64 [N, 5].

        Index N stands for a missing neighbour.
        """
        own = windows[:, self._columns]
        once = functional.relu(_gathered(words, own) @ self.w1 + self.b1) + words
        return functional.relu(_gathered(once, own) @ self.w2 + self.b2) + once


class SentenceEncoder(Encoder):
    """Encode each cue of a window as one token of length 1.

    Args:
        weights: the arrays of the original, by their names.
    """

    dim = FEATURES
    table: Tensor
    scale: Tensor
    lo: Tensor
    proj_all: Tensor
    proj_b_all: Tensor
    ln_g_all: Tensor
    ln_b_all: Tensor
    ln_g: Tensor
    ln_b: Tensor
    out_w: Tensor
    out_b: Tensor
    d0: Tensor
    d1: Tensor
    d2: Tensor
    d3: Tensor
    p1: Tensor
    p3: Tensor

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        chunks = [weights[f"q{chunk + 1}"] for chunk in range(_CHUNKS)]
        self.register_buffer("table", torch.stack(chunks, 1).flatten(0, 1))  # [7530, 17, 512] to [128010, 512], uint8
        for name in ("scale", "lo", "ln_g", "ln_b", "d0", "d1", "d2", "d3", "p1", "p3"):
            self.register_buffer(name, weights[name])
        self.register_buffer("out_w", weights["cnn_W"])
        self.register_buffer("out_b", weights["cnn_b"])
        for name in ("proj", "proj_b", "ln_g", "ln_b"):
            joined = torch.cat([weights[f"{name}{neighbours}"] for neighbours, _ in _BRANCHES], -1)
            self.register_buffer(f"{name}_all", joined)
        self.branches = nn.ModuleList(_Branch(weights, neighbours, before) for neighbours, before in _BRANCHES)
        self._epsilon = float(weights["eps"])

    def forward(self, batch: WindowBatch) -> Encoded:
        """Return tokens float32 [B, C, 512] of ids int64 [B, L]. C is the maximum number of cues of any row."""
        if batch.is_dense:
            return self._encode_dense(batch.text, batch.text_mask)
        rows = torch.tensor(batch.cue_counts)
        present = torch.arange(int(rows.max()))[None] < rows[:, None]  # [B, C]
        tokens = batch.text_mask.new_zeros(*present.shape, FEATURES, dtype=torch.float32)
        mask = present.to(tokens.device)
        # Half precision would save little time in such a small network, and would change the result.
        with torch.autocast(tokens.device.type, enabled=False):
            tokens[mask] = self.encode(batch.text[batch.text_mask])
        return Encoded(tokens, mask)

    def _encode_dense(self, ids: Tensor, mask: Tensor) -> Encoded:
        """Encode ids int64 [B, L] as tokens float32 [B, C, 512] with C = `MAX_GRAPH_CUES` for all batches.

        Masked ids form one additional sentence per row, which is dropped.
        """
        cue = cue_indices(ids, mask)
        rows = torch.arange(ids.shape[0], device=ids.device)[:, None] * (MAX_GRAPH_CUES + 1)
        with torch.autocast(ids.device.type, enabled=False):
            vectors = self._encode(ids.flatten(), (rows + cue).flatten(), ids.shape[0] * (MAX_GRAPH_CUES + 1))
        tokens = vectors.view(ids.shape[0], MAX_GRAPH_CUES + 1, FEATURES)[:, :MAX_GRAPH_CUES]
        count = ((ids == START_ID) & mask).sum(1, keepdim=True)
        return Encoded(tokens, torch.arange(MAX_GRAPH_CUES, device=ids.device)[None] < count)

    def encode(self, ids: Tensor) -> Tensor:
        """Encode concatenated sentences, ids int64 [N], each with a start token, as float32 [C, 512]."""
        sentence = (ids == START_ID).cumsum(0) - 1  # [N]
        return self._encode(ids, sentence, int(sentence[-1]) + 1)

    def _encode(self, ids: Tensor, sentence: Tensor, sentences: int) -> Tensor:
        """Encode ids int64 [N] with the index of each id's sentence, int64 [N], as float32 [sentences, 512]."""
        chunk = ids % _CHUNKS
        words = self.table[ids] * self.scale[chunk, None] + self.lo[chunk, None]  # [N, 512]
        windows = _neighbours(sentence)
        branched = _normed(words @ self.proj_all + self.proj_b_all, self.ln_g_all, self.ln_b_all, self._epsilon)
        own = torch.split(branched, _BRANCH, -1)
        contexts = [branch(mine, windows) for branch, mine in zip(self.branches, own, strict=True)]
        features = _normed(torch.cat([words, *contexts], -1), self.ln_g, self.ln_b, self._epsilon)  # [N, 1280]
        count = features.new_zeros(sentences, 1).index_add_(0, sentence, torch.ones_like(features[:, :1]))
        summed = features.new_zeros(sentences, features.shape[1]).index_add_(0, sentence, features)
        return self._dense((summed @ self.out_w + count * self.out_b) * count.clamp(min=1).rsqrt())

    def _dense(self, x: Tensor) -> Tensor:
        """Apply the dense layers, float32 [C, 512] to [C, 512] of length 1."""
        y0 = functional.relu(x @ self.d0)
        y1 = functional.relu(x @ self.p1 + y0 @ self.d1)
        y2 = functional.relu(y1 @ self.d2)
        return functional.normalize((y1 @ self.p3 + y2 @ self.d3).tanh(), dim=-1)


def cue_indices(ids: Tensor, mask: Tensor) -> Tensor:
    """Return the index of each token's cue within its row, int64 [B, L]; `MAX_GRAPH_CUES` for masked tokens."""
    cue = ((ids == START_ID) & mask).cumsum(1) - 1
    return torch.where(mask, cue.clamp(0, MAX_GRAPH_CUES - 1), MAX_GRAPH_CUES)


def _normed(x: Tensor, scale: Tensor, shift: Tensor, epsilon: float) -> Tensor:
    """Apply layer norm to float32 [N, D] with parameters [D]."""
    return functional.layer_norm(x, scale.shape, scale, shift, epsilon)


def _gathered(words: Tensor, windows: Tensor) -> Tensor:
    """Return the neighbours of each word side by side, [N, 256] to [N, k·256]; zeros where there is no neighbour."""
    return functional.pad(words, (0, 0, 0, 1))[windows].flatten(1)


def _neighbours(sentence: Tensor) -> Tensor:
    """Return the indices int64 [N, 5] of the words around each word; N where the neighbour is in another sentence."""
    words = sentence.shape[0]
    indices = torch.arange(words, device=sentence.device)[:, None] + torch.arange(
        -_WIDEST, _WIDEST + 1, device=sentence.device
    )
    same = sentence[indices.clamp(0, words - 1)] == sentence[:, None]
    return torch.where(same & (indices >= 0) & (indices < words), indices, words)
