"""Training in several processes (distributed data parallel), started by torchrun; or in one process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True, slots=True)
class Processes:
    """The rank of this process and the number of processes."""

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Return whether this process validates, writes and reports."""
        return self.rank == 0

    def wrap(self, module: nn.Module) -> nn.Module:
        """Return the module with gradients averaged over all processes."""
        if self.count == 1:
            return module
        # An encoder has no gradients if no window of the batch has its modality.
        return DistributedDataParallel(module, find_unused_parameters=True)

    def broadcast_stop(self, *, stop: bool) -> bool:
        """Return the first process's decision, in all processes. Blocks until all have called it."""
        if self.count == 1:
            return stop
        decision = torch.tensor([int(stop)])
        distributed.broadcast(decision, src=0)
        return bool(decision.item())


@contextmanager
def join_process_group(device: torch.device) -> Iterator[Processes]:
    """Join the process group if torchrun started this process, and leave it on exit."""
    if not distributed.is_torchelastic_launched():
        yield Processes()
        return
    distributed.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    try:
        yield Processes(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()
