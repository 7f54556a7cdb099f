"""The command line: one line and the right exit code for each kind of failure; a quick start."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest
import typer.main

from triptych import cli, consumers
from triptych.consumers.subscription.result_source import SourceUnavailableError
from triptych.schemas.errors import TriptychError, UsageError
from triptych.service.lazy_commands import LazyCommand, group_of
from triptych.transport.errors import BrokerUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

UNNEEDED_FOR_HELP = {
    *("asyncio", "av", "cv2", "kafka", "numpy", "prometheus_client", "pydantic", "redis", "structlog", "torch"),
    *("triptych.consumers", "triptych.explaining", "triptych.models", "triptych.producers", "triptych.settings"),
    *("triptych.training", "triptych.transport", "triptych.worker", "triptych.demo"),
}
HEAVY = ("av", "cv2", "kafka", "numpy", "redis", "torch")


class _DiskFullError(TriptychError):
    exit_code = 74


def _exit_code_of(monkeypatch: pytest.MonkeyPatch, run: Callable[[], None]) -> int:
    monkeypatch.setattr(cli, "app", run)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return int(caught.value.code or 0)


def _raise(error: BaseException) -> Callable[[], None]:
    def run() -> None:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "exit_code", "line"),
    [
        (UsageError("stream id: expected one of [a-z], got 'ä b'"), 2, "stream id: expected one of [a-z], got 'ä b'"),
        (_DiskFullError("no space"), 74, "no space"),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), 2, 'pip install "triptych[worker]"'),
        (ModuleNotFoundError("No module named 'av.x'", name="av.x"), 2, 'pip install "triptych[producers]"'),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_a_known_error_is_one_line_with_its_exit_code(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    exit_code: int,
    line: str,
) -> None:
    """No traceback, nothing on stdout, and brackets are not markup."""
    code = _exit_code_of(monkeypatch, _raise(error))

    out, err = capsys.readouterr()
    assert (code, out) == (exit_code, "")
    assert line in err
    assert err.count("\n") == (1 if line else 0)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (BrokerUnavailableError("no broker"), ("`make kafka`", "kafka.bootstrap_servers", "`triptych demo`")),
        (SourceUnavailableError("Redis does not answer"), ("`make redis`", "redis.url", "`triptych demo`")),
    ],
)
def test_without_servers_a_newcomer_is_told_what_to_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: TriptychError, words: tuple[str, ...]
) -> None:
    """On the same line; the exit code stays."""
    code = _exit_code_of(monkeypatch, _raise(error))

    (line,) = capsys.readouterr().err.splitlines()
    assert (code, str(error) in line) == (3, True)
    assert [word for word in words if word not in line] == []


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing module of our own is not a missing extra."""
    monkeypatch.setattr(cli, "app", _raise(ModuleNotFoundError("No module named 'triptych.x'", name="triptych.x")))

    with pytest.raises(ModuleNotFoundError):
        cli.main()


def _triptych(*args: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "triptych", *args], capture_output=True, text=True, check=False, env=environ
    )


def test_the_version_is_printed() -> None:
    """And nothing else."""
    done = _triptych("--version")

    assert (done.returncode, done.stdout, done.stderr) == (0, f"triptych {version('triptych')}\n", "")


@pytest.mark.parametrize("args", [("fly",), ("config", "--nonsense")])
def test_a_wrong_command_or_flag_exits_2(args: tuple[str, ...]) -> None:
    """Like every usage error."""
    assert _triptych(*args).returncode == 2


def test_an_unknown_setting_exits_2_with_a_hint() -> None:
    """The message names the variable."""
    done = _triptych("config", TRIPTYCH_PIPLINE="x")

    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean TRIPTYCH_PIPELINE?" in done.stderr


def test_config_prints_the_settings_in_effect() -> None:
    """Including flags, without secrets."""
    done = _triptych("config", "--pipeline", "night", TRIPTYCH_REDIS_URL="redis://:hunter2@h/0")

    assert done.returncode == 0
    assert 'pipeline = "night"' in done.stdout
    assert "hunter2" not in done.stdout


