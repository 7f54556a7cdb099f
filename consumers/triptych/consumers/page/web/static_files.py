"""The front end: files that were built by Vite. Without them the page says how to build them, and the API works."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from triptych.consumers.page.problems import not_found

_INDEX: Final = "index.html"
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
_FOREVER: Final = "public, max-age=31536000, immutable"
_NOT_BUILT: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>triptych page</title>
<h1>The page is not built</h1>
<p>This installation has the server, and no front end. In a checkout, <code>make page</code> builds it; that needs
Node.js and npm. Then start <code>triptych page</code> again.</p>
<p>The API works without it: <code>/api/session</code>, <code>/api/wall</code>; docs/page.md lists the requests.</p>
</html>
"""


def static_folder() -> Path:
    """Return where the built files are."""
    return Path(str(files("triptych.consumers.page").joinpath("static")))


class StaticFiles:
    """Serves the files of the front end. Any other path than that of a file is a view, and gets the index."""

    def __init__(self, folder: Path) -> None:
        """Look which files there are: later ones are not served."""
        found = folder.rglob("*") if folder.is_dir() else ()
        self._files = {path.relative_to(folder).as_posix(): path for path in found if path.is_file()}

    @property
    def are_built(self) -> bool:
        """Whether there is a front end."""
        return _INDEX in self._files

    async def serve(self, request: Request) -> Response:
        """Return a file, the index, or how to build it."""
        name = request.url.path.lstrip("/")
        if name.startswith("api/"):
            raise not_found(f"there is no {request.url.path[:200]}", "docs/page.md lists the requests")
        path = self._files.get(name)
        if path is None and "." in name.rpartition("/")[2]:
            raise not_found("there is no such file", "open /")
        if path is None and not self.are_built:
            return Response(_NOT_BUILT, media_type="text/html; charset=utf-8")
        path = path or self._files[_INDEX]
        response = FileResponse(path, media_type=_TYPES.get(path.suffix, "application/octet-stream"))
        # Vite puts a hash of the content in the names of its assets. The index names them, so it is always asked for.
        response.headers["Cache-Control"] = _FOREVER if name.startswith("assets/") else "no-cache"
        return response
