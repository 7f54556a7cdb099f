"""Summarise exported results by stream: `python examples/results_in_pandas.py results.parquet`.

`triptych export --to results.parquet` writes the file. Needs `pip install pandas pyarrow`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

if len(sys.argv) != 2 or not Path(sys.argv[1]).is_file():  # noqa: PLR2004 - the program and the file
    sys.exit(f"expected the file that `triptych export --to FILE` wrote, got {' '.join(sys.argv[1:]) or 'none'}")
frame = pd.read_parquet(sys.argv[1], columns=["stream", "start", "speech_share", "loudness_lufs"])
summary = frame.groupby("stream").agg(
    windows=("start", "size"), speech=("speech_share", "mean"), loudness=("loudness_lufs", "mean")
)
print(summary.round(2).to_string())
