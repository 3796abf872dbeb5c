"""Every error calrelay raises on purpose.

CalrelayError
├── ConfigError             the configuration cannot be used
├── VendorError             a vendor did not do what was asked
│   ├── VendorUnavailable   no sound answer: timeout, connection, 5xx
│   ├── RateLimited         429, still after the retries
│   ├── AuthFailed          401, 403, a login page, consent missing
│   ├── RequestRejected     any other 4xx: this request will never be accepted as it is
│   │   └── NotFound        404, or the vendor's own way to say it
│   └── ResponseInvalid     an answer that is not what was promised: HTML, cut-off JSON, wrong shape
├── MappingError            one event cannot be mapped
├── GuardRefused            a guard stopped a pass until somebody decides
├── Busy                    another process is at work on it
│   └── LeaseLost           another process took over while this one stood still
└── StateError              the state database cannot be trusted

What a class stops, who has to act and the exit code stand on the class, so that the engine needs no ladder of `isinstance`.
"""

from datetime import timedelta
from enum import StrEnum
from typing import ClassVar


class Stops(StrEnum):
    """How far the damage of an error goes."""

    EVENT = "event"
    PASS = "pass"
    VENDOR = "vendor"
    PROCESS = "process"


class Actor(StrEnum):
    """Who can mend it."""

    NOBODY = "nobody"  # it passes by itself
    OPERATOR = "operator"
    VENDOR = "vendor"
    DEVELOPER = "developer"


CLAIMED = "Claimed"  # the kind of a problem that is no error: another pipeline has the event
UNCLEAR = "Unclear"  # the kind of a problem that is no error: nobody can tell whose doing it is


class ExitCode:
    """The exit codes of the command line, and which of several wins."""

    DONE = 0
    ATTENTION = 1
    CONFIG = 2
    VENDOR = 3
    GUARD = 4
    STATE = 5
    BUSY = 6
    BUG = 70
    PRECEDENCE = (BUG, STATE, CONFIG, VENDOR, GUARD, BUSY, ATTENTION, DONE)

    @classmethod
    def worst(cls, *codes: int) -> int:
        """Return the code that speaks for all of them (0 for none)."""
        return min(codes, key=cls.PRECEDENCE.index, default=cls.DONE)


class CalrelayError(Exception):
    """The base of the tree; `message` says what happened to what, `remedy` what to do."""

    stops: ClassVar[Stops] = Stops.PROCESS
    actor: ClassVar[Actor] = Actor.OPERATOR
    exit_code: ClassVar[int] = ExitCode.BUG

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    @property
    def kind(self) -> str:
        """The class's name, as it stands in reports and JSON."""
        return type(self).__name__


class ConfigError(CalrelayError):
    """The configuration cannot be used; `problems` holds each of them with its path."""

    exit_code = ExitCode.CONFIG

    def __init__(self, message: str, *, remedy: str = "", problems: tuple[str, ...] = ()) -> None:
        super().__init__(message, remedy=remedy)
        self.problems = problems


class VendorError(CalrelayError):
    """A vendor did not do what was asked; `account` names whose, `status` is HTTP's or None.

    `is_open` says that it may have been done all the same. Only a 4xx proves that it was not, other than 408, and only where no earlier
    try of the same request was left open.
    """

    stops = Stops.VENDOR
    actor = Actor.VENDOR
    exit_code = ExitCode.VENDOR

    def __init__(self, message: str, *, remedy: str = "", account: str = "", status: int | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.account = account
        self.status = status
        self.is_open = status is None or status == 408 or not 400 <= status < 500


class VendorUnavailable(VendorError):
    """No sound answer: timeout, connection, 5xx. The request may have been applied."""

    actor = Actor.NOBODY


class RateLimited(VendorError):
    """429, still after the retries; `retry_after` is what the vendor asked for, if it did."""

    actor = Actor.NOBODY

    def __init__(
        self,
        message: str,
        *,
        remedy: str = "",
        account: str = "",
        status: int | None = 429,
        retry_after: timedelta | None = None,
    ) -> None:
        super().__init__(message, remedy=remedy, account=account, status=status)
        self.retry_after = retry_after


class AuthFailed(VendorError):
    """401, 403, a login page instead of JSON, or consent that is missing."""

    actor = Actor.OPERATOR


class RequestRejected(VendorError):
    """Any other 4xx: the vendor will never accept this request as it is."""

    stops = Stops.EVENT
    actor = Actor.OPERATOR


class NotFound(RequestRejected):
    """404, or the vendor's own way to say that there is no such thing."""


class ResponseInvalid(VendorError):
    """An answer that is not what was promised: HTML with 200, an empty body, cut-off JSON, another shape."""


class MappingError(CalrelayError):
    """One event cannot be mapped to a canonical event; it goes to quarantine."""

    stops = Stops.EVENT
    actor = Actor.OPERATOR
    exit_code = ExitCode.ATTENTION


class GuardRefused(CalrelayError):
    """A guard stopped a pass, or part of it, until somebody decides."""

    stops = Stops.PASS
    actor = Actor.OPERATOR
    exit_code = ExitCode.GUARD


class Busy(CalrelayError):
    """Another process is at work on it; the message says which. `again_after` is when it may have died unseen, where that can be."""

    stops = Stops.PASS
    actor = Actor.NOBODY
    exit_code = ExitCode.BUSY

    def __init__(self, message: str, *, remedy: str = "", again_after: timedelta | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.again_after = again_after


class LeaseLost(Busy):
    """Another process took a pipeline over while this one stood still: the pass ends here, and nothing more of it was written (rule 22)."""


class StateError(CalrelayError):
    """The state database cannot be opened, read, written or trusted."""

    exit_code = ExitCode.STATE
