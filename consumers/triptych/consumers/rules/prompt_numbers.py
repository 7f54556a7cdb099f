"""Numbers by prompt in a rule: `matches['fire'] > .9`. No I/O."""

from __future__ import annotations

from collections.abc import Mapping


class PromptNumbers:
    """A number for each prompt of the window, by the prompt's name. A prompt without one has a missing value."""

    __slots__ = ("_numbers",)

    def __init__(self, numbers: Mapping[str, float | None]) -> None:
        """Store the number of each prompt."""
        self._numbers = {name: number for name, number in numbers.items() if number is not None}

    def __contains__(self, name: object) -> bool:
        """Return whether the prompt has a number."""
        return self[name] is not None

    def __getitem__(self, name: object) -> float | None:
        """Return the number of a prompt; None if it has none."""
        if name is not None and not isinstance(name, str):
            raise TypeError("a text in quotes")
        return None if name is None else self._numbers.get(name)

    def __len__(self) -> int:
        """Return the number of prompts: a rule that names them alone tests whether there are any."""
        return len(self._numbers)
