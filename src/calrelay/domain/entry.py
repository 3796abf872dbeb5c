"""The entry: what the target is to hold for an event, in full. It lives in memory only; the ledger keeps its imprint."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from calrelay.domain.event import Event, Extra
from calrelay.domain.link import Basis, CalendarId, Field, Imprint
from calrelay.domain.people import Participant

_to_json = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode  # json.dumps would make one for each value
_FIELDS: Final = tuple(Field)
_EXTRAS: Final = frozenset(extra.value for extra in Extra)
_TEXTS_KEPT: Final = 1024  # places, zones and times are the same for many events


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A target calendar entry. `start` and `end` carry the zone's numeric offset on that date (rule 8); `zone` is an IANA id."""

    calendar: CalendarId
    title: str
    start: datetime
    end: datetime
    zone: str
    location: str
    content: str
    participants: tuple[Participant, ...]
    custom_data: Mapping[str, str]

    def values(self) -> tuple[object, ...]:
        """Return the fields, in the order of `Field`, in a form that hashes the same for the same meaning."""
        return (
            self.title,
            self.start.isoformat(),
            self.end.isoformat(),
            self.zone,
            self.location,
            self.content,
            sorted([p.name, p.email or "", p.phone or ""] for p in self.participants),
            dict(self.custom_data),
        )


class Hasher:
    """Keyed hashes, so that the ledger's values cannot be guessed back from names and numbers (rule 14: keyed per installation)."""

    def __init__(self, key: bytes) -> None:
        self._keyed = hashlib.blake2b(
            key=key, digest_size=12
        )  # RFC 7693, 2.9: a keyed hash, three times as fast as HMAC-SHA-256 on short texts
        self._of_text = functools.lru_cache(maxsize=_TEXTS_KEPT)(self._of)

    def of(self, value: object) -> str:
        """Hash any JSON-able value; equal values hash alike whatever the order of their keys. 24 hex digits."""
        return self._of_text(value) if isinstance(value, str) else self._of(value)

    def _of(self, value: object) -> str:
        hashed = self._keyed.copy()
        hashed.update(_to_json(value).encode())
        return hashed.hexdigest()

    def of_event(self, event: Event) -> str:
        """Hash what a source says: every content field, none of the notes. Instants count, their spelling does not.

        Extra fields change as time goes by and nobody touches the booking: where it has some, the hash without them stands before the
        other, `a:b`, so that `Link.is_of_row` can leave them aside.
        """
        if _EXTRAS.isdisjoint(event.custom):
            return self._of_content(event)
        custom = {name: value for name, value in event.custom.items() if name not in _EXTRAS}
        return f"{self._of_content(dataclasses.replace(event, custom=custom))}:{self._of_content(event)}"

    def _of_content(self, event: Event) -> str:
        return self.of(
            [
                event.status,
                event.lifecycle,
                event.start.astimezone(UTC).isoformat(),
                event.end.astimezone(UTC).isoformat(),
                event.zone,
                event.title,
                event.location,
                event.content,
                sorted([p.role, p.name, p.email or "", p.phone or ""] for p in event.participants),
                {name: sorted(values) for name, values in event.facets.items()},
                dict(event.custom),
                event.exempt,
            ]
        )

    def of_rows(self, basis: Basis, calendars: Sequence[CalendarId]) -> Callable[[bytes], str]:
        """Return what hashes a vendor's row together with what its entry rests on besides: the basis, and the calendars in use.

        The config may name calendars, and the target may give a name to another one.
        """
        keyed = self._keyed.copy()
        keyed.update(_to_json([basis.zone_data, basis.mapping, basis.config, *calendars]).encode())

        def of_row(row: bytes) -> str:
            hashed = keyed.copy()
            hashed.update(row)
            return hashed.hexdigest()

        return of_row

    def of_entry(self, entry: Entry) -> Imprint:
        """Return the imprint of an entry."""
        return Imprint(
            calendar=entry.calendar,
            start=entry.start.astimezone(UTC),
            end=entry.end.astimezone(UTC),
            hashes=dict(zip(_FIELDS, map(self.of, entry.values()), strict=True)),
        )
