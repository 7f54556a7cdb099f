"""The transport over Apache Kafka, by kafka-python."""
