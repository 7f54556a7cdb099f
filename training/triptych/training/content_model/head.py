"""Train the part behind the frozen encoders, on cached tokens: seconds instead of hours.

Few stamps have a sound, and joint training soon ignores it beside pictures and captions. Therefore a logistic
regression, which has a single optimum, fits what the audio alone predicts. Its weights are frozen, and the rest is
trained around them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from triptych.models.network.fused import FusedModel
from triptych.models.network.heads import LogitsHead
from triptych.models.network.masked_math import masked_mean
from triptych.models.network.parts import Encoded
from triptych.models.network.token_space import TokenSpace
from triptych.training.batches import ExampleOrder
from triptych.training.content_model.features import StampFeatures
from triptych.training.data.example import MODALITIES
from triptych.training.network_design import TARGET
from triptych.training.schedule import rate_at

_GRADIENT_NORM: Final = 1.0
_AUDIO_STRIDE: Final = 8
_ROUNDS: Final = 2_000
_WEIGHTS: Final = {"video": 1.0, "text": 1.0, "audio": 0.3}
"""Weights of the single modalities in the loss: few stamps have a sound."""
_SOUND_STRENGTH: Final = 0.2
"""`C` of the logistic regression on audio. Like all settings, it was chosen on the folds of other seeds."""
_UNSEEN_LABEL_LOGIT: Final = -3.0
"""Logit of a label without any training sound: unlikely, but not impossible."""


@dataclass(frozen=True, slots=True)
class HeadConfig:
    """How to train the head. Every fold and the served model use the same settings.

    Attributes:
        epochs: passes over the stamps.
        batch: stamps in a step.
        rate: peak learning rate of the one-cycle schedule.
        weight_decay: weight decay of matrices.
        smoothing: label smoothing.
        alone: weight of the single-modality outputs relative to the fused output.
        sound_dropout: probability of dropping the audio of a stamp: most stamps have none.
        token_dropout: dropout probability of token elements.
        noise: standard deviation of noise on the tokens, relative to theirs.
        english: probability of the English caption; else one in a random language.
    """

    epochs: int = 30
    batch: int = 128
    rate: float = 1e-3
    weight_decay: float = 0.05
    smoothing: float = 0.05
    alone: float = 1.0
    sound_dropout: float = 0.5
    token_dropout: float = 0.3
    noise: float = 0.0
    english: float = 0.8


def train_head(model: FusedModel, features: StampFeatures, rows: Tensor, config: HeadConfig, *, seed: int) -> None:
    """Train projector, fusion and heads of a model in place.

    Args:
        model: the model; its encoders are not used.
        features: tokens of all stamps.
        rows: int64 [R], the rows to train on.
        config: how to train.
        seed: seed of order, dropout and variants.
    """
    rng = torch.Generator().manual_seed(seed)
    frozen = _initialise_audio(model, features, rows)
    learning = [
        parameter
        for name, parameter in model.named_parameters()
        if not name.startswith("encoders.") and parameter not in frozen
    ]
    optimizer = torch.optim.AdamW(
        [
            {"params": [one for one in learning if one.ndim > 1], "weight_decay": config.weight_decay},
            {"params": [one for one in learning if one.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=config.rate,
    )
    steps = config.epochs * max(1, len(rows) // config.batch)
    order = ExampleOrder(len(rows), config.batch, seed)
    model.train()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = config.rate * rate_at("one-cycle", step, steps)
        torch.manual_seed(seed * 1_000_003 + step)
        step_rows = rows[torch.tensor(order.indices(step))]
        loss = _loss(model, sample_tokens(features, step_rows, config, rng), features.label[step_rows], config, rng)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(learning, _GRADIENT_NORM)
        optimizer.step()
    model.eval()


def _initialise_audio(model: FusedModel, features: StampFeatures, rows: Tensor) -> set[Tensor]:
    """Make the model predict from audio as a regression on the mean normalised token does; return the frozen weights.

    The head is random and frozen. Its pseudo-inverse maps the regression's weights into the space that the head reads.
    """
    if not isinstance(model.projector, TokenSpace) or not isinstance(head := model.heads[TARGET], LogitsHead):
        raise TypeError("model: expected a token space, and a head with logits")
    norm, linear = cast("tuple[nn.LayerNorm, nn.Linear]", tuple(model.projector.project["audio"].children()))
    with_audio = rows[features.audio_mask[rows].any(1)]
    weight, bias = (
        torch.zeros(head.fc.out_features, linear.in_features),
        torch.full((head.fc.out_features,), _UNSEEN_LABEL_LOGIT),
    )
    with torch.no_grad():
        if len(set(features.label[with_audio].tolist())) > 1:
            known, coefficients, intercepts = _regression(norm, features, with_audio)
            weight[known], bias[known] = coefficients, intercepts
        inverse = torch.linalg.pinv(head.fc.weight)  # [D, K], a right inverse: K < D
        linear.weight.copy_(inverse @ weight)
        linear.bias.copy_(inverse @ bias)
        head.fc.bias.zero_()
        model.projector.modality["audio"].zero_()
        model.projector.time.weight.zero_()  # the content does not depend on the time within the window
    return {
        *norm.parameters(), *linear.parameters(), *head.fc.parameters(),
        model.projector.modality["audio"], model.projector.time.weight,
    }  # fmt: skip


def _regression(norm: nn.Module, features: StampFeatures, with_audio: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Fit labels to the mean of the normalised tokens; return known labels [L], weights [L, D] and biases [L]."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - slow to import

    means = masked_mean(Encoded(norm(features.audio[with_audio]), features.audio_mask[with_audio]))
    fitted = LogisticRegression(C=_SOUND_STRENGTH, max_iter=_ROUNDS).fit(
        means.numpy(), features.label[with_audio].numpy()
    )
    coefficients, intercepts = torch.from_numpy(fitted.coef_).float(), torch.from_numpy(fitted.intercept_).float()
    if len(fitted.classes_) == 2:  # noqa: PLR2004 - for two labels it only has the second one's
        coefficients, intercepts = (
            torch.cat([-coefficients, coefficients]) / 2,
            torch.cat([-intercepts, intercepts]) / 2,
        )
    return torch.from_numpy(fitted.classes_), coefficients, intercepts


def _loss(
    model: FusedModel, tokens: Mapping[str, Encoded], label: Tensor, config: HeadConfig, rng: torch.Generator
) -> Tensor:
    """Return the loss of the fused output plus those of the outputs from each modality alone (a scalar)."""
    encoded = project_tokens(model, tokens)
    everything = _output_loss(model, _with_audio_dropout(encoded, config, rng), label, config)
    alone = [_WEIGHTS[name] * _output_loss(model, {name: one}, label, config) for name, one in encoded.items()]
    return everything + config.alone * torch.stack(alone).sum() / sum(_WEIGHTS[name] for name in encoded)


def _output_loss(model: FusedModel, encoded: Mapping[str, Encoded], label: Tensor, config: HeadConfig) -> Tensor:
    """Return the loss over the rows that have any of the modalities (a scalar)."""
    there = torch.stack([one.present for one in encoded.values()]).any(0)
    output = model.heads[TARGET](model.features(encoded))
    return functional.cross_entropy(output[there], label[there], label_smoothing=config.smoothing)


def _with_audio_dropout(encoded: Mapping[str, Encoded], config: HeadConfig, rng: torch.Generator) -> dict[str, Encoded]:
    """Drop the audio of random rows: pictures and captions are always there and must not depend on it."""
    kept = dict(encoded)
    if (sound := kept.get("audio")) is not None:
        keep = torch.rand(sound.mask.shape[0], 1, generator=rng) >= config.sound_dropout
        kept["audio"] = sound._replace(mask=sound.mask & keep)
    return kept


def sample_tokens(
    features: StampFeatures, rows: Tensor, config: HeadConfig, rng: torch.Generator
) -> dict[str, Encoded]:
    """Return tokens of rows as training uses them: a random variant of the picture and a random language."""
    count = len(rows)
    view = torch.randint(features.video.shape[1], (count,), generator=rng)
    weights = features.has_text[rows].float()
    others = weights[:, 1:].sum(1, keepdim=True).clamp(min=1)
    weights = torch.cat([weights[:, :1] * config.english, weights[:, 1:] / others * (1 - config.english)], 1)
    language = torch.multinomial(weights, 1, generator=rng).squeeze(1)
    tokens = {
        "video": Encoded(features.video[rows, view].unsqueeze(1), torch.ones(count, 1, dtype=torch.bool)),
        "text": Encoded(features.text[rows, language].unsqueeze(1), torch.ones(count, 1, dtype=torch.bool)),
        "audio": _subsampled_audio(features, rows, rng),
    }
    return {
        name: Encoded(_with_token_dropout(one.tokens, config, rng), one.mask)
        for name, one in tokens.items()
        if one.mask.any()
    }


def tokens_of(features: StampFeatures, rows: Tensor, language: int = 0) -> dict[str, Encoded]:
    """Return tokens of rows without changes, with each picture at the start of its window, as in the windows."""
    audio_mask = features.audio_mask[rows]
    steps = torch.arange(audio_mask.shape[1]) / audio_mask.shape[1]
    at_once = torch.zeros(len(rows), 1)
    return {
        "video": Encoded(features.video[rows, :1], torch.ones(len(rows), 1, dtype=torch.bool), at_once),
        "text": Encoded(features.text[rows, language].unsqueeze(1), features.has_text[rows, language, None], at_once),
        "audio": Encoded(features.audio[rows], audio_mask, steps.expand(len(rows), -1)),
    }


@torch.inference_mode()
def predict_logits(
    model: FusedModel, tokens: Mapping[str, Encoded], modalities: tuple[str, ...] = MODALITIES
) -> Tensor:
    """Return the logits, float32 [N, K], with only these modalities. Rows without any of them are arbitrary."""
    kept = {name: one for name, one in tokens.items() if name in modalities}
    logits: Tensor = model.heads[TARGET](model.features(project_tokens(model, kept)))
    return logits


def project_tokens(model: FusedModel, tokens: Mapping[str, Encoded]) -> dict[str, Encoded]:
    """Return the encoders' tokens, projected into the shared token space."""
    if model.projector is None:
        raise TypeError("projector: expected one, got None")
    brought: dict[str, Encoded] = model.projector(dict(sorted(tokens.items())))
    return brought


def _subsampled_audio(features: StampFeatures, rows: Tensor, rng: torch.Generator) -> Encoded:
    """Return every eighth audio step from a random start, because neighbouring steps are almost equal."""
    first = int(torch.randint(_AUDIO_STRIDE, (1,), generator=rng))
    return Encoded(features.audio[rows, first::_AUDIO_STRIDE], features.audio_mask[rows, first::_AUDIO_STRIDE])


def _with_token_dropout(tokens: Tensor, config: HeadConfig, rng: torch.Generator) -> Tensor:
    kept = torch.rand(tokens.shape, generator=rng) >= config.token_dropout
    dropped = tokens * kept / (1 - config.token_dropout)
    if config.noise:
        dropped = dropped + config.noise * tokens.std() * torch.randn(tokens.shape, generator=rng)
    return dropped
