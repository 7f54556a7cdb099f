"""What the page remembers between questions: of each conversation the last answer. Bounded in number and in age."""

from __future__ import annotations

import secrets
from collections import OrderedDict, deque
from dataclasses import dataclass
from http import HTTPStatus
from math import ceil
from typing import TYPE_CHECKING, Final

from triptych.consumers.page.problems import PageProblemError

if TYPE_CHECKING:
    from triptych.consumers.asking.session import LastAnswer

AGE_S: Final = 1_800.0
"""A conversation in which nothing was asked for so long is forgotten."""
MOST: Final = 1_000
MOST_OF_USER: Final = 20
QUESTIONS_A_MINUTE: Final = 20
_MINUTE_S: Final = 60.0
_MOST_USERS: Final = 10_000
_ID_BYTES: Final = 18


@dataclass(frozen=True, slots=True)
class ConversationOwner:
    """Who may continue a conversation: a user in one login, as long as the user may see the same feeds."""

    user: str
    feeds: tuple[str, ...]
    login: str = ""


@dataclass(frozen=True, slots=True)
class _Conversation:
    owner: ConversationOwner
    last: LastAnswer
    until_s: float


class Conversations:
    """The conversations of all users. Only the event loop calls it."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._kept: OrderedDict[str, _Conversation] = OrderedDict()

    def __len__(self) -> int:
        """Return how many are remembered."""
        return len(self._kept)

    def last(self, key: str, owner: ConversationOwner, now_s: float) -> LastAnswer | None:
        """Return what a conversation remembers; None if there is none, it is too old, or another's."""
        found = self._kept.get(key)
        return found.last if found is not None and found.owner == owner and now_s < found.until_s else None

    def store(self, key: str, owner: ConversationOwner, last: LastAnswer, now_s: float) -> str:
        """Remember the last answer of a conversation, or of a new one. Return its key."""
        if self.last(key, owner, now_s) is None:
            key = secrets.token_urlsafe(_ID_BYTES)
        self._kept[key] = _Conversation(owner, last, now_s + AGE_S)
        self._kept.move_to_end(key)
        self._forget(owner.user, now_s)
        return key

    def _forget(self, user: str, now_s: float) -> None:
        """Forget what is too old, and the oldest of what is too much: first of the user who asked."""
        while self._kept and next(iter(self._kept.values())).until_s <= now_s:
            self._kept.popitem(last=False)
        own = [key for key, one in self._kept.items() if one.owner.user == user]
        for key in own[:-MOST_OF_USER]:
            del self._kept[key]
        while len(self._kept) > MOST:
            self._kept.popitem(last=False)


class QuestionTurns:
    """Lets each user ask one question at a time, and so many a minute. Only the event loop calls it."""

    def __init__(self) -> None:
        """Nobody has asked yet."""
        self._running: set[str] = set()
        self._asked: OrderedDict[str, deque[float]] = OrderedDict()

    def begin(self, user: str, now_s: float) -> None:
        """Count a question of a user.

        Raises:
            PageProblemError: the one before is still being answered, or there were too many.
        """
        if user in self._running:
            raise PageProblemError(
                HTTPStatus.CONFLICT,
                "your last question is still being answered",
                "wait for its answer, or cancel it",
                retry_after_s=1,
            )
        asked = self._asked.setdefault(user, deque(maxlen=QUESTIONS_A_MINUTE))
        if len(asked) == QUESTIONS_A_MINUTE and now_s < asked[0] + _MINUTE_S:
            wait_s = ceil(asked[0] + _MINUTE_S - now_s)
            raise PageProblemError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"you have asked {QUESTIONS_A_MINUTE} questions within a minute",
                f"ask again in {wait_s} seconds",
                retry_after_s=wait_s,
            )
        asked.append(now_s)
        self._asked.move_to_end(user)
        if len(self._asked) > _MOST_USERS:
            self._asked.popitem(last=False)
        self._running.add(user)

    def end(self, user: str) -> None:
        """Let a user ask again."""
        self._running.discard(user)
