"""Choose which numbers between layers a network can do without, and rebuild it without them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from triptych.models.checkpoints.card import Architecture
from triptych.models.checkpoints.shrinking import Chain, chains
from triptych.models.network.fused import FusedModel


def prune(model: FusedModel, architecture: Architecture, share: float) -> Architecture:
    """Take a share of the numbers away behind every layer where that can be done; return what is left, as a card says.

    Pretrained encoders stay whole: a checkpoint names the frozen ones by their checksums, and a tuned one is built
    from them.
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
    """Return the numbers that stay, [K], in order: of each group as many; no more than the share goes.

    A number counts as much as what reaches it, times what it is given afterwards: the lengths of its weights on both
    sides. Behind a norm the first length says nothing, and the norm's own weight counts instead.
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
