"""Labelled windows: benchmarks with truth by construction, manifests of clips, and the seam to the trainer."""
