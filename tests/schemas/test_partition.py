"""The partitioner is Kafka's: a key has the same partition whoever sends it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka.partitioner.default import murmur2 as kafka_murmur2

from triptych.schemas.partition import murmur2, partition_of

# From the tests of Apache Kafka (UtilsTest.testMurmur2), as signed 32-bit numbers there.
JAVA_HASHES = {
    b"21": -973_932_308,
    b"foobar": -790_332_482,
    b"a-little-bit-long-string": -985_981_536,
    b"a-little-bit-longer-string": -1_486_304_829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58_897_971,
    b"abc": 479_470_107,
}


@pytest.mark.parametrize(("key", "signed"), JAVA_HASHES.items())
def test_the_hash_is_the_one_of_the_java_client(key: bytes, signed: int) -> None:
    """The test vectors of Apache Kafka."""
    assert murmur2(key) == signed % 2**32


@settings(deadline=None, max_examples=500)
@given(key=st.binary(max_size=300), partitions=st.integers(1, 1000))
def test_the_partition_is_that_of_kafka_python(key: bytes, partitions: int) -> None:
    """For any key and any number of partitions."""
    assert murmur2(key) == kafka_murmur2(key) % 2**32
    assert partition_of(key, partitions) == (kafka_murmur2(key) & 0x7FFFFFFF) % partitions
