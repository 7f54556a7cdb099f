"""The contract of all fusions: masks are respected, any subset of modalities works, rows are independent."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from torch import Tensor, nn

from triptych.models.network.fusions.attentive import AttentionFusion
from triptych.models.network.fusions.registry import FUSIONS, build_fusion
from triptych.models.network.fusions.shape import FusionShape
from triptych.models.network.masked_math import masked_mean
from triptych.models.network.parts import Encoded, Fused, Fusion
from triptych.schemas.errors import UsageError

MODALITIES = ("audio", "text", "video")
TOKENS = {"audio": 5, "text": 4, "video": 3}
SHAPE = FusionShape(MODALITIES, width=16, heads=("mood", "theme"))
ROWS = 4
SUBSETS = [subset for size in (1, 2, 3) for subset in combinations(MODALITIES, size)]
VARIANTS: list[tuple[str, dict[str, str | float]]] = [
    *((name, {}) for name in FUSIONS),
    ("attention", {"tokens": "pooled"}),
    ("graph", {"nodes": "tokens", "reach": 0.4}),
]


def encoded(seed: int = 0, modalities: tuple[str, ...] = MODALITIES) -> dict[str, Encoded]:
    """Return tokens, the last of which is masked for each modality."""
    generator = torch.Generator().manual_seed(seed)
    made = {}
    for name in MODALITIES:
        tokens = torch.randn(ROWS, TOKENS[name], 16, generator=generator)
        mask = (torch.arange(TOKENS[name]) < TOKENS[name] - 1).repeat(ROWS, 1)
        made[name] = Encoded(tokens, mask, torch.linspace(0, 1, TOKENS[name]).repeat(ROWS, 1))
    return {name: made[name] for name in modalities}


def built(name: str, **options: str | float) -> Fusion:
    """Build a fusion with reproducible random weights."""
    torch.manual_seed(3)
    fusion = build_fusion(name, SHAPE, **options).eval()
    for parameter in fusion.parameters():
        if not parameter.any():  # zero weights would hide the layers before them
            nn.init.normal_(parameter, std=0.2)
    return fusion


def numbers(fused: Fused) -> Tensor:
    """Return all vectors that heads may read."""
    return torch.cat([fused.vector, *fused.by_head.values()], -1)


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_masked_tokens_do_not_affect_the_output(name: str, options: dict[str, str | float]) -> None:
    """The values of masked tokens do not affect the output."""
    fusion, clean = built(name, **options), encoded()
    dirty = {
        key: one._replace(tokens=torch.where(one.mask.unsqueeze(-1), one.tokens, 99.0)) for key, one in clean.items()
    }

    torch.testing.assert_close(numbers(fusion(dirty)), numbers(fusion(clean)))


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_a_masked_modality_equals_a_missing_one(name: str, options: dict[str, str | float]) -> None:
    """For each subset, a masked modality gives the same output as one that is missing from the batch."""
    fusion, tokens_by_modality = built(name, **options), encoded()
    answers = []
    for subset in SUBSETS:
        masked = {
            key: one if key in subset else one._replace(mask=torch.zeros_like(one.mask))
            for key, one in tokens_by_modality.items()
        }
        without = {key: tokens_by_modality[key] for key in subset}
        answers.append(numbers(fusion(without)))

        assert answers[-1].isfinite().all()
        torch.testing.assert_close(numbers(fusion(masked)), answers[-1])
    assert len({tuple(answer[0].tolist()) for answer in answers}) == len(SUBSETS)


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_rows_are_independent(name: str, options: dict[str, str | float]) -> None:
    """The output for a row does not depend on other rows, even if one of them is empty."""
    fusion, tokens_by_modality = built(name, **options), encoded()
    for one in tokens_by_modality.values():
        one.mask[1] = False
    together = numbers(fusion(tokens_by_modality))
    alone = {
        key: Encoded(one.tokens[:1], one.mask[:1], one.times[:1])
        for key, one in tokens_by_modality.items()
        if one.times is not None
    }

    assert together.isfinite().all()
    torch.testing.assert_close(numbers(fusion(alone)), together[:1])


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_gradients_are_finite_if_a_row_is_empty(name: str, options: dict[str, str | float]) -> None:
    """A NaN in one row would reach all weights."""
    fusion, tokens_by_modality = built(name, **options), encoded()
    for one in tokens_by_modality.values():
        one.mask[1] = False
    numbers(fusion(tokens_by_modality)).square().sum().backward()

    gradients = [parameter.grad for parameter in fusion.parameters() if parameter.grad is not None]
    assert gradients
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_the_decoder_returns_a_vector_for_each_head() -> None:
    """Different queries give different vectors."""
    fused = built("decoder")(encoded())

    assert set(fused.by_head) == {"mood", "theme"}
    assert not torch.allclose(fused.by_head["mood"], fused.by_head["theme"])


def test_the_projection_returns_unit_vectors() -> None:
    """The vectors for a contrastive loss have length 1."""
    shared = built("projection")(encoded()).shared

    assert set(shared) == set(MODALITIES)
    for vectors in shared.values():
        torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(ROWS))


def test_the_residual_fusion_of_a_single_modality_is_the_mean_of_its_tokens() -> None:
    """Other modalities only add a correction, which is zero before training."""
    fusion, tokens_by_modality = built("residual"), encoded()
    means = {name: masked_mean(one) for name, one in tokens_by_modality.items()}

    for name, one in tokens_by_modality.items():
        torch.testing.assert_close(fusion({name: one}).vector, means[name])
    together = torch.stack(list(means.values())).mean(0)
    assert not torch.allclose(fusion(tokens_by_modality).vector, together, atol=1e-2)
    fresh = build_fusion("residual", SHAPE).eval()
    torch.testing.assert_close(fresh(tokens_by_modality).vector, together)


def test_attention_does_not_depend_on_the_order_of_tokens() -> None:
    """Only the times of the tokens encode their order."""
    fusion, tokens_by_modality = built("attention"), encoded()
    reversed_tokens = {
        key: Encoded(one.tokens.flip(1), one.mask.flip(1), None) for key, one in tokens_by_modality.items()
    }

    torch.testing.assert_close(fusion(reversed_tokens).vector, fusion(tokens_by_modality).vector)


def test_an_unknown_name_or_option_is_an_error() -> None:
    """The error message names the invalid value and the valid ones."""
    with pytest.raises(UsageError, match="no fusion is called 'sum'; there are: attention, bottleneck, concat"):
        build_fusion("sum", SHAPE)
    with pytest.raises(UsageError, match=r"fusion attention cannot be built with .*depth"):
        build_fusion("attention", SHAPE, depth=3)
    with pytest.raises(UsageError, match="tokens: expected all or pooled, got 'some'"):
        build_fusion("attention", SHAPE, tokens="some")


def test_a_width_that_is_not_a_multiple_of_the_heads_is_rejected() -> None:
    """The error is raised before torch raises one."""
    with pytest.raises(ValueError, match="expected a multiple of 5 heads, got 16"):
        AttentionFusion(SHAPE, attention_heads=5)
