"""The program as another user than the one who installed it and filled the cache, as in a container."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import pytest

from triptych.models.pretrained.download.cache import cache_folder
from triptych.models.pretrained.weights import WEIGHT_FILES, cached_path, is_cached

NO_HOME = ("--reuid=10001", "--regid=10001", "--clear-groups")
"""The user of the images: no entry in the list of users, so no home."""
RANDOM_USER = ("--reuid=1000620000", "--regid=0", "--clear-groups")
"""The kind of user that OpenShift chooses."""


pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a program as another user")


def _run_python(user: tuple[str, ...], *args: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run this Python, with the modules that this process finds, as another user and in an environment of its own.

    The other user may not be allowed to enter the folders above them: a clone or an interpreter below /root, for
    example. The folders themselves are open to all, as those of an image are, so the user reaches each one through a
    file descriptor that root has opened. Torch resolves the real paths of the libraries of torchaudio and torchvision,
    so they are copied to where every user reaches them.
    """
    with ExitStack() as opened:
        copies = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        copies.chmod(0o755)
        _copy_packages(copies, "torchaudio", "torchvision")

        def reached(folder: str) -> str:
            descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
            opened.callback(os.close, descriptor)
            descriptors.append(descriptor)
            return f"/proc/self/fd/{descriptor}"

        descriptors: list[int] = []
        python = Path(sys.executable).resolve()
        home = reached(sys.base_prefix)
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONHOME": home,
            "PYTHONPATH": os.pathsep.join(
                [str(copies), *(reached(folder) for folder in sys.path if folder and Path(folder).is_dir())]
            ),
            "PYTHONDONTWRITEBYTECODE": "1",
            "LD_LIBRARY_PATH": f"{home}/lib",
        }
        return subprocess.run(
            ["setpriv", *user, f"{home}/{python.relative_to(sys.base_prefix)}", *args],
            env=environment | environ,
            pass_fds=descriptors,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            timeout=280,
        )


def _copy_packages(target: Path, *names: str) -> None:
    """Copy packages and the folders of their libraries (`NAME.libs`)."""
    for name in names:
        spec = find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        package = Path(spec.origin).parent
        for folder in (package, package.with_name(f"{name}.libs")):
            if folder.is_dir():
                shutil.copytree(folder, target / folder.name)


