"""From a task and a network configuration to a card: the network's encoders, fusion and heads."""

from __future__ import annotations

from dataclasses import asdict, replace

from triptych.models.checkpoints.card import Architecture, Card, EncoderCard, FusionCard, HeadCard, InputCard
from triptych.models.foundation.window_encoder import foundation_encoder_card
from triptych.models.model import InputSpec
from triptych.models.network.architecture import pretrained_checksums
from triptych.models.pretrained.download.cache import cache_folder
from triptych.schemas.errors import UsageError
from triptych.training.config import NetworkConfig, TrainConfig
from triptych.training.data.example import MODALITIES, Task

TARGET = "target"
_DEFAULT_TEXT_TOKENS = 64
_NO_WEIGHTS = "0" * 64


def auxiliary_name(modality: str) -> str:
    """Return the name of the head that predicts from one modality alone."""
    return f"alone-{modality}"


def part_name(part: str) -> str:
    """Return the name of a component head.

    A component is named `MODALITY/WHAT`, or `MODALITY/WHAT/PLACE` if it is a single token of the modality.
    """
    return f"part-{part.replace('/', '-')}"


def new_card(task: Task, config: TrainConfig, *, name: str) -> Card:
    """Return the card of an untrained network for the task.

    Raises:
        UsageError: the modalities, encoders and features do not fit together.
    """
    network = config.network
    unknown = sorted({*network.modalities, *network.encoders} - set(MODALITIES))
    if unknown or not network.modalities:
        raise UsageError(f"modalities: expected some of {', '.join(MODALITIES)}, got {', '.join(unknown) or 'none'}")
    network = _for_features(network, task.spec)
    spec = (
        task.spec
        if task.spec.text_tokens or task.spec.features
        else replace(task.spec, text_tokens=_DEFAULT_TEXT_TOKENS)
    )
    architecture = Architecture(
        width=network.width,
        dropout=network.dropout,
        encoders={modality: _encoder(modality, network, spec) for modality in network.modalities},
        fusion=FusionCard(name=network.fusion, options=network.fusion_options),
        heads=(_target(task), *_auxiliary(task, network), *_parts(task, network)),
    )
    fields = {name: value for name, value in asdict(spec).items() if name in InputCard.model_fields}
    return Card(
        name=name,
        input=InputCard(**fields, window_ns=task.window_ns),
        architecture=architecture,
        weights_sha256=_NO_WEIGHTS,
    )


def _for_features(network: NetworkConfig, spec: InputSpec) -> NetworkConfig:
    """Return the network without the modalities that a data set of features lacks."""
    if not spec.features:
        return network
    available = {feature.modality for feature in spec.features} | ({"text"} if spec.text_tokens else set())
    remaining = tuple(modality for modality in network.modalities if modality in available)
    if not remaining:
        raise UsageError(
            f"modalities: expected some of {', '.join(sorted(available))}, which have features, got "
            f"{', '.join(network.modalities)}"
        )
    return replace(network, modalities=remaining)


def _encoder(modality: str, network: NetworkConfig, spec: InputSpec) -> EncoderCard:
    choice = network.encoders.get(modality, "small")
    shape = next((feature for feature in spec.features if feature.modality == modality), None)
    if shape is not None:
        if choice != "small":
            raise UsageError(f"encoder: {modality} comes as features, so expected small, got {choice}")
        return EncoderCard(kind="features", options={"steps": shape.steps, "dims": shape.dims})
    if choice == "small":
        return EncoderCard(kind="small")
    if ":" in choice:
        return foundation_encoder_card(modality, choice, cache_folder())
    return EncoderCard(kind="pretrained", frozen=choice == "frozen", sha256=pretrained_checksums(modality))


def _target(task: Task) -> HeadCard:
    return HeadCard(name=TARGET, kind=task.kind, labels=task.labels)


def _auxiliary(task: Task, network: NetworkConfig) -> list[HeadCard]:
    if len(network.modalities) == 1:
        return []
    return [
        _target(task).model_copy(update={"name": auxiliary_name(modality), "source": modality, "role": "auxiliary"})
        for modality in network.modalities
    ]


def _parts(task: Task, network: NetworkConfig) -> list[HeadCard]:
    heads = []
    for part, labels in task.parts.items():
        modality, _, rest = part.partition("/")
        if modality in MODALITIES and modality not in network.modalities:
            continue
        place = rest.rpartition("/")[2]
        heads.append(
            HeadCard(
                name=part_name(part),
                kind="multiclass",
                labels=labels,
                source=modality if modality in network.modalities else "tokens",
                index=int(place) if modality in network.modalities and place.isdecimal() else None,
                role="part",
            )
        )
    return heads
