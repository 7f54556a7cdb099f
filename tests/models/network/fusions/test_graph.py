"""The edges of the graph are an input: messages pass along them and nowhere else."""

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
    """Build a graph fusion with the same numbers each time."""
    torch.manual_seed(5)
    return GraphFusion(SHAPE, **options).eval()  # type: ignore[arg-type]


def nodes(entity: float) -> dict[str, Encoded]:
    """Make a window with an entity of a knowledge graph beside its modalities."""
    torch.manual_seed(6)
    made = {name: Encoded(torch.randn(1, 2, 8), torch.ones(1, 2).bool()) for name in ("text", "video")}
    return made | {"entity": Encoded(torch.full((1, 1, 8), entity) * torch.arange(8), torch.ones(1, 1).bool())}


def edges(*pairs: tuple[int, int]) -> Tensor:
    """Join nodes: the second of a pair hears the first."""
    joined = torch.zeros(1, 3, 3).bool()
    for speaker, hearer in pairs:
        joined[0, speaker, hearer] = True
    return joined


def test_nodes_stand_in_the_order_of_their_names() -> None:
    """So that whoever makes edges can count them."""
    fusion, made = graph(), nodes(1.0)
    order = fusion.nodes(made).tokens

    assert order.shape == (1, 3, 8)
    torch.testing.assert_close(order[:, ENTITY], made["entity"].tokens[:, 0])


def test_messages_pass_along_edges_only() -> None:
    """An entity is heard by the picture that an edge joins it to, in the direction of the edge."""
    fusion = graph(rounds=1)
    round_ = fusion.rounds[0]

    def heard(of: Tensor, entity: float) -> Tensor:
        x = fusion.nodes(nodes(entity)).tokens
        out: Tensor = round_(x, of.transpose(1, 2) | torch.eye(3).bool())
        return out

    to_video = edges((ENTITY, VIDEO))
    torch.testing.assert_close(heard(to_video, 1.0)[:, TEXT], heard(to_video, -1.0)[:, TEXT])
    assert not torch.allclose(heard(to_video, 1.0)[:, VIDEO], heard(to_video, -1.0)[:, VIDEO])
    back = edges((VIDEO, ENTITY))
    torch.testing.assert_close(heard(back, 1.0)[:, VIDEO], heard(back, -1.0)[:, VIDEO])


def test_edges_change_what_is_fused() -> None:
    """The whole fusion takes them."""
    fusion, made = graph(), nodes(1.0)

    assert not torch.allclose(fusion(made, edges((ENTITY, VIDEO))).vector, fusion(made, edges()).vector)
    torch.testing.assert_close(fusion(made).vector, fusion(made, torch.ones(1, 3, 3).bool()).vector)


def test_reach_joins_what_is_near_in_time() -> None:
    """A token far away is not heard."""
    near = graph(nodes="tokens", reach=0.3, rounds=1)
    times = torch.tensor([[0.0, 0.1, 0.9]])
    usual = near._default_edges(Encoded(torch.zeros(1, 3, 8), torch.ones(1, 3).bool(), times))  # noqa: SLF001

    assert usual[0].tolist() == [[True, True, False], [True, True, False], [False, False, True]]


def test_what_does_not_fit_is_refused() -> None:
    """Edges of another number of nodes, and a reach of nodes that have no time."""
    with pytest.raises(ValueError, match=r"edges: expected \[B, 3, 3\], got \[1, 2, 2\]"):
        graph()(nodes(1.0), torch.ones(1, 2, 2).bool())
    with pytest.raises(ValueError, match="reach: needs nodes with times"):
        graph(reach=0.5)
