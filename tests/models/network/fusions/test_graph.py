"""The graph fusion with edges as an input."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from triptych.models.network.fusions.graph import GraphFusion
from triptych.models.network.fusions.shape import FusionShape
from triptych.models.network.parts import Encoded

SHAPE = FusionShape(("text", "video"), width=8)
ENTITY, TEXT, VIDEO = 0, 1, 2


def graph(**options: str | float) -> GraphFusion:
    """Build a graph fusion with reproducible random weights."""
    torch.manual_seed(5)
    return GraphFusion(SHAPE, **options).eval()  # type: ignore[arg-type]


def nodes(entity: float) -> dict[str, Encoded]:
    """Return a window with an entity of a knowledge graph in addition to its modalities."""
    torch.manual_seed(6)
    made = {name: Encoded(torch.randn(1, 2, 8), torch.ones(1, 2).bool()) for name in ("text", "video")}
    return made | {"entity": Encoded(torch.full((1, 1, 8), entity) * torch.arange(8), torch.ones(1, 1).bool())}


def edges(*pairs: tuple[int, int]) -> Tensor:
    """Return edges from the first to the second node of each pair."""
    matrix = torch.zeros(1, 3, 3).bool()
    for sender, receiver in pairs:
        matrix[0, sender, receiver] = True
    return matrix


def test_nodes_are_sorted_by_name() -> None:
    """The order defines the indices of the edges."""
    fusion, made = graph(), nodes(1.0)
    order = fusion.nodes(made).tokens

    assert order.shape == (1, 3, 8)
    torch.testing.assert_close(order[:, ENTITY], made["entity"].tokens[:, 0])


def test_messages_pass_only_along_edges() -> None:
    """A change of the entity reaches the node that an edge connects it to, in the direction of the edge."""
    fusion = graph(rounds=1)
    round_ = fusion.rounds[0]

    def receive(of: Tensor, entity: float) -> Tensor:
        x = fusion.nodes(nodes(entity)).tokens
        out: Tensor = round_(x, of.transpose(1, 2) | torch.eye(3).bool())
        return out

    to_video = edges((ENTITY, VIDEO))
    torch.testing.assert_close(receive(to_video, 1.0)[:, TEXT], receive(to_video, -1.0)[:, TEXT])
    assert not torch.allclose(receive(to_video, 1.0)[:, VIDEO], receive(to_video, -1.0)[:, VIDEO])
    back = edges((VIDEO, ENTITY))
    torch.testing.assert_close(receive(back, 1.0)[:, VIDEO], receive(back, -1.0)[:, VIDEO])


def test_edges_affect_the_output() -> None:
    """The edges affect the output."""
    fusion, made = graph(), nodes(1.0)

    assert not torch.allclose(fusion(made, edges((ENTITY, VIDEO))).vector, fusion(made, edges()).vector)
    torch.testing.assert_close(fusion(made).vector, fusion(made, torch.ones(1, 3, 3).bool()).vector)


def test_reach_connects_tokens_that_are_near_in_time() -> None:
    """Only tokens within the reach are connected."""
    near = graph(nodes="tokens", reach=0.3, rounds=1)
    times = torch.tensor([[0.0, 0.1, 0.9]])
    default_edges = near._default_edges(Encoded(torch.zeros(1, 3, 8), torch.ones(1, 3).bool(), times))  # noqa: SLF001

    assert default_edges[0].tolist() == [[True, True, False], [True, True, False], [False, False, True]]


def test_invalid_edges_and_options_are_rejected() -> None:
    """Edges for another number of nodes, and a reach for nodes without times, are errors."""
    with pytest.raises(ValueError, match=r"edges: expected \[B, 3, 3\], got \[1, 2, 2\]"):
        graph()(nodes(1.0), torch.ones(1, 2, 2).bool())
    with pytest.raises(ValueError, match="reach: needs nodes with times"):
        graph(reach=0.5)
