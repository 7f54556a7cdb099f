"""A small text encoder, to be trained from scratch, for words in any language."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from triptych.models.network.collate import WindowBatch
from triptych.models.network.encoders.hashed_words import BITS, SLOTS
from triptych.models.network.parts import Encoded, Encoder

_LAYERS = 2


class SmallTextEncoder(Encoder):
    """Encode each word as one token: the sum of the vectors of its hashes, put into context by two convolutions.

    Args:
        dim: numbers of a token.
        buckets: vectors there are; hashes share them.
    """

    def __init__(self, dim: int = 64, buckets: int = 2_048) -> None:
        super().__init__()
        self.dim = dim
        self.buckets = buckets
        self.table = nn.Embedding(buckets, dim)
        nn.init.normal_(self.table.weight, std=SLOTS**-0.5)
        self.context = nn.ModuleList(nn.Conv1d(dim, dim, 3, padding=1) for _ in range(_LAYERS))
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(_LAYERS))

    def forward(self, batch: WindowBatch) -> Encoded:
        """Return [B, L, D]. Only rows with text are run."""
        if batch.is_dense:
            return Encoded(self.encode(batch.text, batch.text_mask), batch.text_mask, batch.text_t)
        there = list(batch.rows_with("text"))
        features = self.encode(batch.text[there], batch.text_mask[there])
        tokens = features.new_zeros(*batch.text.shape, self.dim)
        tokens[there] = features
        return Encoded(tokens, batch.text_mask, batch.text_t)

    def encode(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return [N, L, D] of tokens [N, L]; what is not there is zeros, also to its neighbours."""
        hashes = torch.stack([(ids >> (slot * BITS)) & ((1 << BITS) - 1) for slot in range(SLOTS)], -1)
        # Slots start at different vectors, so that "the word is so" and "the word begins so" differ.
        shifts = torch.arange(SLOTS, device=ids.device) * (self.buckets // SLOTS)
        there = mask.unsqueeze(-1)
        x: Tensor = self.table((hashes + shifts) % self.buckets).sum(-2) * there  # [N, L, 3, D] to [N, L, D]
        for conv, norm in zip(self.context, self.norms, strict=True):
            seen = conv(norm(x).mul(there).transpose(1, 2)).transpose(1, 2)
            x = (x + functional.gelu(seen)) * there
        return x
