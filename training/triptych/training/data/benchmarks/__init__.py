"""Generated benchmarks with known ground truth and known ceilings.

`rules` defines what a benchmark is, `tasks` defines the five benchmarks, `composition` draws and mixes components into
frames and audio, `benchmark` generates the examples, and `ceilings` computes the best possible accuracies.
"""
