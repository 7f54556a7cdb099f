"""`triptych work` that kills itself (SIGKILL) in its N-th transaction, after sending it and before committing it.

python -m tests.e2e.dying_worker N [options of `triptych work`]
"""

from __future__ import annotations

import os
import signal
import sys
from itertools import count

from triptych.cli import main
from triptych.transport.kafka.transactions import TransactionClient

if __name__ == "__main__":
    last = int(sys.argv[1])
    numbers = count(1)
    commit = TransactionClient.commit

    def commit_or_die(client: TransactionClient) -> None:
        """Commit, or end the process as a crash would."""
        if next(numbers) >= last:
            os.kill(os.getpid(), signal.SIGKILL)
        commit(client)

    TransactionClient.commit = commit_or_die  # type: ignore[method-assign]
    sys.argv[1:] = ["work", *sys.argv[2:]]
    main()