def test_the_sdk_has_the_public_names() -> None:
    """Each is imported on first use; an unknown name raises the usual error."""
    assert consumers.Subscriber.__module__ == "triptych.consumers.subscription.subscriber"
    assert consumers.Result.__module__ == "triptych.schemas.results"
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        consumers.Nothing  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize(
    "module", ["triptych.consumers", "triptych.schemas", "triptych.transport.memory.transport", "triptych.cli"]
)
def test_light_modules_import_nothing_heavy(module: str) -> None:
    """A subscriber needs no PyTorch, and `triptych --help` needs no extra."""
    program = f"import sys, {module}; print(*sorted(set(sys.modules) & set({HEAVY})))"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def _modules_after(*args: str, **environ: str) -> set[str]:
    program = (
        f"import atexit, sys; sys.argv[1:] = {list(args)}; "
        "atexit.register(lambda: print(*sys.modules, file=sys.stderr)); from triptych.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={**os.environ, **environ}
    )
    return set(done.stderr.split())


def test_a_new_index_writes_no_line_of_its_library(tmp_path: Path) -> None:
    """A user of `triptych index` would take a warning of LanceDB for something to mend."""
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from triptych import cli\n"
        "def create():\n"
        "    from triptych.consumers.searching.window_index import WindowIndex\n"
        "    WindowIndex.create(Path(sys.argv[1]), 'triptych')\n"
        "cli.app = create\n"
        "cli.main()"
    )
    environ = {name: value for name, value in os.environ.items() if name != "LANCEDB_LOG"}
    command = [sys.executable, "-c", program, str(tmp_path / "index")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environ)
    assert (tmp_path / "index").is_dir()
    assert done.stderr == ""


def test_help_imports_no_command_and_no_library_of_one() -> None:
    """So it comes at once: the import of all commands took more time than everything else."""
    assert _modules_after("--help") & UNNEEDED_FOR_HELP == set()


def test_a_command_imports_no_other_program() -> None:
    """`triptych watch --help` needs the command line of the consumers only."""
    modules = _modules_after("watch", "--help")

    assert "triptych.consumers.cli" in modules
    assert modules & {"triptych.worker", "triptych.producers", "triptych.training"} == set()


@pytest.mark.parametrize("command", cli.COMMANDS, ids=lambda command: command.name)
def test_no_group_has_options_for_the_completion_of_a_shell(command: LazyCommand) -> None:
    """The program has none."""
    if command.exists():
        names = {name for parameter in command.load().params for name in parameter.opts}
        assert not {name for name in names if "completion" in name}


@pytest.mark.parametrize("command", cli.COMMANDS, ids=lambda command: command.name)
def test_the_summary_of_a_command_is_the_beginning_of_its_own_help(command: LazyCommand) -> None:
    """The help of `triptych` shows the table's text without importing the command."""
    text = inspect.cleandoc(command.load().help or "").partition("\n\n")[0]

    assert command.summary == " ".join(text.split())


def test_a_package_that_is_left_out_takes_its_commands_along() -> None:
    """The container image has no training program."""
    table = (LazyCommand("here", "x:y", "Here."), LazyCommand("gone", "x:y", "Gone.", "triptych.nothing"))

    group = typer.main.get_command(_app_of(table))

    assert list(group.commands) == ["here"]


def test_a_command_that_was_added_by_decorator_stands_after_the_table() -> None:
    """Both ways work in one application."""
    app = _app_of((LazyCommand("here", "x:y", "Here."),))
    app.command("more")(lambda: None)

    group = typer.main.get_command(app)

    assert list(group.commands) == ["here", "more"]


def test_the_names_of_commands_are_completed_without_importing_them() -> None:
    """A command that cannot be imported is completed all the same; looking it up imports it."""
    group = typer.main.get_command(_app_of((LazyCommand("here", "triptych.nothing:y", "Here."),)))
    with group.make_context("triptych", ["here"]) as context:
        completed = [(item.value, item.help) for item in group.shell_complete(context, "he")]

    assert completed == [("here", "Here.")]
    with pytest.raises(ModuleNotFoundError):
        group.commands["here"]  # type: ignore[attr-defined]


def _app_of(table: tuple[LazyCommand, ...]) -> typer.Typer:
    app = typer.Typer(cls=group_of(table))
    app.callback()(lambda: None)
    return app
