"""One service of CEA-708 captions (CTA-708-E, chapters 7 and 8): its codes, its eight windows, its delay. Pure."""

from __future__ import annotations

from collections import deque
from typing import Final

from triptych.producers.subtitles.cea708.characters import UNKNOWN, extended_character, plain_character
from triptych.producers.subtitles.cea708.codes import EXTENDED, G0, G1, G2, G3, Command, split
from triptych.producers.subtitles.cea708.window import Window

_BACKSPACE, _FORM_FEED, _RETURN, _ROW_RETURN = 0x08, 0x0C, 0x0D, 0x0E
_SIXTEEN_BIT: Final = 0x18
_CLEAR, _DISPLAY, _HIDE, _TOGGLE, _DELETE = 0x88, 0x89, 0x8A, 0x8B, 0x8C
_DELAY, _NO_DELAY, _RESET = 0x8D, 0x8E, 0x8F
_PEN_LOCATION, _WINDOW_ATTRIBUTES = 0x92, 0x97
_SELECT: Final = range(0x80, 0x88)
_DEFINE: Final = range(0x98, 0xA0)

_TENTH_NS: Final = 100_000_000
_MAX_WAITING: Final = 128
"""How many codes may wait for the end of a delay: the size of a service's input buffer (CTA-708-E 8.10.5.10)."""

_WINDOWS: Final = 8


class Service:
    """Execute the codes of one service, and keep the text on the screen."""

    def __init__(self) -> None:
        self._incomplete = b""
        self._waiting: deque[Command] = deque()
        self._until_ns: int | None = None
        self._windows: list[Window | None] = [None] * _WINDOWS
        self._current: Window | None = None

    @property
    def text(self) -> str:
        """The text on the screen, windows from the top down."""
        shown = [window for window in self._windows if window is not None and window.visible and window.text]
        return "\n".join(window.text for window in sorted(shown, key=lambda window: window.position))

    def feed(self, content: bytes, at_ns: int) -> None:
        """Take the bytes of a service block."""
        commands, self._incomplete = split(self._incomplete + content)
        if self._until_ns is not None and any(command.code in {_NO_DELAY, _RESET} for command in commands):
            self._until_ns = None
        self._waiting.extend(commands)
        self.run_until(at_ns)

    def run_until(self, at_ns: int) -> None:
        """Execute the codes whose delay ends by this time."""
        while self._waiting:
            is_full = len(self._waiting) > _MAX_WAITING
            if self._until_ns is not None and at_ns < self._until_ns and not is_full:
                return
            self._until_ns = None
            self._execute(self._waiting.popleft(), at_ns)

    def reset(self) -> None:
        """Discard all state, as after packets that were lost."""
        self._incomplete = b""
        self._waiting.clear()
        self._until_ns = self._current = None
        self._windows = [None] * _WINDOWS

    def _execute(self, command: Command, at_ns: int) -> None:
        code, parameters = command
        if code == _RESET:
            self._windows, self._current = [None] * _WINDOWS, None
        elif code == _DELAY:
            self._until_ns = at_ns + parameters[0] * _TENTH_NS
        elif code in _SELECT:
            self._current = self._windows[code & 0x07] or self._current
        elif _CLEAR <= code <= _DELETE:
            self._change_windows(code, parameters[0])
        elif code in _DEFINE:
            self._define(code & 0x07, parameters)
        elif self._current is not None:
            _write(self._current, command)

    def _change_windows(self, code: int, bitmap: int) -> None:
        for number, window in enumerate(self._windows):
            if window is None or not bitmap >> number & 1:
                continue
            if code == _CLEAR:
                window.clear()
            elif code == _DELETE:
                self._windows[number] = None
                self._current = None if self._current is window else self._current
            else:
                window.visible = code == _DISPLAY or (code == _TOGGLE and not window.visible)

    def _define(self, number: int, definition: bytes) -> None:
        """Select a window, and create or redefine it where necessary."""
        window = self._windows[number]
        if window is None:
            window = self._windows[number] = Window.defined(definition)
        elif window.definition != definition:
            window.define(definition)
        self._current = window


def _write(window: Window, command: Command) -> None:
    """Execute a code on the current window."""
    code, parameters = command
    if code == _PEN_LOCATION:
        window.move(parameters[0] & 0x0F, parameters[1] & 0x3F)
    elif code == _WINDOW_ATTRIBUTES:
        window.set_attributes(parameters)
    elif code in _CONTROLS:
        _CONTROLS[code](window)
    elif code == _SIXTEEN_BIT:
        window.write(UNKNOWN)
    elif code in G0 or code in G1:
        window.write(plain_character(code))
    elif code in G2 or code in G3:
        for character in extended_character(code - EXTENDED):
            window.write(character)


_CONTROLS: Final = {
    _BACKSPACE: Window.backspace,
    _FORM_FEED: Window.form_feed,
    _RETURN: Window.next_row,
    _ROW_RETURN: Window.erase_row,
}
