"""Summarise exported results by stream: `python examples/results_in_pandas.py results.parquet`.

`triptych export --to results.parquet` writes the file. Needs `pip install pandas pyarrow`.
"""

from __future__ import annotations

import sys

import pandas as pd

frame = pd.read_parquet(sys.argv[1], columns=["stream", "start", "speech_share", "loudness_lufs"])
summary = frame.groupby("stream").agg(
    windows=("start", "size"), speech=("speech_share", "mean"), loudness=("loudness_lufs", "mean")
)
print(summary.round(2).to_string())
