"""Open a source of results. Clients are imported here, when a source is opened, so importing a subscriber is cheap."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triptych.schemas.names import checked_pipeline

if TYPE_CHECKING:
    from triptych.consumers.subscription.result_source import ResultSource
    from triptych.settings.kafka import KafkaSettings
    from triptych.transport.protocols import Transport


def redis_source(url: str, *, pipeline: str) -> ResultSource:
    """Return the Redis streams of a pipeline as a source. Nothing is sent yet.

    Raises:
        UsageError: the URL or the pipeline's name is invalid.
    """
    from triptych.consumers.subscription.redis_source import RedisSource  # noqa: PLC0415 - see the module's docstring

    return RedisSource(url, pipeline=checked_pipeline(pipeline))


def kafka_source(settings: KafkaSettings | str, *, pipeline: str) -> ResultSource:
    """Return the results topic of a pipeline in Kafka as a source. Nothing is sent yet.

    Args:
        settings: the settings of the connection, or only its bootstrap servers.
        pipeline: the pipeline's name.

    Raises:
        UsageError: the pipeline's name is invalid.
    """
    from triptych.consumers.subscription.topic_source import TopicSource  # noqa: PLC0415 - see the module's docstring
    from triptych.settings.kafka import KafkaSettings  # noqa: PLC0415 - as above
    from triptych.transport.open import open_transport  # noqa: PLC0415 - as above

    connection = KafkaSettings(bootstrap_servers=settings) if isinstance(settings, str) else settings
    pipeline = checked_pipeline(pipeline)
    return TopicSource(open_transport(connection), pipeline=pipeline, owns_transport=True)


def transport_source(transport: Transport, *, pipeline: str) -> ResultSource:
    """Return the results topic of a pipeline over a transport, which the caller closes.

    Raises:
        UsageError: the pipeline's name is invalid.
    """
    from triptych.consumers.subscription.topic_source import TopicSource  # noqa: PLC0415 - see the module's docstring

    return TopicSource(transport, pipeline=checked_pipeline(pipeline))
