"""Structured magnitude pruning: remove hidden channels and rebuild the layers without them.

Channels are ranked by the norms of their weights (Li et al., 2017, "Pruning filters for efficient convnets", arXiv
1608.08710).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from triptych.models.checkpoints.card import Architecture
from triptych.models.checkpoints.shrinking import Chain, chains
from triptych.models.network.fused import FusedModel


def prune(model: FusedModel, architecture: Architecture, share: float) -> Architecture:
    """Remove a share of the channels between prunable layers, in place, and return the architecture with what is left.

    Pretrained encoders stay as they are: the card names frozen ones by checksum, and a tuned one is built from them.
    """
    whole = [modality for modality, encoder in architecture.encoders.items() if encoder.kind == "pretrained"]
    kept = dict(architecture.kept)
    for path, chain in chains(model, without=whole).items():
        staying = most_important(chain, share)
        if len(staying) < chain.width:
            chain.keep(staying)
            kept[path] = len(staying)
    return architecture.model_copy(update={"kept": kept})


def most_important(chain: Chain, share: float) -> Tensor:
    """Return the sorted indices of the channels to keep, int64 [K], equally many of each group.

    The importance of a channel is the norm of its incoming weights times the norm of its outgoing weights. Behind a
    normalisation layer the incoming norm means nothing, so the absolute weight of the normalisation replaces it.
    """
    first, second = chain.layers
    norm = None if chain.norm is None else chain.owner[chain.norm]
    before = norm.weight.abs() if isinstance(norm, nn.GroupNorm) else first.weight.flatten(1).norm(dim=1)
    after = second.weight.transpose(0, 1).flatten(1).norm(dim=1)
    importance = (before * after).detach().view(chain.groups, -1)  # [G, W / G]
    size = importance.shape[1]
    staying = importance.topk(max(1, size - int(share * size)), dim=1).indices
    places: Tensor = staying + size * torch.arange(chain.groups).unsqueeze(1)  # [G, K / G]
    return places.flatten().sort().values
