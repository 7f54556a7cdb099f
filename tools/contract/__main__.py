"""Write the documents next to the models: `python -m tools.contract`."""

from __future__ import annotations

import typer

from tools.contract.documents import written

for path, text in written().items():
    path.write_text(text, encoding="utf-8")
    typer.echo(f"wrote {path.name}")
