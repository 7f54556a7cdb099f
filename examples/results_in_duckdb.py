"""Query exported results with SQL: `python examples/results_in_duckdb.py results.parquet [WORD]`.

`triptych export --to results.parquet` writes the file. Needs `pip install duckdb`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb

if len(sys.argv) < 2 or not Path(sys.argv[1]).is_file():  # noqa: PLR2004 - the program and the file
    sys.exit(f"expected the file that `triptych export --to FILE` wrote, got {' '.join(sys.argv[1:2]) or 'none'}")
path = sys.argv[1]
word = sys.argv[2] if len(sys.argv) > 2 else ""  # noqa: PLR2004 - the second argument

for stream, windows, people in duckdb.execute(
    "SELECT stream, count(*), coalesce(max(counts['people']), 0) FROM read_parquet(?) GROUP BY stream ORDER BY stream",
    [path],
).fetchall():
    print(f"{stream}: {windows} windows, at most {people} people")

for stream, start_ms, words in duckdb.execute(
    "SELECT stream, epoch_ms(start), words FROM read_parquet(?) WHERE ? <> '' AND words ILIKE '%' || ? || '%' "
    "ORDER BY stream, start",
    [path, word, word],
).fetchall():
    print(f"{stream} {start_ms}: {words}")
