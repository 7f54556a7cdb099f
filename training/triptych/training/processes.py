"""Training in several processes (distributed data parallel), as torchrun starts them; or in this one alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True, slots=True)
class Processes:
    """Say which of how many processes this is."""

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Say whether this process validates, writes and reports."""
        return self.rank == 0

    def wrap(self, module: nn.Module) -> nn.Module:
        """Return a module whose gradients are the mean over all processes."""
        if self.count == 1:
            return module
        # A modality that no window of a batch has leaves its encoder without gradients.
        return DistributedDataParallel(module, find_unused_parameters=True)

    def broadcast_stop(self, *, stop: bool) -> bool:
        """Return what the first process decided, in all of them."""
        if self.count == 1:
            return stop
        decision = torch.tensor([int(stop)])
        distributed.broadcast(decision, src=0)
        return bool(decision.item())


@contextmanager
def join_process_group(device: torch.device) -> Iterator[Processes]:
    """Join the other processes when torchrun started this one, and leave them at the end."""
    if not distributed.is_torchelastic_launched():
        yield Processes()
        return
    distributed.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    try:
        yield Processes(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()
