"""Real Apache Kafka, Redis, PostgreSQL and MQTT servers on free loopback ports, for tests, demos and development.

Each server is a context manager: it uses a temporary folder, is ready on entry, logs to a file, and is stopped by its
process id.
"""

from tools.devservers.kafka import DevKafka, ExtraListener, KafkaOptions
from tools.devservers.kafka_access import AccessRule, KafkaAccess
from tools.devservers.kafka_cluster import DevKafkaCluster
from tools.devservers.mosquitto import DevMosquitto, MosquittoAccess
from tools.devservers.postgres import DevPostgres
from tools.devservers.redis import DevRedis, DevRedisCluster, DevRedisSentinel, RedisAccess
from tools.devservers.requirements import MissingProgramError

__all__ = [
    "AccessRule",
    "DevKafka",
    "DevKafkaCluster",
    "DevMosquitto",
    "DevPostgres",
    "DevRedis",
    "DevRedisCluster",
    "DevRedisSentinel",
    "ExtraListener",
    "KafkaAccess",
    "KafkaOptions",
    "MissingProgramError",
    "MosquittoAccess",
    "RedisAccess",
]
