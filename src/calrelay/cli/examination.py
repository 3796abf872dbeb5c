"""What `check` finds: accounts, pipelines, problems and warnings, as values. Who looks for them, and how they are told, stands beside."""

import dataclasses
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Self

from calrelay.engine.overlapping import Overlapping
from calrelay.errors import CalrelayError, ExitCode
from calrelay.ports import Fact
from calrelay.service.loaded import DaemonView


class Verdict(StrEnum):
    """What came of asking an account."""

    WORKS = "works"
    FAILED = "failed"
    NOT_ASKED = "not asked"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A problem: what `run` would refuse or stumble over. `account` is empty where it is nobody's in particular."""

    kind: str
    message: str
    remedy: str
    exit_code: int
    account: str = ""

    @classmethod
    def of(cls, error: CalrelayError, *, account: str = "", message: str = "", remedy: str = "") -> Self:
        """Take an error, in other words where they are given."""
        return cls(
            kind=error.kind,
            message=message or error.message,
            remedy=remedy or error.remedy,
            exit_code=error.exit_code,
            account=account or getattr(error, "account", ""),
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AccountView:
    """An account as it shows itself; `clock_skew` is in seconds, positive where the vendor's clock is ahead."""

    name: str
    vendor: str
    verdict: Verdict = Verdict.NOT_ASKED
    facts: Sequence[Fact] = ()
    calendars: Mapping[str, str] = dataclasses.field(default_factory=dict)  # a target's, ids by name
    clock_skew: float | None = None
    requests: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PipelineView:
    """A pipeline: from where to where, and into which calendars; `overlap` where its source was asked what it sends by itself."""

    name: str
    source: str
    target: str
    calendars: Sequence[str]
    is_enabled: bool
    overlap: Overlapping | None = None


@dataclasses.dataclass(slots=True, kw_only=True)
class Examination:
    """Everything found so far. `config` and `state` are None where they could not be found or opened."""

    zone_data: str  # its version
    is_zone_data_old: bool = False
    config: Path | None = None
    state: str | None = None
    is_offline: bool = False
    accounts: dict[str, AccountView] = dataclasses.field(default_factory=dict)
    pipelines: list[PipelineView] = dataclasses.field(default_factory=list)
    problems: list[Finding] = dataclasses.field(default_factory=list)
    warnings: list[str] = dataclasses.field(default_factory=list)
    daemon: DaemonView | None = None
    notified: list[str] = dataclasses.field(default_factory=list)  # what of [notify] was tried and works

    @property
    def exit_code(self) -> int:
        """The code of the worst problem; warnings have none."""
        return ExitCode.worst(*(problem.exit_code for problem in self.problems))
