"""Print an alert for each window that matches a rule, within an asyncio program.

    python examples/alert_on_rule.py "speech > .5 and 'dog' in visual"

Needs the extra `consumers` and a Redis to which a worker writes. `triptych alert` posts such results to a webhook.
"""

from __future__ import annotations

import argparse
import asyncio
from contextlib import suppress

from triptych.consumers import AsyncSubscriber, Rule


async def watch(options: argparse.Namespace) -> None:
    """Wait for results; print one line for each that matches."""
    rule = Rule(options.rule)
    async with AsyncSubscriber.from_redis(options.redis, pipeline=options.pipeline) as subscriber:
        since = None if options.until_end else "now"
        # All revisions, since "newest" leaves out the first result of a window whose revision is known already.
        async for result in subscriber.results(since=since, until_end=options.until_end, revisions="all"):
            # A revision is the same window again: alert on its first result only.
            if result.revision == 0 and rule.matches(result):
                print(f"ALERT {result.stream} {result.id}", flush=True)


def main() -> None:
    """Alert on new results until Ctrl-C, or on all stored ones with --until-end."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("rule", help="docs/rules.md lists the names that a rule may use")
    parser.add_argument("--redis", default="redis://127.0.0.1:6379/0", metavar="URL")
    parser.add_argument("--pipeline", default="triptych")
    parser.add_argument("--until-end", action="store_true", help="read all stored results, then stop")
    asyncio.run(watch(parser.parse_args()))


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
