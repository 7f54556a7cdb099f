"""The fusions by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from triptych.models.network.fusions.attentive import AttentionFusion, BottleneckFusion, DecoderFusion
from triptych.models.network.fusions.graph import GraphFusion
from triptych.models.network.fusions.pooled import ConcatFusion, LateFusion, SharedSpaceFusion
from triptych.models.network.fusions.residual import ResidualFusion
from triptych.models.network.fusions.shape import FusionShape
from triptych.models.network.parts import Fusion
from triptych.schemas.errors import UsageError

FUSIONS: Mapping[str, Callable[..., Fusion]] = {
    "attention": AttentionFusion,
    "bottleneck": BottleneckFusion,
    "concat": ConcatFusion,
    "decoder": DecoderFusion,
    "graph": GraphFusion,
    "late": LateFusion,
    "projection": SharedSpaceFusion,
    "residual": ResidualFusion,
}


def build_fusion(name: str, shape: FusionShape, **options: float | str) -> Fusion:
    """Build a fusion. The options are the keyword arguments of its class.

    Raises:
        UsageError: there is no fusion of this name, or an option or its value is invalid.
    """
    if name not in FUSIONS:
        raise UsageError(f"no fusion is called {name!r}; there are: {', '.join(FUSIONS)}")
    try:
        return FUSIONS[name](shape, **options)
    except (TypeError, ValueError) as error:
        raise UsageError(f"fusion {name} cannot be built with {options}: {error}") from error
