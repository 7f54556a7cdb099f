"""Static and dynamic members of a group must not be mixed."""

from __future__ import annotations

import pytest

from triptych.transport.errors import MixedMembersError
from triptych.transport.membership import check_members, find_mixture
from triptych.transport.memory.transport import MemoryTransport
from triptych.transport.records import Member

STATIC = (Member("a-1", "/10.0.0.1", "a"), Member("b-1", "/10.0.0.2", "b"))
DYNAMIC = (Member("1", "/10.0.0.1"), Member("2", "/10.0.0.1"))


@pytest.mark.parametrize(
    ("members", "instance_id"),
    [((), None), ((), "a"), (STATIC, "c"), (STATIC, "a"), (DYNAMIC, None)],
)
def test_members_of_one_kind_may_join(members: tuple[Member, ...], instance_id: str | None) -> None:
    """Also a static member that rejoins with its own id."""
    assert find_mixture(members, "g", instance_id) is None


def test_the_error_for_a_dynamic_worker_names_the_static_members() -> None:
    """And says what to do."""
    said = find_mixture(STATIC, "g", None)

    assert said is not None
    assert "found a, b" in said
    assert "TRIPTYCH_KAFKA_GROUP_INSTANCE_ID" in said


def test_the_error_for_a_static_worker_names_the_hosts_of_dynamic_members() -> None:
    """And says what to do."""
    said = find_mixture(DYNAMIC, "g", "a")

    assert said is not None
    assert "found 2 without on 10.0.0.1;" in said


def test_a_mixture_stops_a_program_before_it_joins() -> None:
    """With the exit code of a usage error."""
    transport = MemoryTransport()
    check_members(transport, "g", "a")
    transport.group_consumer(["t"], "g")
    check_members(transport, "g", None)

    with pytest.raises(MixedMembersError) as refused:
        check_members(transport, "g", "a")

    assert refused.value.exit_code == 2
