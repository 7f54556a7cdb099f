"""A runtime is chosen once for a network on a machine, and again when anything that the choice depends on differs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Never

import pytest
import torch
from structlog.testing import capture_logs
from torch import Tensor, nn

from tests.models.execution.scaled_network import ScaledNetwork
from triptych.models.execution import cpu_runtime, remembered_choice
from triptych.models.execution.conversion_cache import CachedConversion, ConversionCache
from triptych.models.execution.cpu_runtime import CpuRuntime, FasterRuntime
from triptych.models.execution.remembered_choice import RememberedChoice, RuntimeChoice, choice_key

KEY = {"network": "a"}
WEEK_S = 7 * 24 * 3_600


def _choice(*, age_s: float = 0) -> RuntimeChoice:
    return RuntimeChoice(
        runtime="openvino",
        difference=1e-6,
        took_ms={"openvino": 1.5, "torch": 3.0},
        conversion_sha256="00ff",
        chosen_at_s=time.time() - age_s,
    )


def _images() -> Tensor:
    return torch.rand(2, 3, 16, 20, generator=torch.Generator().manual_seed(2))


def _start(folder: Path, network: nn.Module, runtime: FasterRuntime | None = None) -> nn.Module:
    return CpuRuntime(runtime or "auto", cache=ConversionCache(folder)).accelerate("net", network, [_images()])


def _refuse(*_: object, **__: object) -> Never:
    raise AssertionError("it is chosen again")


def _allow_no_new_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    for step in ("_difference", "measured_ms", "_openvino_parts", "export_onnx"):
        monkeypatch.setattr(cpu_runtime, step, _refuse)


def _measure_as(monkeypatch: pytest.MonkeyPatch, fastest: str) -> list[Sequence[str]]:
    """Let one runtime be the fastest, and return a list of the measurements."""
    measured: list[Sequence[str]] = []

    def took_ms(modules: dict[str, nn.Module], _: Sequence[Tensor]) -> dict[str, float]:
        measured.append(tuple(modules))
        return {name: 1.0 if name == fastest else 9.0 for name in modules}

    monkeypatch.setattr(cpu_runtime, "measured_ms", took_ms)
    return measured


def test_a_choice_is_read_by_the_next_start(tmp_path: Path) -> None:
    """The file is made with its folder."""
    choice = _choice()
    RememberedChoice(tmp_path / "new", "net", KEY).write(choice)
    assert RememberedChoice(tmp_path / "new", "net", dict(KEY)).read() == choice


@pytest.mark.parametrize(
    ("key", "name", "age_s"),
    [({"network": "b"}, "net", 0), (KEY, "other", 0), (KEY, "net", WEEK_S + 60), (KEY, "net", -3_600)],
    ids=["of another network", "of another name", "too old", "from the future"],
)
def test_a_choice_does_not_hold(key: dict[str, object], name: str, age_s: float, tmp_path: Path) -> None:
    """It was made for something else, or not within the last week."""
    RememberedChoice(tmp_path, "net", KEY).write(_choice(age_s=age_s))
    assert RememberedChoice(tmp_path, name, key).read() is None


@pytest.mark.parametrize("part", ["processor", "cpus", "threads"])
def test_machines_that_share_a_folder_keep_a_choice_each(part: str, tmp_path: Path) -> None:
    """A start on one of them does not make the next start on another one choose again."""
    machines = [RememberedChoice(tmp_path, "net", KEY | {part: kind}) for kind in ("one", "other")]
    for number, machine in enumerate(machines):
        machine.write(_choice(age_s=number))
    chosen_at_s = [choice.chosen_at_s for machine in machines if (choice := machine.read()) is not None]
    assert len(set(chosen_at_s)) == len(machines)


@pytest.mark.parametrize(
    "damage",
    [lambda _: b"", lambda content: content[:-9], lambda content: content.replace(b"openvino", b"tensorrt")],
    ids=["empty", "cut", "an unknown runtime"],
)
def test_a_damaged_file_is_no_choice(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    """And a new choice replaces it."""
    remembered = RememberedChoice(tmp_path, "net", KEY)
    remembered.write(_choice())
    [path] = tmp_path.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    assert remembered.read() is None
    remembered.write(_choice())
    assert remembered.read() is not None


def test_without_a_folder_nothing_is_remembered(tmp_path: Path) -> None:
    """Nor where the folder cannot be written, which is logged."""
    nowhere = RememberedChoice(None, "net", KEY)
    nowhere.write(_choice())
    assert nowhere.read() is None

    (tmp_path / "file").write_text("no folder")
    unwritable = RememberedChoice(tmp_path / "file" / "inner", "net", KEY)
    with capture_logs() as logs:
        unwritable.write(_choice())
    assert [entry["event"] for entry in logs] == ["runtime_choice_not_kept"]
    assert unwritable.read() is None


def test_the_key_depends_on_all_that_may_change_the_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The constants of the network, the code, the processor and the number of threads."""
    key = choice_key(ScaledNetwork(), [KEY], setting="auto")
    assert choice_key(ScaledNetwork(), [KEY], setting="auto") == key
    assert choice_key(ScaledNetwork(2.0), [KEY], setting="auto") != key
    assert choice_key(ScaledNetwork(), [{"network": "b"}], setting="auto") != key
    assert choice_key(ScaledNetwork(), [KEY], setting="openvino") != key
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(threads + 1)
        assert choice_key(ScaledNetwork(), [KEY], setting="auto") != key
    finally:
        torch.set_num_threads(threads)
    for part in ("_processor", "_code_sha256"):
        with monkeypatch.context() as patch:
            patch.setattr(remembered_choice, part, lambda: "another")
            assert choice_key(ScaledNetwork(), [KEY], setting="auto") != key


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("is_named", [False, True], ids=["auto", "named"])
def test_the_next_start_compares_and_measures_nothing(
    runtime: FasterRuntime, *, is_named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It uses the runtime that was chosen, and computes the same."""
    pytest.importorskip("openvino")
    pytest.importorskip("onnxruntime")
    network = ScaledNetwork().eval()
    _measure_as(monkeypatch, runtime)
    first = _start(tmp_path, network, runtime if is_named else None)
    _allow_no_new_choice(monkeypatch)

    with capture_logs() as logs:
        second = _start(tmp_path, network, runtime if is_named else None)
    assert type(second) is type(first)
    assert torch.equal(second(_images()), first(_images()))
    torch.testing.assert_close(second(_images()), network(_images()), rtol=1e-4, atol=1e-5)
    assert [(entry["event"], entry["runtime"]) for entry in logs] == [("cpu_runtime_used", runtime)]


def test_that_torch_is_the_fastest_is_remembered_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is converted then."""
    pytest.importorskip("openvino")
    network = ScaledNetwork().eval()
    _measure_as(monkeypatch, "torch")
    assert _start(tmp_path, network) is network
    _allow_no_new_choice(monkeypatch)
    with capture_logs() as logs:
        assert _start(tmp_path, network) is network
    assert [entry["event"] for entry in logs] == ["cpu_runtime_not_faster"]


def test_another_setting_is_another_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A runtime that is asked for is used, whatever was chosen before."""
    pytest.importorskip("openvino")
    pytest.importorskip("onnxruntime")
    network = ScaledNetwork().eval()
    _measure_as(monkeypatch, "openvino")
    automatic = _start(tmp_path, network)
    assert type(_start(tmp_path, network, "onnxruntime")) is not type(automatic)


def test_a_conversion_other_than_the_compared_one_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It passes for a conversion of the same network, but nobody compared it with torch."""
    pytest.importorskip("openvino")
    network = ScaledNetwork().eval()
    _measure_as(monkeypatch, "openvino")
    _start(tmp_path, network)
    [written] = tmp_path.glob("net-openvino.zip")
    kept = written.read_bytes()
    CpuRuntime("openvino", cache=ConversionCache(tmp_path / "other")).accelerate(
        "net", ScaledNetwork(3).eval(), [_images()]
    )
    wrong = CachedConversion(ConversionCache(tmp_path / "other"), "net-openvino")
    frozen = cpu_runtime._FrozenNetwork("net", network, (_images(),), any_size=False)  # noqa: SLF001 - its key
    parts = wrong.find(frozen.conversion_key("openvino"))
    assert parts is not None
    written.write_bytes((tmp_path / "other" / "net-openvino.zip").read_bytes())
    assert written.read_bytes() != kept

    measured = _measure_as(monkeypatch, "openvino")
    faster = _start(tmp_path, network)
    assert measured
    torch.testing.assert_close(faster(_images()), network(_images()), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_a_runtime_that_cannot_open_its_conversion_any_more_is_chosen_again(
    runtime: FasterRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For instance because its library was damaged. The network runs in another one, or in torch."""
    pytest.importorskip("openvino")
    pytest.importorskip("onnxruntime")
    network = ScaledNetwork().eval()
    _measure_as(monkeypatch, runtime)
    first = _start(tmp_path, network)

    def fail(*_: object) -> nn.Module:
        raise RuntimeError("no such instruction")

    monkeypatch.setattr(cpu_runtime, "_open_openvino" if runtime == "openvino" else "open_onnx", fail)
    with capture_logs() as logs:
        second = _start(tmp_path, network)
    assert type(second) is not type(first)
    torch.testing.assert_close(second(_images()), network(_images()), rtol=1e-4, atol=1e-5)
    assert [entry["event"] for entry in logs][:2] == ["runtime_choice_not_used", "cpu_runtime_not_used"]


def test_a_precision_whose_outputs_are_no_numbers_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """bfloat16 may differ from torch, but not like that."""
    pytest.importorskip("openvino")

    def broken(self: nn.Module, images: Tensor) -> Tensor:
        del self
        return torch.full((len(images), 4, 14, 18), float("nan"))

    monkeypatch.setattr(cpu_runtime.OpenVinoModule, "forward", broken)
    network = ScaledNetwork().eval()
    assert CpuRuntime("auto", "bfloat16").accelerate("net", network, [_images()]) is network
