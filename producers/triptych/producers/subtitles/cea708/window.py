"""A window of CEA-708 captions (CTA-708-E, chapters 8.4 and 8.10): rows of characters and a pen. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Self

_ROWS: Final = 0x0F
_MAX_COLUMNS: Final = 64
_SCROLL_DOWN: Final = 2


@dataclass(slots=True)
class Window:
    """One window. Text beyond its width is kept, because viewers may widen it: no word is lost.

    Attributes:
        definition: the parameters of the `DefineWindow` command that made it.
        visible: whether it is on the screen.
    """

    definition: bytes
    visible: bool
    _rows: list[list[str]] = field(default_factory=list)
    _row: int = 0
    _column: int = 0
    _scrolls_down: bool = False

    @classmethod
    def defined(cls, definition: bytes) -> Self:
        """Return a new, empty window with the pen in the first row and column."""
        window = cls(definition, visible=False)
        window.define(definition)
        return window

    def define(self, definition: bytes) -> None:
        """Apply other parameters. Text stays as far as there are rows for it."""
        self.definition = definition
        self.visible = bool(definition[0] & 0x20)
        count = (definition[3] & _ROWS) + 1
        self._rows = [*self._rows[:count], *([] for _ in range(count - len(self._rows)))]
        self._row = min(self._row, count - 1)

    def set_attributes(self, parameters: bytes) -> None:
        """Apply the one attribute that changes where text goes: the scroll direction."""
        self._scrolls_down = parameters[2] >> 2 & 0x03 == _SCROLL_DOWN

    @property
    def position(self) -> tuple[int, int]:
        """Vertical and horizontal position. Windows are read from the top down, then from the left."""
        return self.definition[1] & 0x7F, self.definition[2]

    @property
    def text(self) -> str:
        """The text of the window, without empty rows and the spaces that only position it."""
        lines = ("".join(row).replace("\N{NO-BREAK SPACE}", " ").strip() for row in self._rows)
        return "\n".join(line for line in lines if line)

    def write(self, character: str) -> None:
        """Write a character at the pen, and advance the pen."""
        row = self._rows[self._row]
        row += " " * (self._column + 1 - len(row))
        row[self._column] = character
        self._column = min(self._column + 1, _MAX_COLUMNS - 1)

    def move(self, row: int, column: int) -> None:
        """Move the pen."""
        self._row, self._column = min(row, len(self._rows) - 1), column

    def backspace(self) -> None:
        """Erase the character before the pen."""
        self._column = max(0, self._column - 1)
        del self._rows[self._row][self._column :]

    def next_row(self) -> None:
        """Move to the start of the next row. After the last one, scroll."""
        self._column = 0
        if self._scrolls_down:
            if self._row > 0:
                self._row -= 1
            else:
                self._rows = [[], *self._rows[:-1]]
        elif self._row + 1 < len(self._rows):
            self._row += 1
        else:
            self._rows = [*self._rows[1:], []]

    def erase_row(self) -> None:
        """Erase the row of the pen, and move to its start."""
        self._rows[self._row], self._column = [], 0

    def clear(self) -> None:
        """Erase all rows."""
        self._rows = [[] for _ in self._rows]

    def form_feed(self) -> None:
        """Erase all rows, and move to the first row and column."""
        self.clear()
        self.move(0, 0)
