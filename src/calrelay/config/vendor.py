"""What a vendor tells the config about itself: its account's keys, its filter, its roles and its limits. No vendor is named here."""

import dataclasses
from collections.abc import Mapping
from difflib import get_close_matches
from enum import StrEnum
from functools import partial
from typing import Annotated, ClassVar, Final

from pydantic import AfterValidator, Field, field_validator

from calrelay.config.section import Section, Values, check_zones
from calrelay.domain.text import title

ADVANCED: Final = "x-advanced"
"""Schema mark of a key that few need; the example shows it commented out."""
_LISTED: Final = 40  # names in a sentence; the others are counted


class Role(StrEnum):
    """What an account is to a pipeline."""

    SOURCE = "source"
    TARGET = "target"


class AccountModel(Section):
    """The keys of an account; a vendor's own model adds its own and narrows `vendor` to its name."""

    vendor: str = Field(description="Whose account it is.")
    identity_keys: ClassVar[tuple[str, ...]] = ()  # those that say whose account it is, rather than how it is asked

    @property
    def rate(self) -> float:
        """Requests per second that this account sends at most."""
        raise NotImplementedError

    @property
    def needs_consent(self) -> bool:
        """Whether somebody must consent once, by `login`, before it can be asked anything."""
        return False


def fold(value: str) -> str:
    """Return a facet's value as it is compared."""
    return title(value).casefold()


def zone_keys(*kinds: str) -> AfterValidator:
    """Return the validator of `zones` for a vendor whose places are of these kinds ("location:2601"); zones come out canonical."""
    return AfterValidator(partial(check_zones, kinds))


class MatchModel(Section):
    """Facets an event must show: of each named one, one of its values. Every key of a vendor's own model is a facet of its events.

    An event shows one thing of each facet in `exclusive`, and none has two names; of those in `numbered` it shows one, which has several.
    """

    exclusive: ClassVar[frozenset[str]] = frozenset()
    numbered: ClassVar[frozenset[str]] = frozenset()

    @property
    def facets(self) -> Mapping[str, tuple[str, ...]]:
        """The facets that are named, with their values as written."""
        keys = [name for name in type(self).model_fields if name not in FilterModel.model_fields]
        return {name: values for name in keys if (values := getattr(self, name)) is not None}

    @property
    def folded(self) -> Mapping[str, frozenset[str]]:
        """The same, as events are compared with them: on one line, letter case folded."""
        return {name: frozenset(map(fold, values)) for name, values in self.facets.items()}


class FilterModel(MatchModel):
    """Which events a pipeline relays. A vendor's own model gives the default of `statuses`, its facets and the type of `exclude`."""

    known_statuses: ClassVar[tuple[str, ...]] = ()
    gone_statuses: ClassVar[tuple[str, ...]] = ()  # those that delete (rule 13)

    statuses: Annotated[tuple[str, ...], Field(strict=False)] = Field(default=(), description="Statuses that are relayed; others are not.")
    exclude: MatchModel | None = Field(default=None, description="Events that show one value of each facet named here are left out.")

    @field_validator("statuses")
    @classmethod
    def _upper_case(cls, statuses: tuple[str, ...]) -> tuple[str, ...]:
        found = tuple(dict.fromkeys(status.strip().upper() for status in statuses))
        if not found or "" in found:
            raise ValueError("allows no status, so nothing would be relayed — name one or more")
        if refused := [status for status in found if status in cls.gone_statuses]:
            raise ValueError(
                f"{', '.join(refused)} means that the booking will not take place, and always deletes — take it out of the list"
            )
        return found

    def doubts(self) -> list[str]:
        """Return what may be a slip of the pen: statuses this release has never heard of."""
        unknown = [status for status in self.statuses if status not in self.known_statuses]
        return [f"“{status}” is no status this release knows{suggestion(status, self.known_statuses)}" for status in unknown]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VendorConfig:
    """A vendor's part in the config.

    `statuses` is the default allow-list, `people` and `extras` the words allowed in a pipeline's keys of that name. Above
    `known_requests_per_second` the vendor is known to refuse, so `check` warns. `example_account` names its account in the example.
    """

    name: str
    label: str
    role: Role
    account: type[AccountModel]
    example_account: str
    filter: type[FilterModel] | None = None
    match: type[MatchModel] | None = None
    statuses: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    default_people: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    known_requests_per_second: float | None = None


def suggestion(word: str, known: tuple[str, ...] | list[str]) -> str:
    """Return " — did you mean “x”?", or the list of what there is."""
    close = get_close_matches(word, known, n=1, cutoff=0.6)
    if close:
        return f" — did you mean “{close[0]}”?"
    more = f" and {len(known) - _LISTED} more" if len(known) > _LISTED else ""
    return f" — there is {', '.join(known[:_LISTED])}{more}" if known else " — there is none yet"


Facet = Values | None
