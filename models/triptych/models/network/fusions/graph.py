"""Fusion by a graph: nodes pass messages along edges, weighted by attention (GATv2, Brody et al., arXiv 2105.14491).

The edges are an input, so the nodes of a knowledge graph can join: hand their vectors in as one more entry of
`encoded`, under any name, and edges between them and the others.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from triptych.models.network.fusions.pooled import Pool
from triptych.models.network.fusions.shape import FusionShape
from triptych.models.network.masked_math import concat_tokens, masked_softmax
from triptych.models.network.parts import Encoded, Fused, Fusion

_SLOPE = 0.2


class GraphFusion(Fusion):
    """Pass messages between nodes, and gather the window from those that are there.

    Args:
        shape: what it works on.
        rounds: how often messages pass.
        nodes: `pooled`, one node for each modality; or `tokens`, one for each token.
        reach: without edges handed in, tokens are joined that lie no farther apart than this share of the window;
            None joins all.
    """

    def __init__(
        self, shape: FusionShape, *, rounds: int = 2, nodes: str = "pooled", reach: float | None = None
    ) -> None:
        super().__init__()
        if nodes not in {"pooled", "tokens"}:
            raise ValueError(f"nodes: expected pooled or tokens, got {nodes!r}")
        if reach is not None and nodes == "pooled":
            raise ValueError("reach: needs nodes with times, which pooled ones have not; take nodes=tokens")
        pools = {name: Pool(shape.width, shape.dropout) for name in shape.modalities} if nodes == "pooled" else {}
        self.pools = nn.ModuleDict(pools)
        self._reach = reach
        self.rounds = nn.ModuleList(_Round(shape.width, shape.dropout) for _ in range(rounds))
        self.weigh = nn.Linear(shape.width, 1)
        self.after = nn.LayerNorm(shape.width)

    def nodes(self, encoded: Mapping[str, Encoded]) -> Encoded:
        """Return the nodes [B, N, D] in the order that edges count them: by name, and then as they come.

        A modality that no row has is not among them.
        """
        pooled = {
            name: Encoded(self.pools[name](one).unsqueeze(1), one.present.unsqueeze(1)) if name in self.pools else one
            for name, one in encoded.items()
        }
        return concat_tokens(pooled, keep_empty=True)

    def forward(self, encoded: Mapping[str, Encoded], edges: Tensor | None = None) -> Fused:
        """Return [B, D] of the nodes and edges, bool [B, N, N]: the second hears the first where it is true."""
        nodes = self.nodes(encoded)
        if edges is None:
            edges = self._usual_edges(nodes)
        if edges.shape[1:] != (nodes.mask.shape[1],) * 2:
            raise ValueError(f"edges: expected [B, {nodes.mask.shape[1]}, {nodes.mask.shape[1]}], got {[*edges.shape]}")
        itself = torch.eye(edges.shape[1], dtype=torch.bool, device=edges.device)
        heard = (edges.transpose(1, 2) & nodes.mask[:, None, :]) | itself  # [B, hearer, speaker]
        x = nodes.tokens
        for one in self.rounds:
            x = one(x, heard)
        weights = masked_softmax(self.weigh(x).squeeze(-1), nodes.mask) * nodes.mask
        return Fused(self.after((weights.unsqueeze(-1) * x).sum(1)))

    def _usual_edges(self, nodes: Encoded) -> Tensor:
        count = nodes.mask.shape[1]
        if self._reach is None or nodes.times is None:
            return nodes.mask.new_ones(nodes.mask.shape[0], count, count)
        return (nodes.times[:, :, None] - nodes.times[:, None, :]).abs() <= self._reach


class _Round(nn.Module):
    """Let each node hear its neighbours once, then think."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.before = nn.LayerNorm(width)
        self.speaker = nn.Linear(width, width)
        self.hearer = nn.Linear(width, width)
        self.weigh = nn.Linear(width, 1, bias=False)
        self.think = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(2 * width, width),
        )

    def forward(self, nodes: Tensor, heard: Tensor) -> Tensor:
        """Return [B, N, D] of nodes and bool [B, hearer, speaker]."""
        normed = self.before(nodes)
        speaker = self.speaker(normed)
        pairs = self.hearer(normed)[:, :, None] + speaker[:, None]  # [B, hearer, speaker, D]
        scores = self.weigh(functional.leaky_relu(pairs, _SLOPE)).squeeze(-1)
        nodes = nodes + masked_softmax(scores, heard) @ speaker
        thought: Tensor = nodes + self.think(nodes)
        return thought
