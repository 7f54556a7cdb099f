"""Files that FFmpeg refuses without the reason: unfinished films, and scrambled transport streams."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from triptych.producers.session.playback import Playback
from triptych.producers.sources.inspection import is_scrambled, unfinished
from triptych.producers.sources.playback_plan import PlaybackPlan
from triptych.schemas.errors import UsageError

MakeMedia = Callable[..., Path]
PlanOf = Callable[..., PlaybackPlan]


@pytest.mark.parametrize("share", [0.02, 0.5, 0.8])
def test_a_film_without_its_index_is_unfinished(make_media: MakeMedia, plan_of: PlanOf, share: float) -> None:
    """As while it is copied or recorded: the index is written last."""
    film = make_media("film.mp4")
    whole = film.read_bytes()
    assert unfinished(str(film)) is None
    film.write_bytes(whole[: round(len(whole) * share)])

    with pytest.raises(UsageError, match=r"an unfinished film: its index \(moov\) is missing"):
        Playback(plan_of(film))


@pytest.mark.parametrize("content", [b"nothing", b"", b"\x00\x00\x00\x01ftyp", b"\x00\x00\x00\x00ftypisom", bytes(99)])
def test_any_content_can_be_inspected(tmp_path: Path, content: bytes) -> None:
    """Nothing loops or fails, and only an MP4 is an unfinished one."""
    path = tmp_path / "file"
    path.write_bytes(content)

    assert (unfinished(str(path)) is not None) == (b"ftyp" in content)
    assert not is_scrambled(str(path))


def test_a_scrambled_transport_stream_is_encrypted(make_media: MakeMedia, plan_of: PlanOf) -> None:
    """As recorded from pay TV: its tables are clear, and its media is not."""
    path = make_media("film.ts", samples=np.full((1, 32_000), 100, np.int16), audio_codec="mp2")
    packets = [bytearray(path.read_bytes()[start : start + 188]) for start in range(0, path.stat().st_size, 188)]
    assert not is_scrambled(str(path))
    for packet in packets:
        if (packet[1] & 0x1F) << 8 | packet[2] in {0x100, 0x101}:
            packet[3] |= 0x80
    path.write_bytes(b"".join(packets))

    with pytest.raises(UsageError, match="got an encrypted one"):
        Playback(plan_of(path))
