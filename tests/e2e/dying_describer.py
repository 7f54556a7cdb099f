"""`triptych describe` that kills itself (SIGKILL) at one point of its N-th description.

python -m tests.e2e.dying_describer POINT N [options of `triptych describe`]

POINT is `answered` (the answer is there, and not published) or `published` (acknowledged, the offset not committed).
"""

from __future__ import annotations

import os
import signal
import sys
from itertools import count
from typing import TYPE_CHECKING

from triptych.cli import main
from triptych.consumers.describing.describe import DescribeLoop
from triptych.consumers.describing.pending import PendingResult

if TYPE_CHECKING:
    from triptych.schemas.perception.descriptions import Description

if __name__ == "__main__":
    point, last = sys.argv[1], int(sys.argv[2])
    numbers = count(1)
    publish = DescribeLoop._is_published  # noqa: SLF001 - the point between two calls

    def publish_or_die(loop: DescribeLoop, pending: PendingResult, description: Description, *, invalid: bool) -> bool:
        """Publish, or end the process before or after it as a crash would."""
        is_last = next(numbers) >= last
        if is_last and point == "answered":
            os.kill(os.getpid(), signal.SIGKILL)
        done = publish(loop, pending, description, invalid=invalid)
        if is_last:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    DescribeLoop._is_published = publish_or_die  # type: ignore[method-assign]  # noqa: SLF001 - as above
    sys.argv[1:] = ["describe", *sys.argv[3:]]
    main()
