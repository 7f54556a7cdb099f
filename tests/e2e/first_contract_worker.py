"""`triptych` whose results have the fields of the first golden messages only, and whose states name no topic ids.

So a worker of an earlier version leaves them for later ones.

python -m tests.e2e.first_contract_worker work [options of `triptych work`]
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from triptych.cli import main
from triptych.schemas.codec import Wire, encode_result
from triptych.worker.publishing import messages

if TYPE_CHECKING:
    from triptych.schemas.results import Result

_GOLDEN: Final = Path(__file__).parents[1] / "golden" / "v1" / "result_with_all_filled.json"
FIRST_FIELDS: Final = frozenset(json.loads(json.loads(_GOLDEN.read_text(encoding="utf-8"))["value"]))
"""The fields of a result in the first version of the contract."""


def encode_first_result(result: Result, *, pipeline: str) -> Wire:
    """Return the message of a result without later fields."""
    wire = encode_result(result, pipeline=pipeline)
    document = {name: value for name, value in json.loads(wire.value).items() if name in FIRST_FIELDS}
    return wire._replace(value=json.dumps(document).encode())


if __name__ == "__main__":
    messages.encode_result = encode_first_result
    messages.topics_header = lambda _ids: ()
    main()
