"""Pruned layers are really smaller, and give the same outputs if only unused channels were removed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from triptych.models.checkpoints.shrinking import chains, shrink
from triptych.models.network.architecture import Network
from triptych.models.network.collate import WindowBatch, collate, empty_batch
from triptych.models.network.encoders.hashed_words import hash_words
from triptych.models.network.fused import FusedModel
from triptych.models.window import PreparedWindow
from triptych.schemas.errors import UsageError
from triptych.training.compression.pruning import most_important, prune


@pytest.fixture
def batch(noise_window: Callable[..., PreparedWindow], small_card: Callable[..., object]) -> WindowBatch:
    """Return windows of noise."""
    spec = small_card().input.spec()  # type: ignore[attr-defined]
    words = [noise_window(seed) for seed in range(3)]
    return collate(words, empty_batch(3, 32_000, spec), hash_words)


@pytest.mark.parametrize("fusion", ["attention", "bottleneck", "concat", "decoder", "graph", "late", "projection"])
def test_pruning_unused_channels_changes_no_output(
    fusion: str, small_network: Callable[..., Network], batch: WindowBatch
) -> None:
    """Pruning removes exactly those channels whose weights in the next layer were set to 0, and no output changes."""
    network: FusedModel = small_network(fusion).model
    found = {path: chain for path, chain in chains(network).items() if chain.norm is None}
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for chain in found.values():
            chosen = torch.randperm(chain.width, generator=generator)[: chain.width // 2]
            chain.layers[1].weight[:, chosen] = 0
        before = network(batch)["mood"]
        for chain in found.values():
            chain.keep(most_important(chain, 0.5))
        after = network(batch)["mood"]

    assert found
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)


def test_a_card_builds_the_pruned_network(
    small_network: Callable[..., Network], small_card: Callable[..., object], batch: WindowBatch
) -> None:
    """Video and audio encoders lose equally many channels of each group.

    The card builds a network of the same shapes.
    """
    network: FusedModel = small_network().model
    before = sum(parameter.numel() for parameter in network.parameters())
    architecture = prune(network, small_card().architecture, 0.5)  # type: ignore[attr-defined]
    rebuilt: FusedModel = small_network().model
    shrink(rebuilt, architecture.kept)

    assert architecture.kept["encoders.video.trunk.0"] == 16  # of 24 in 8 groups: two of three each
    assert architecture.kept["fusion.blocks.0.think.1"] == 32
    assert sum(parameter.numel() for parameter in network.parameters()) < 0.8 * before
    rebuilt.load_state_dict(network.state_dict())
    torch.testing.assert_close(rebuilt(batch)["mood"], network(batch)["mood"])


def test_chains_end_at_layers_that_depend_on_all_channels() -> None:
    """A norm over all channels, a grouped convolution, and a layer of another kind end a chain."""
    sequence = nn.Sequential(
        nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 4), nn.GELU(), nn.Linear(4, 2), nn.Sigmoid(), nn.Linear(2, 2)
    )

    assert list(chains(nn.ModuleDict({"one": sequence}))) == ["one.2"]


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        ({"fusion.nowhere.1": 4}, "fusion.nowhere.1 is not a layer that can be pruned"),
        ({"encoders.video.trunk.0": 12}, "up to 24 channels, a multiple of 8, got 12"),
        ({"fusion.blocks.0.think.1": 65}, "up to 64 channels, a multiple of 1, got 65"),
    ],
)
def test_invalid_channel_counts_are_rejected(
    kept: dict[str, int], expected: str, small_network: Callable[..., Network]
) -> None:
    """The error message gives the reason."""
    with pytest.raises(UsageError, match=expected):
        shrink(small_network().model, kept)
