"""`triptych models pull` of foundation models, against a server that speaks the hub's protocol with its real client."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

pytest.importorskip("huggingface_hub")

from triptych.models.foundation.files.manifest import MANIFEST_NAME
from triptych.models.foundation.files.model_files import find_model_files
from triptych.models.foundation.files.pull import chosen_files
from triptych.models.pretrained.download.package import PullError
from triptych.schemas.errors import UsageError

COMMIT = "75de2d55ec2d0b4efc50b3e9ad70dba96a7b2fa2"
FILES = {
    "README.md": b"about",
    "config.json": b'{"model_type": "siglip"}',
    "model.safetensors": b"weights of the model",
    "pytorch_model.bin": b"pickle",
    "modeling_evil.py": b"raise SystemExit",
    "onnx/model.onnx": b"other format",
    "tokenizer.json": b"{}",
}


class FakeHub(BaseHTTPRequestHandler):
    """Answers the requests of `huggingface_hub` for one repository, `acme/tiny`."""

    licence: ClassVar[str | None] = "apache-2.0"
    served: ClassVar[dict[str, bytes]] = FILES
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        """Send the description of the repository, or a file."""
        path = self.path.partition("?")[0]
        self.asked.append(path)
        if path in {
            "/api/models/acme/tiny",
            "/api/models/acme/tiny/revision/main",
            f"/api/models/acme/tiny/revision/{COMMIT}",
        }:
            self._send(json.dumps(self._description()).encode(), "application/json")
        else:
            self._send_file(path)

    def do_HEAD(self) -> None:
        """Send the headers of a file."""
        self._send_file(self.path)

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def _description(self) -> dict[str, object]:
        siblings = []
        for name, content in FILES.items():
            sibling: dict[str, object] = {"rfilename": name, "size": len(content), "blobId": "0" * 40}
            if name.endswith((".safetensors", ".bin")):
                digest = hashlib.sha256(content).hexdigest()
                sibling["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 130}
            siblings.append(sibling)
        card = {"license": self.licence} if self.licence else {}
        return {"id": "acme/tiny", "sha": COMMIT, "siblings": siblings, "cardData": card, "tags": [], "private": False}

    def _send_file(self, path: str) -> None:
        prefix = f"/acme/tiny/resolve/{COMMIT}/"
        content = self.served.get(path.removeprefix(prefix)) if path.startswith(prefix) else None
        if content is None:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self._send(content, "application/octet-stream")

    def _send(self, content: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Run a hub, and return its address."""
    monkeypatch.setattr(FakeHub, "asked", [])
    server = ThreadingHTTPServer(("127.0.0.1", 0), FakeHub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def pull(hub: str, cache: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `triptych models pull`, in a process of its own: the hub's client reads its settings when it is imported."""
    environment = os.environ | {"HF_ENDPOINT": hub, "TRIPTYCH_CACHE": str(cache), "HF_HUB_DISABLE_XET": "1"}
    environment.pop("HF_HUB_OFFLINE", None)
    return subprocess.run(
        [sys.executable, "-m", "triptych", "models", "pull", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_pulled_model_has_a_manifest_and_is_found_by_its_commit(hub: str, tmp_path: Path) -> None:
    """A pulled model has a manifest and is found by its commit."""
    done = pull(hub, tmp_path, "hf:acme/tiny@main")
    assert done.returncode == 0, done.stderr
    assert f"acme/tiny at {COMMIT}: 0.0 MB, licence apache-2.0" in done.stderr
    assert f"hf:acme/tiny@{COMMIT}: " in done.stderr
    found = find_model_files(f"hf:acme/tiny@{COMMIT}", cache=tmp_path / "models")
    manifest = json.loads((found.folder / MANIFEST_NAME).read_text())
    assert manifest == {
        "source": f"hf:acme/tiny@{COMMIT}",
        "revision": COMMIT,
        "licence": "apache-2.0",
        "files": {
            name: hashlib.sha256(FILES[name]).hexdigest()
            for name in ("config.json", "model.safetensors", "tokenizer.json")
        },
    }
    assert sorted(path.name for path in found.folder.iterdir()) == sorted([*manifest["files"], MANIFEST_NAME])
    assert [path.name for path in found.folder.parent.iterdir()] == [found.folder.name]  # nothing partial is left


def test_another_licence_must_be_accepted(hub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another licence must be accepted."""
    for licence, shown in (("cc-by-nc-4.0", "cc-by-nc-4.0"), (None, "unknown")):
        monkeypatch.setattr(FakeHub, "licence", licence)
        refused = pull(hub, tmp_path, "hf:acme/tiny")
        assert refused.returncode == 2
        assert f"0.0 MB, licence {shown}" in refused.stderr
        assert "--accept" in refused.stderr
        assert not list(tmp_path.rglob("*.safetensors"))
    assert not [path for path in FakeHub.asked if "resolve" in path]
    assert pull(hub, tmp_path, "hf:acme/tiny", "--accept").returncode == 0
    assert list(tmp_path.rglob("model.safetensors"))


def test_a_file_that_is_not_what_the_hub_announced_is_refused(
    hub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is not what the hub announced is refused."""
    monkeypatch.setattr(FakeHub, "served", FILES | {"model.safetensors": b"weights of the m0del"})
    done = pull(hub, tmp_path, "hf:acme/tiny")
    assert done.returncode != 0
    assert "model.safetensors: expected sha256" in done.stderr
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_repository_that_does_not_exist_is_one_line(hub: str, tmp_path: Path) -> None:
    """A repository that does not exist is one line."""
    done = pull(hub, tmp_path, "hf:acme/none")
    assert done.returncode != 0
    assert done.stderr.count("\n") == 1
    assert "hf:acme/none: the hub does not answer for acme/none" in done.stderr


def test_a_hub_that_is_away_and_a_folder_are_refused(tmp_path: Path) -> None:
    """A hub that is away and a folder are refused."""
    away = pull("http://127.0.0.1:9", tmp_path, "hf:acme/tiny")
    assert away.returncode != 0
    assert "the hub does not answer" in away.stderr
    assert "Traceback" not in away.stderr
    folder = pull("http://127.0.0.1:9", tmp_path, f"folder:{tmp_path}")
    assert folder.returncode == 2
    assert "there is nothing to download" in folder.stderr


def test_the_files_that_a_worker_needs_are_chosen() -> None:
    """The files that a worker needs are chosen."""
    names = [
        "config.json",
        "1_Pooling/config.json",
        "model.safetensors",
        "model.fp16.safetensors",
        "open_clip_config.json",
        "open_clip_model.safetensors",
        "open_clip_pytorch_model.bin",
        "pytorch_model.bin",
        "tf_model.h5",
        "flax/config.json",
        "custom.py",
        "vocab.txt",
        "spiece.model",
        ".gitattributes",
    ]
    common = ("1_Pooling/config.json",)
    assert chosen_files(names) == (*common, "config.json", "model.safetensors", "spiece.model", "vocab.txt")
    assert chosen_files(names, for_open_clip=True) == (
        *common,
        "open_clip_config.json",
        "open_clip_model.safetensors",
        "spiece.model",
        "vocab.txt",
    )
    assert chosen_files(["config.json", "pytorch_model.bin"]) == ("config.json", "pytorch_model.bin")
    with pytest.raises(PullError, match=r"holds no weights that can be loaded without running code; there are: a.pkl"):
        chosen_files(["a.pkl"])


def test_weights_of_open_clip_are_named_by_what_it_lists(hub: str, tmp_path: Path) -> None:
    """Weights of open clip are named by what it lists."""
    pytest.importorskip("open_clip")
    done = pull(hub, tmp_path, "open_clip:ViT-B-32/none")
    assert done.returncode == 2
    assert "open_clip lists no such weights; tags of ViT-B-32: " in done.stderr
    assert "laion2b_s34b_b79k" in done.stderr


def test_open_clip_finds_the_repository_of_listed_weights() -> None:
    """Open clip finds the repository of listed weights."""
    pytest.importorskip("open_clip")
    from triptych.models.foundation.files.model_source import parse_model_source
    from triptych.models.foundation.files.pull import _open_clip_repository

    name, config = _open_clip_repository(parse_model_source("open_clip:ViT-B-32/laion2b_s34b_b79k"))
    assert name == "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"
    assert config["model_cfg"]["embed_dim"] == 512
    assert config["preprocess_cfg"]["mean"]
    with pytest.raises(UsageError, match="open_clip lists no such weights"):
        _open_clip_repository(parse_model_source("open_clip:ViT-B-32/none"))
