"""A worker whose model files are replaced while it runs, on real servers, with a shadow model."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import torch

from tests.e2e.programs import Installation, Program, by_id, wait_until
from tests.worker.world import SECOND, T0, Feed
from triptych.models.checkpoints.card import Architecture, Card, EncoderCard, FusionCard, HeadCard, InputCard
from triptych.models.checkpoints.checkpoint import save_checkpoint
from triptych.models.checkpoints.paths import checkpoint_files
from triptych.models.network.architecture import build_network
from triptych.schemas.codec import encode
from triptych.schemas.names import TOPIC_OF
from triptych.transport.records import Message

FILM_S = 4


def write_model(path: Path, seed: int) -> str:
    """Write a tiny untrained model; return the hash that results name."""
    architecture = Architecture(
        width=16,
        encoders={"audio": EncoderCard(kind="small"), "text": EncoderCard(kind="small")},
        fusion=FusionCard(name="late"),
        heads=(HeadCard(name="mood", kind="multiclass", labels=("sad", "plain", "glad")),),
    )
    shape = InputCard(frames=1, height=16, width=16, sample_rate_hz=16_000, text_tokens=8, window_ns=SECOND)
    torch.manual_seed(seed)
    network = build_network(architecture, weights_folder=path)
    card = Card(name="moods", version=str(seed), input=shape, architecture=architecture, weights_sha256="0" * 64)
    return save_checkpoint(path, network.model, card).sha256()


def play(here: Installation, stream: str, at_s: int) -> None:
    """Send a film of `FILM_S` windows."""
    with closing(here.transport()) as transport:
        publisher = transport.publisher()
        for record in Feed(stream, start_ns=T0 + at_s * SECOND).play(FILM_S):
            wire = encode(record)
            publisher.send(Message(TOPIC_OF[record.modality], wire.key, wire.value, wire.headers))
        publisher.flush(30)


def wait_for_swap(worker: Program, sha256: str) -> None:
    """Wait until the worker reports that this model is in service."""
    swapped: Callable[[], Sequence[dict[str, object]]] = lambda: worker.events("model_swapped")  # noqa: E731 - short
    wait_until(lambda: any(event["sha256"] == sha256 for event in swapped()), f"the swap to {sha256}")


def test_a_worker_reloads_its_model(install: Callable[..., Installation], tmp_path: Path) -> None:
    """Results name the hash of their model. An invalid file is rejected in one line. No loss, no duplicates."""
    path, shadow_path = tmp_path / "model", tmp_path / "shadow"
    hashes = [write_model(path, 1)]
    shadow = write_model(shadow_path, 9)
    here = install(
        TRIPTYCH_WINDOW_SIZE_MS="1000",
        TRIPTYCH_MODEL_NAME=str(path),
        TRIPTYCH_MODEL_THREADS="1",
        TRIPTYCH_MODEL_DEVICE="cpu",
        TRIPTYCH_MODEL_DETECTOR="off",  # its checksum would be part of the model's
        TRIPTYCH_MODEL_WATCH_MS="100",
    )
    with here.running("work", "--shadow", str(shadow_path)) as worker:
        wait_for_swap(worker, shadow)
        worker.wait_for("partitions_assigned")
        play(here, "city", 0)
        wait_until(lambda: here.count_results() == FILM_S, "the results of the first model")

        hashes.append(write_model(path, 2))
        wait_for_swap(worker, hashes[1])
        play(here, "port", 100)
        wait_until(lambda: here.count_results() == 2 * FILM_S, "the results of the second model")

        weights, _ = checkpoint_files(path)
        weights.write_bytes(weights.read_bytes()[:1000])
        worker.wait_for("model_refused")
        play(here, "yard", 200)
        wait_until(lambda: here.count_results() == 3 * FILM_S, "more results of the second model")

        hashes.append(write_model(path, 3))
        worker.process.send_signal(signal.SIGHUP)
        wait_for_swap(worker, hashes[2])
        play(here, "gate", 300)
        wait_until(lambda: here.count_results() == 4 * FILM_S, "the results of the third model")
        stopped = worker.stop().succeeded()

    results = by_id(here.in_topic())
    assert len(results) == 4 * FILM_S
    assert by_id(here.in_redis()) == results
    said = {
        stream: {(r.model.version, r.model.sha256) for r in results.values() if r.stream == stream}
        for stream in ("city", "port", "yard", "gate")
    }
    assert said == {
        "city": {("1", hashes[0])},
        "port": {("2", hashes[1])},
        "yard": {("2", hashes[1])},
        "gate": {("3", hashes[2])},
    }
    (refused,) = stopped.events("model_refused")
    assert "damaged or belongs to another training run" in refused["reason"]
    compared = stopped.events("shadow_compared")
    assert {event["shadow"] for event in compared} == {shadow}
    assert sum(event["heads"]["mood"]["windows"] for event in compared if event["heads"]) > 0
