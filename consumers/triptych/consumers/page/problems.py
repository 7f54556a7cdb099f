"""What a request cannot have, and what its sender can do about it. The web side answers with it as JSON."""

from __future__ import annotations

from http import HTTPStatus


class PageProblemError(Exception):
    """A request that is not answered as wished.

    Attributes:
        status: the HTTP status.
        error: what is wrong, in one sentence.
        what_to_do: what helps.
        retry_after_s: after how many seconds the same request may succeed; None if that is not known.
    """

    def __init__(self, status: HTTPStatus, error: str, what_to_do: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.what_to_do = what_to_do
        self.retry_after_s = retry_after_s


def not_found(error: str, what_to_do: str) -> PageProblemError:
    """Return the problem of something that does not exist, or that the sender may not see: the answer is the same."""
    return PageProblemError(HTTPStatus.NOT_FOUND, error, what_to_do)


def still_loading() -> PageProblemError:
    """Return the problem of an index that the same program is about to write."""
    return PageProblemError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "the index is still being prepared",
        "wait a few seconds, and try again",
        retry_after_s=5,
    )


def invalid(error: str, what_to_do: str) -> PageProblemError:
    """Return the problem of a request that is wrong in itself."""
    return PageProblemError(HTTPStatus.BAD_REQUEST, error, what_to_do)
