"""Where the files of a foundation model come from, as settings and commands name it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from triptych.schemas.errors import UsageError

SourceKind = Literal["hf", "open_clip", "folder"]
SOURCE_FORMS: Final = "hf:ID@REVISION, open_clip:NAME/TAG or folder:PATH"
_REPOSITORY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class ModelSource:
    """The source of a foundation model.

    Attributes:
        kind: `hf`, a repository of the Hugging Face Hub; `open_clip`, a pretrained model that open_clip lists; or
            `folder`, files that are on this machine already.
        name: the repository, the name of the architecture, or the path of the folder.
        revision: the commit of the repository, or the tag of the pretrained weights; empty for a folder, and for a
            repository whose newest commit is meant, which only `triptych models pull` accepts.
    """

    kind: SourceKind
    name: str
    revision: str = ""

    def __str__(self) -> str:
        """Return the source as settings name it."""
        if self.kind == "folder" or not self.revision:
            return f"{self.kind}:{self.name}"
        return f"{self.kind}:{self.name}{'@' if self.kind == 'hf' else '/'}{self.revision}"


def parse_model_source(text: str) -> ModelSource:
    """Return the source that a text names.

    Raises:
        UsageError: the text has none of the forms of `SOURCE_FORMS`.
    """
    kind, colon, rest = text.partition(":")
    if not colon or kind not in {"hf", "open_clip", "folder"}:
        raise UsageError(f"source of a model: expected {SOURCE_FORMS}, got {text!r}")
    if kind == "folder":
        if not rest:
            raise UsageError(f"source of a model: expected a path after folder:, got {text!r}")
        return ModelSource("folder", rest)
    if kind == "open_clip":
        return _open_clip(text, rest)
    name, at, revision = rest.partition("@")
    if not _REPOSITORY.fullmatch(name) or (at and not _NAME.fullmatch(revision)):
        raise UsageError(
            f"source of a model: expected hf:ID@REVISION, such as hf:google/siglip2-base-patch16-224@COMMIT, "
            f"got {text!r}"
        )
    return ModelSource("hf", name, revision)


def _open_clip(text: str, rest: str) -> ModelSource:
    name, _, tag = rest.partition("/")
    if not _NAME.fullmatch(name) or not _NAME.fullmatch(tag):
        raise UsageError(
            f"source of a model: expected open_clip:NAME/TAG, such as open_clip:ViT-B-32/laion2b_s34b_b79k, "
            f"got {text!r}"
        )
    return ModelSource("open_clip", name, tag)
