"""Numbers by label in a rule: `counts['car'] > 2`. No I/O."""

from __future__ import annotations

from collections.abc import Mapping


class LabelNumbers:
    """Numbers of objects by label, in any case. Without any examined picture every number is missing."""

    __slots__ = ("_numbers",)

    def __init__(self, numbers: Mapping[str, float] | None) -> None:
        """Store the number of each label; None if nothing was examined."""
        self._numbers = None if numbers is None else {label.casefold(): number for label, number in numbers.items()}

    def __contains__(self, label: object) -> bool:
        """Return whether there are objects of this label."""
        return bool(self[label])

    def __getitem__(self, label: object) -> float | None:
        """Return the number of objects of a label; 0 for a label that was not seen.

        None if nothing was examined, or if the label itself is a missing value.
        """
        if label is not None and not isinstance(label, str):
            raise TypeError("a text in quotes")
        return None if self._numbers is None or label is None else self._numbers.get(label.casefold(), 0)

    def __len__(self) -> int:
        """Return the number of labels with objects: a rule that names them alone tests whether there are any."""
        return sum(map(bool, (self._numbers or {}).values()))
