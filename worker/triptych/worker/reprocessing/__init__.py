"""Reprocessing: the records that arrived in a time range, processed again under the name of another pipeline."""
