"""Write the generated pages: `python -m tools.reference`. With `--check`, only compare; exit 1 where one is stale."""

from __future__ import annotations

import sys

from tools.reference.pages import FOLDER, MAKERS, page

if __name__ == "__main__":
    stale = []
    FOLDER.mkdir(exist_ok=True)
    for name in MAKERS:
        path, text = FOLDER / name, page(name)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if "--check" not in sys.argv:
                path.write_text(text, encoding="utf-8")
    for name in stale:
        print(f"{'stale' if '--check' in sys.argv else 'wrote'}: docs/reference/{name}")  # noqa: T201 - the output of a command
    sys.exit(1 if stale and "--check" in sys.argv else 0)
