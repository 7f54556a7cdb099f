"""Reloads models while the worker runs, and compares a shadow model with the one in service."""
