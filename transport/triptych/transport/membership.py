"""Check that the members of a consumer group are all static or all dynamic.

If they are mixed, kafka-python's range assignor forgets some members, which then stay idle forever (up to 3.0.12 at
least).
"""

from __future__ import annotations

from collections.abc import Sequence

from triptych.transport.errors import MixedMembersError
from triptych.transport.protocols import Transport
from triptych.transport.records import Member


def check_members(transport: Transport, group: str, instance_id: str | None) -> None:
    """Check at a program's start that the group has no members of the other kind.

    Raises:
        MixedMembersError: it has; the message names them and says how to fix it.
    """
    admin = transport.admin()
    try:
        problem = find_mixture(admin.members(group), group, instance_id)
    finally:
        admin.close()
    if problem is not None:
        raise MixedMembersError(problem)


def find_mixture(members: Sequence[Member], group: str, instance_id: str | None) -> str | None:
    """Return what would be wrong if a member with this instance id, or without one, joined. No I/O."""
    static = sorted(member.instance_id for member in members if member.instance_id is not None)
    dynamic = [member for member in members if member.instance_id is None]
    if instance_id is None and static:
        return (
            f"group {group}: expected members without kafka.group_instance_id, as this worker is, found "
            f"{', '.join(static)}; give this worker one too (TRIPTYCH_KAFKA_GROUP_INSTANCE_ID), or stop them all and "
            "wait for their session timeout"
        )
    if instance_id is not None and dynamic:
        hosts = ", ".join(sorted({member.client_host.lstrip("/") for member in dynamic}))
        return (
            f"group {group}: expected members with a kafka.group_instance_id, as this worker has, found "
            f"{len(dynamic)} without on {hosts}; stop them first, or start this worker without one"
        )
    return None