def _run(user: tuple[str, ...], *args: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return _run_python(user, "-m", "triptych", *args, **environ)


@pytest.fixture
def open_path() -> Iterator[Path]:
    """Return an empty folder that every user reaches: pytest closes its own to others."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def cache(open_path: Path) -> Path:
    """Return a cache that root has filled and nobody else may write to."""
    missing = [weight.name for weight in WEIGHT_FILES if not is_cached(weight, cache_folder())]
    if missing:
        pytest.skip(f"the weights {', '.join(missing)} are not in the cache; run: triptych models pull")
    folder = open_path / "cache"
    (folder / "models").mkdir(parents=True)
    for weight in WEIGHT_FILES:
        shutil.copyfile(cached_path(weight, cache_folder()), cached_path(weight, folder / "models"))
    return folder


def _cached(listed: str) -> int:
    return sum(line.rstrip().endswith(" yes") for line in listed.splitlines())


@pytest.mark.parametrize("user", [NO_HOME, RANDOM_USER], ids=["no home", "random user, group 0"])
def test_another_user_finds_the_weights_in_a_cache_that_it_can_only_read(user: tuple[str, ...], cache: Path) -> None:
    """No HOME, no entry in the list of users, nothing that could be written but the temporary folder."""
    done = _run(user, "models", "list", TRIPTYCH_CACHE=str(cache))

    assert done.returncode == 0, done.stderr
    assert _cached(done.stdout) == len(WEIGHT_FILES)


@pytest.mark.parametrize("user", [NO_HOME, RANDOM_USER], ids=["no home", "random user, group 0"])
def test_another_user_finds_the_weights_in_a_home_that_it_can_only_read(
    user: tuple[str, ...], cache: Path, open_path: Path
) -> None:
    """The cache is in its place below HOME, and the user may not write to either."""
    (open_path / ".cache").mkdir()
    cache.rename(open_path / ".cache" / "triptych")

    done = _run(user, "models", "list", HOME=str(open_path))

    assert done.returncode == 0, done.stderr
    assert _cached(done.stdout) == len(WEIGHT_FILES)


@pytest.mark.parametrize("user", [NO_HOME, RANDOM_USER], ids=["no home", "random user, group 0"])
def test_a_model_is_loaded_by_another_user(user: tuple[str, ...], cache: Path) -> None:
    """The weights of the encoders are read, as a worker reads them."""
    program = (
        "from triptych.models.build import ModelChoice, build_model; "
        "build_model(ModelChoice('base', frames=2, window_ns=10**9, device='cpu')).warm(); print('warm')"
    )
    done = _run_python(user, "-c", program, TRIPTYCH_CACHE=str(cache))

    assert done.stdout.splitlines()[-1:] == ["warm"], done.stderr  # a log line comes before it


def test_weights_that_cannot_be_read_are_not_called_missing(cache: Path) -> None:
    """The list and the pull name the user, the owner and the mode."""
    file = next((cache / "models").glob("efficientnet*"))
    file.chmod(0o600)

    listed = _run(NO_HOME, "models", "list", TRIPTYCH_CACHE=str(cache))
    pulled = _run(NO_HOME, "models", "pull", "efficientnet-lite0", TRIPTYCH_CACHE=str(cache))

    assert "cannot be read by user 10001" in listed.stdout
    assert pulled.returncode == 2
    assert "cannot be written by user 10001" in pulled.stderr


def test_a_second_folder_of_the_cache_is_searched_and_not_written(cache: Path, open_path: Path) -> None:
    """An image brings its weights, a volume those that are downloaded later."""
    own = open_path / "own"
    own.mkdir()

    done = _run(NO_HOME, "models", "list", TRIPTYCH_CACHE=f"{own}:{cache}")

    assert _cached(done.stdout) == len(WEIGHT_FILES), done.stdout
    assert str(own / "models") in done.stdout


def test_a_user_without_a_home_is_told_which_variable_to_set() -> None:
    """Neither HOME nor an entry in the list of users."""
    done = _run(NO_HOME, "models", "list")

    assert done.returncode == 2
    assert "user 10001 has no home folder; set TRIPTYCH_CACHE" in done.stderr


@pytest.mark.parametrize("closed", ["folder", "card", "weights"])
def test_a_trained_model_that_cannot_be_read_is_not_called_missing(open_path: Path, closed: str) -> None:
    """The card, the weights or the folder belongs to another user alone."""
    folder = open_path / "trained"
    folder.mkdir()
    for suffix in (".json", ".safetensors"):
        (folder / f"model{suffix}").write_text("{}")
    {"folder": folder, "card": folder / "model.json", "weights": folder / "model.safetensors"}[closed].chmod(0o600)

    done = _run(NO_HOME, "models", "compile", str(folder), TRIPTYCH_CACHE=str(open_path))

    if closed == "weights":  # the card is read first, and is not one
        assert "not a valid model card" in done.stderr
    elif closed == "card":
        assert "cannot be read by user 10001" in done.stderr
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_media_that_cannot_be_read_is_not_called_missing(open_path: Path) -> None:
    """In a folder that is closed to the user."""
    open_path.chmod(0o700)
    (open_path / "clip.mkv").write_bytes(b"media")

    done = _run(NO_HOME, "produce", str(open_path / "clip.mkv"), "--stream", "city")

    assert done.returncode == 2, done.stderr
    assert f"cannot be read by user 10001: {open_path} belongs to user 0" in done.stderr
