"""Models in service: another one taken while the worker runs, and a shadow that is compared with it."""
