"""`triptych work` that kills itself (SIGKILL) in its N-th transaction, after sending it and before committing it.

Each batch has a transaction of its own: otherwise few of them may hold everything on a slow machine.

python -m tests.e2e.dying_worker N [options of `triptych work`]
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from itertools import count

from triptych.cli import main
from triptych.transport.kafka.transactions import TransactionClient
from triptych.worker.inference.publish_stage import PublishStage, Submission

if __name__ == "__main__":
    last = int(sys.argv[1])
    numbers = count(1)
    commit = TransactionClient.commit
    publish = PublishStage._publish  # noqa: SLF001 - batches that wait for each other are published together there

    def commit_or_die(client: TransactionClient) -> None:
        """Commit, or end the process as a crash would."""
        if next(numbers) >= last:
            os.kill(os.getpid(), signal.SIGKILL)
        commit(client)

    def publish_each(stage: PublishStage, submissions: Sequence[Submission]) -> None:
        """Publish one batch after the other."""
        for submission in submissions:
            publish(stage, [submission])

    TransactionClient.commit = commit_or_die  # type: ignore[method-assign]
    PublishStage._publish = publish_each  # type: ignore[method-assign] # noqa: SLF001 - as above
    sys.argv[1:] = ["work", *sys.argv[2:]]
    main()
