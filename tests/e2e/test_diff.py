"""`triptych diff` on two pipelines over the same records, on real servers."""

from __future__ import annotations

from collections.abc import Callable

from tests.e2e.programs import Installation


def test_two_pipelines_over_the_same_records(install: Callable[..., Installation], clip: Callable[[str], str]) -> None:
    """Equal with the same settings, from either source; different with other windows, exit code 1."""
    here = install()
    here.run("produce", clip("bbb_5s_51ch.mp4"), "--start-at", "2026-01-01T00:00:00Z").succeeded()
    here.run("work", "--until-end").succeeded()
    again, halves = here.other_pipeline(f"{here.pipeline}-again"), here.other_pipeline(f"{here.pipeline}-halves")
    again.run("work", "--until-end").succeeded()
    halves.run("work", "--until-end", TRIPTYCH_WINDOW_SIZE_MS="1000").succeeded()
    for source in ("kafka", "redis"):
        alike = here.run("diff", here.pipeline, again.pipeline, "--from", source).succeeded()
        assert alike.out.splitlines() == [f"{len(here.in_redis())} windows equal, 0 differ"]
    other = here.run("diff", here.pipeline, halves.pipeline)
    assert other.exit_code == 1
    assert f"only {halves.pipeline}: {len(halves.in_redis())} windows" in other.out
