"""The axioms of Shapley values, for modalities and for time slices, with simple games and with networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor

from triptych.models.checkpoints.card import Card
from triptych.models.network.architecture import Network
from triptych.models.network.collate import collate, empty_batch
from triptych.models.network.fusions.registry import FUSIONS
from triptych.models.network.parts import Encoded
from triptych.models.network.shapley import Values, shapley_in_time, shapley_values
from triptych.models.trained import TIME_SLOTS
from triptych.models.window import PreparedWindow

MakeWindow = Callable[..., PreparedWindow]
MakeCard = Callable[..., Card]
MakeNetwork = Callable[..., Network]
NAMES = ("audio", "text", "video")
NOTHING = torch.tensor([0.2, 0.8])
CHOSEN = torch.tensor([1, 0])


def tokens(seed: int = 0) -> dict[str, Encoded]:
    """Return two rows of five tokens per modality, at different times except for the audio."""
    chance = torch.Generator().manual_seed(seed)
    times = {"audio": torch.full((2, 5), 0.6), "text": torch.arange(5) / 5 + 0.1, "video": torch.arange(5) / 5 + 0.05}
    return {
        name: Encoded(torch.randn(2, 5, 3, generator=chance), torch.ones(2, 5).bool(), times[name].expand(2, 5))
        for name in NAMES
    }


def summed(encoded: Mapping[str, Encoded]) -> dict[str, Tensor]:
    """Return the sum of the unmasked tokens, [R, D] by modality."""
    return {name: (one.tokens * one.mask.unsqueeze(-1)).sum(1) for name, one in encoded.items()}


def tangled(encoded: Mapping[str, Encoded]) -> Tensor:
    """Return two values, [R, 2], that depend on all tokens non-linearly."""
    sums = summed(encoded)
    x = torch.stack([sums[name] for name in NAMES]).sum(0)
    return torch.stack([x.sin().prod(-1), x.square().sum(-1).sqrt()], -1)


def in_time(values: Values, encoded: Mapping[str, Encoded], slots: int = 4) -> Tensor:
    """Return the contribution of each time slice, [2, slots]."""
    return shapley_in_time(encoded, values, NOTHING, CHOSEN, slots=slots)


def by_modality(values: Values, encoded: Mapping[str, Encoded]) -> Tensor:
    """Return the contribution of each modality, [2, 3], in the order of `NAMES`."""
    found = shapley_values(encoded, values, NOTHING, CHOSEN)
    return torch.stack([found[name] for name in NAMES], -1)


@pytest.mark.parametrize("explain", [by_modality, in_time])
@pytest.mark.parametrize("seed", range(3))
def test_contributions_add_up_to_the_value_minus_the_prior(
    seed: int, explain: Callable[[Values, Mapping[str, Encoded]], Tensor]
) -> None:
    """Efficiency, for the chosen label of each row."""
    encoded = tokens(seed)
    value = tangled(encoded)[torch.arange(2), CHOSEN]

    torch.testing.assert_close(explain(tangled, encoded).sum(-1), value - NOTHING[CHOSEN])


def test_equal_parts_have_equal_contributions() -> None:
    """Symmetry: two modalities, and two slices, with equal tokens in a symmetric game."""
    encoded = tokens()
    encoded["text"] = encoded["text"]._replace(tokens=encoded["video"].tokens)
    found = by_modality(tangled, encoded)
    torch.testing.assert_close(found[:, 1], found[:, 2])
    assert not torch.allclose(found[:, 0], found[:, 1])

    twice = {name: Encoded(*(torch.cat([part, part], 1) for part in one[:2])) for name, one in encoded.items()}
    times = torch.cat([torch.full((2, 5), 0.1), torch.full((2, 5), 0.9)], 1)
    halves = in_time(tangled, {name: one._replace(times=times) for name, one in twice.items()}, slots=2)
    torch.testing.assert_close(halves[:, 0], halves[:, 1])


def test_parts_without_effect_contribute_nothing() -> None:
    """Null player: a modality that is ignored, and a slice without tokens."""

    def ignores_audio(encoded: Mapping[str, Encoded]) -> Tensor:
        return NOTHING + tangled({**encoded, "audio": encoded["audio"]._replace(tokens=encoded["audio"].tokens * 0)})

    found = by_modality(ignores_audio, tokens())
    torch.testing.assert_close(found[:, 0], torch.zeros(2), atol=1e-6, rtol=0)
    assert found[:, 1:].abs().min() > 0.01
    sounds = {"audio": tokens()["audio"]}

    def audio_only(encoded: Mapping[str, Encoded]) -> Tensor:
        return summed(encoded)["audio"][:, :2]

    found = in_time(audio_only, sounds)
    assert found[:, [0, 1, 3]].tolist() == [[0, 0, 0]] * 2
    assert found[:, 2].abs().min() > 0


def test_contributions_to_a_sum_are_the_summands() -> None:
    """Additivity: in a sum over the parts, the contribution of each part is its summand."""

    def added(encoded: Mapping[str, Encoded]) -> Tensor:
        sums = summed(encoded)
        return torch.stack([sum((sums[name][:, place] for name in NAMES), NOTHING[place]) for place in (0, 1)], -1)

    encoded = tokens()
    own = torch.stack([summed(encoded)[name][torch.arange(2), CHOSEN] for name in NAMES], -1)
    torch.testing.assert_close(by_modality(added, encoded), own)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_fusion_can_be_explained_by_modality_and_in_time(
    fusion: str, small_network: MakeNetwork, small_card: MakeCard, noise_window: MakeWindow
) -> None:
    """Contributions of modalities and of slices both add up to the score minus the prior."""
    model = small_network(fusion).model
    windows = [noise_window(1), noise_window(2, "text"), noise_window(3, "video audio")]
    batch = collate(windows, empty_batch(3, 32_000, small_card().input.spec()), small_network(fusion).tokenize)
    with torch.inference_mode():
        encoded = model.encode(batch)

        def values(left: Mapping[str, Encoded]) -> Tensor:
            return model.heads["mood"](model.features(left)).softmax(-1)  # type: ignore[no-any-return]

        prior, best = torch.full((3,), 1 / 3), values(encoded).argmax(-1)
        by_part = shapley_values(encoded, values, prior, best)
        by_slice = shapley_in_time(encoded, values, prior, best, slots=TIME_SLOTS)
        total = values(encoded).gather(1, best[:, None]).squeeze(1) - 1 / 3
    torch.testing.assert_close(torch.stack(list(by_part.values())).sum(0), total, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(by_slice.sum(-1), total, atol=1e-5, rtol=1e-4)
    assert by_slice[1, 1:].abs().max() < 1e-6
    assert by_part["video"][1].abs() < 1e-6
