"""Open the page in the user's browser, where there is one with a window."""

from __future__ import annotations

import os
import sys
import webbrowser


def open_in_browser(url: str) -> bool:
    """Open a URL; return whether a browser was asked to. On a machine without a screen, none is."""
    has_screen = sys.platform in {"darwin", "win32"} or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if not (has_screen or os.environ.get("BROWSER")):
        return False
    return webbrowser.open(url)
