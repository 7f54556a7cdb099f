"""A rolling upgrade and its way back: workers of two versions share a group and continue one another's state."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.first_contract_worker import FIRST_FIELDS
from tests.e2e.programs import Installation, Program, by_id, differences
from tests.e2e.test_many_workers import SETTINGS, playing, settle
from triptych.consumers.comparison.compare import IGNORED_FIELDS
from triptych.schemas.results import Result

EARLIER = "tests.e2e.first_contract_worker"


def first_fields(result: Result) -> dict[str, object]:
    """Return what the first version of the contract says of a window, without what differs between two runs."""
    return result.model_dump(mode="json", include=set(FIRST_FIELDS - IGNORED_FIELDS))


@pytest.mark.timeout(300)
def test_workers_of_two_versions_share_a_group_in_both_directions(
    install: Callable[..., Installation], tmp_path: Path
) -> None:
    """No result is lost or published twice, and each says what that of an undisturbed worker says."""
    here = install(**SETTINGS)
    with ExitStack() as stack:

        def start(module: str = "triptych") -> Program:
            worker = Program(("work",), here.environ(), here.folder, module=module)
            stack.callback(worker.kill)
            return worker

        producer = stack.enter_context(playing(here, tmp_path))
        earlier, later = start(EARLIER), start()
        settle(here, [earlier, later])
        back = start(EARLIER)
        earlier.stop().succeeded()
        settle(here, [later, back])
        later.stop().succeeded()
        settle(here, [back])
        producer.stop().succeeded()
        back.stop().succeeded()
    here.run("work", "--until-end").succeeded()
    undisturbed = here.other_pipeline(f"{here.pipeline}-undisturbed")
    undisturbed.run("work", "--until-end").succeeded()

    expected = by_id(undisturbed.in_topic())
    for found in (by_id(here.in_topic()), by_id(here.in_redis()), by_id(here.delivered_results("kafka"))):
        assert found.keys() == expected.keys()
        different = {
            name: lines
            for name, result in found.items()
            if (lines := differences(first_fields(result), first_fields(expected[name])))
        }
        assert different == {}
    versions = {"quality" in result.model_fields_set for result in here.in_topic()}
    assert versions == {True, False}  # both kinds of worker published
    assert [line for worker in (earlier, later, back) for line in worker.events("state_dropped")] == []
