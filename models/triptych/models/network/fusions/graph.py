"""A fusion by message passing on a graph with attention (GATv2; Brody et al., 2021, arXiv 2105.14491).

The edges are an input, so nodes of a knowledge graph can take part: pass their vectors as a further entry of `encoded`
under any name, and pass the edges between them and the other nodes.
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
    """Pass messages between nodes, then pool the nodes that exist.

    Args:
        shape: the sizes of the fusion.
        rounds: number of message passing rounds.
        nodes: `pooled` for one node per modality, `tokens` for one node per token.
        reach: maximum distance in time between connected tokens, as a fraction of the window, if no edges are passed;
            None connects all tokens.
    """

    def __init__(
        self, shape: FusionShape, *, rounds: int = 2, nodes: str = "pooled", reach: float | None = None
    ) -> None:
        super().__init__()
        if nodes not in {"pooled", "tokens"}:
            raise ValueError(f"nodes: expected pooled or tokens, got {nodes!r}")
        if reach is not None and nodes == "pooled":
            raise ValueError("reach: needs nodes with times, which pooled nodes do not have; use nodes=tokens")
        pools = {name: Pool(shape.width, shape.dropout) for name in shape.modalities} if nodes == "pooled" else {}
        self.pools = nn.ModuleDict(pools)
        self._reach = reach
        self.rounds = nn.ModuleList(_Round(shape.width, shape.dropout) for _ in range(rounds))
        self.weigh = nn.Linear(shape.width, 1)
        self.after = nn.LayerNorm(shape.width)

    def nodes(self, encoded: Mapping[str, Encoded]) -> Encoded:
        """Return the nodes float [B, N, D] in the order in which edges index them: by name, then in token order.

        A modality that no row has contributes no nodes.
        """
        pooled = {
            name: Encoded(self.pools[name](one).unsqueeze(1), one.present.unsqueeze(1)) if name in self.pools else one
            for name, one in encoded.items()
        }
        return concat_tokens(pooled, keep_empty=True)

    def forward(self, encoded: Mapping[str, Encoded], edges: Tensor | None = None) -> Fused:
        """Return the vector float [B, D].

        Args:
            encoded: tokens float [B, N_m, D] by modality.
            edges: bool [B, N, N]; entry [b, i, j] is true if node j receives messages from node i. None uses `reach`.
        """
        nodes = self.nodes(encoded)
        if edges is None:
            edges = self._default_edges(nodes)
        if edges.shape[1:] != (nodes.mask.shape[1],) * 2:
            raise ValueError(f"edges: expected [B, {nodes.mask.shape[1]}, {nodes.mask.shape[1]}], got {[*edges.shape]}")
        self_loops = torch.eye(edges.shape[1], dtype=torch.bool, device=edges.device)
        receives = (edges.transpose(1, 2) & nodes.mask[:, None, :]) | self_loops  # [B, receiver, sender]
        x = nodes.tokens
        for one in self.rounds:
            x = one(x, receives)
        weights = masked_softmax(self.weigh(x).squeeze(-1), nodes.mask) * nodes.mask
        return Fused(self.after((weights.unsqueeze(-1) * x).sum(1)))

    def _default_edges(self, nodes: Encoded) -> Tensor:
        """Return edges between all nodes, or between those at most `reach` apart in time, bool [B, N, N]."""
        count = nodes.mask.shape[1]
        if self._reach is None or nodes.times is None:
            return nodes.mask.new_ones(nodes.mask.shape[0], count, count)
        return (nodes.times[:, :, None] - nodes.times[:, None, :]).abs() <= self._reach


class _Round(nn.Module):
    """One round of message passing: each node receives from its neighbours, followed by a feed-forward network."""

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

    def forward(self, nodes: Tensor, receives: Tensor) -> Tensor:
        """Return the updated nodes, given nodes float [B, N, D] and `receives`, bool [B, receiver, sender]."""
        normed = self.before(nodes)
        messages = self.speaker(normed)
        pairs = self.hearer(normed)[:, :, None] + messages[:, None]  # [B, receiver, sender, D]
        scores = self.weigh(functional.leaky_relu(pairs, _SLOPE)).squeeze(-1)
        nodes = nodes + masked_softmax(scores, receives) @ messages
        updated: Tensor = nodes + self.think(nodes)
        return updated
