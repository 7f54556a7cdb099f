"""Settings of `triptych produce`: what it keeps while it cannot send."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from triptych.settings.section import Section
from triptych.units import MIB


class ProduceSettings(Section):
    """What `triptych produce` keeps of live feeds and files in real time while the broker is away or the link too slow.

    Beyond either limit it drops pictures first, then sound, then words, each time the oldest.
    """

    max_lag_ms: Annotated[int, Field(ge=2_000, le=3_600_000)] = 120_000
    """Maximum age in milliseconds of the pictures and the sound that are kept. The default covers the restart of a
    broker, about a minute in Kubernetes, twice. A larger value loses less in a long outage, and after it results take
    longer to be at the present. Words have no maximum age: they need next to no space."""

    max_queue_bytes: Annotated[int, Field(ge=4 * MIB)] = 256 * MIB
    """Maximum number of bytes kept, of all feeds of the program together, those that were sent and not yet acknowledged
    included. The default keeps two minutes of about 16 feeds with the default options. It determines the memory of the
    program in an outage."""
