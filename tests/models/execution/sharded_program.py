"""One of two processes that share an encoder. `test_sharding.py` starts it with torchrun."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.nn import functional

from triptych.models.execution.sharding import BERT_LAYERS, shard_text_encoder

WIDTH, HEAD, WORDS = 32, 8, 50


class _Self(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """Return the attention output [B, N, D / ranks] of the local heads for tokens [B, N, D]."""
        heads = [
            one(x).view(*x.shape[:2], -1, HEAD).transpose(1, 2)  # [B, N, D] to [B, H, N, D / H]
            for one in (self.query, self.key, self.value)
        ]
        return functional.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2)


class _Output(nn.Module):
    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, WIDTH)
        self.LayerNorm = nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor, before: Tensor) -> Tensor:
        """Project [B, N, ...] to [B, N, D] and add the residual."""
        return self.LayerNorm(self.dense(x) + before)  # type: ignore[no-any-return]


class _Layer(nn.Module):
    """A layer with the module names and the structure of BERT's."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.ModuleDict({"self": _Self(), "output": _Output(WIDTH)})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(WIDTH, 4 * WIDTH)})
        self.output = _Output(4 * WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, N, D]."""
        x = self.attention["output"](self.attention["self"](x), x)
        return self.output(functional.gelu(self.intermediate["dense"](x)), x)  # type: ignore[no-any-return]


class Bert(nn.Module):
    """A text encoder with the structure of BERT."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(WORDS, WIDTH)
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(_Layer() for _ in range(2))})

    def forward(self, ids: Tensor) -> Tensor:
        """Return float [B, N, D] of tokens [B, N]."""
        x = self.embeddings(ids)
        for layer in self.encoder["layer"]:  # type: ignore[union-attr]
            x = layer(x)
        return x  # type: ignore[no-any-return]


def main(folder: Path) -> None:
    """Print the outputs of both processes and of an unsharded encoder, and the fraction of weights held here."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo")
    torch.manual_seed(0)
    encoder = Bert().eval()
    ids = torch.randint(0, WORDS, (3, 11))
    unsharded = encoder(ids)
    sharded = shard_text_encoder(encoder, init_device_mesh("cpu", (distributed.get_world_size(),)))
    sharded_output = sharded(ids)
    sharded_output.square().sum().backward()
    layer = sharded.get_submodule("encoder.layer.0")
    held = {path: layer.get_submodule(path).weight.to_local().numel() for path in BERT_LAYERS}  # type: ignore[union-attr, operator]
    gradient = sharded.get_submodule("encoder.layer.0.intermediate.dense").weight.grad.full_tensor()  # type: ignore[union-attr, operator]
    torch.manual_seed(0)
    again = Bert().eval()
    again(ids).square().sum().backward()
    alone = again.get_submodule("encoder.layer.0.intermediate.dense").weight.grad  # type: ignore[union-attr]
    results = {
        "unsharded": unsharded.detach(),
        "sharded_output": sharded_output.detach(),
        "held": held,
        "gradients": (alone, gradient),
    }
    torch.save(results, folder / f"{distributed.get_rank()}.pt")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
