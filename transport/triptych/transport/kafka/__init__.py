"""Transport over Apache Kafka, built on kafka-python."""
