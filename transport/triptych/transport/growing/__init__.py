"""Add partitions to all topics of an installation."""
