"""A small text encoder that is trained from scratch, for text in any language."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from triptych.models.network.collate import WindowBatch
from triptych.models.network.encoders.hashed_words import BITS, SLOTS
from triptych.models.network.parts import Encoded, Encoder

_LAYERS = 2


class SmallTextEncoder(Encoder):
    """Encode each word as one token: the sum of the embeddings of its hashes, followed by two residual convolutions.

    Args:
        dim: dimensions of a token.
        buckets: number of embeddings; hashes share them.
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
        """Return tokens float [B, L, dim] of the ids int64 [B, L]. Only rows with text are run."""
        if batch.is_dense:
            return Encoded(self.encode(batch.text, batch.text_mask), batch.text_mask, batch.text_t)
        present = list(batch.rows_with("text"))
        features = self.encode(batch.text[present], batch.text_mask[present])
        tokens = features.new_zeros(*batch.text.shape, self.dim)
        tokens[present] = features
        return Encoded(tokens, batch.text_mask, batch.text_t)

    def encode(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return tokens float [N, L, dim] of ids int64 [N, L] and their mask, bool [N, L]. Masked tokens are zero."""
        hashes = torch.stack([(ids >> (slot * BITS)) & ((1 << BITS) - 1) for slot in range(SLOTS)], -1)
        # Each slot has its own offset, so that equal hashes of a whole word and of a prefix get different embeddings.
        shifts = torch.arange(SLOTS, device=ids.device) * (self.buckets // SLOTS)
        present = mask.unsqueeze(-1)
        x: Tensor = self.table((hashes + shifts) % self.buckets).sum(-2) * present  # [N, L, 3, D] to [N, L, D]
        for conv, norm in zip(self.context, self.norms, strict=True):
            context = conv(norm(x).mul(present).transpose(1, 2)).transpose(1, 2)
            x = (x + functional.gelu(context)) * present
        return x
