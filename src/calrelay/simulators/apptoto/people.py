"""An event's participants in the Apptoto simulator: made of a PUT's array or of texts, and merged with those already there."""

import dataclasses
import itertools
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from calrelay.simulators.apptoto.texts import emails_in, normalize_phone, phones_in

# The read vocabulary (Apptoto: section 3.1); "no_show" and the like belong to the mark call's other one.
STATES = (
    "initial",
    "accepted",
    "declined",
    "reminded",
    "confirmed",
    "not_coming",
    "not_coming_needs_reschedule",
    "not_coming_no_reschedule",
)


@dataclasses.dataclass(slots=True, kw_only=True)
class Participant:
    """Somebody on an event; `extracted` when found in its texts, `messaged` once anything went out to them."""

    id: int
    added_at: datetime
    name: str = ""
    email: str | None = None
    phone: str | None = None
    normalized_phone: str | None = None
    state: str = "initial"
    messaged: bool = False
    extracted: bool = False
    conversation: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    def is_same_person(self, other: "Participant") -> bool:
        """Tell whether phone or e-mail say so; a name alone does only where neither side has more (Apptoto: section 9, guessed)."""
        if self.id == other.id or (self.phone and (self.normalized_phone or self.phone) == (other.normalized_phone or other.phone)):
            return True
        if self.email and other.email and self.email.lower() == other.email.lower():
            return True
        bare = not any((self.email, self.phone, other.email, other.phone))
        return bare and self.name == other.name

    def answers_to(self, *, phone: str | None = None, email: str | None = None) -> bool:
        """Tell whether this number (any spelling) or address is theirs."""
        number = normalize_phone(phone)
        by_phone = number is not None and number == self.normalized_phone
        by_email = email is not None and self.email is not None and email.lower() == self.email.lower()
        return by_phone or by_email


class Roster:
    """Makes participants, with ids of their own; `contact_of` finds the address-book entry a row points to."""

    def __init__(
        self, contact_of: Callable[[dict[str, Any]], dict[str, Any] | None], contacts: Callable[[], Iterable[dict[str, Any]]]
    ) -> None:
        self._contact_of = contact_of
        self._contacts = contacts
        self._ids = itertools.count(700_045)

    def from_rows(self, rows: Iterable[object], at: datetime) -> list[Participant]:
        """Make the participants of a write; rows that are no objects or point to no contact are passed over."""
        people = (self._from_row(row, at) for row in rows if isinstance(row, dict))
        return [p for p in people if p is not None]

    def from_texts(self, title: str, location: str, content: str, at: datetime) -> list[Participant]:
        """Extract people: numbers and addresses from every text, contacts whose name the title holds."""
        whole = "\n".join((title, location, content))
        phones, emails = list(dict.fromkeys(phones_in(whole))), list(dict.fromkeys(emails_in(whole)))
        rows: list[dict[str, Any]] = [{"phone": phone} for phone in phones]
        # One number and one address in the same event are taken for one person.
        if len(phones) == len(emails) == 1:
            rows[0]["email"] = emails[0]
        else:
            rows += [{"email": email} for email in emails]
        rows += [{"contact_id": c["id"]} for c in self._contacts() if c["name"] and c["name"].lower() in title.lower()]
        found: list[Participant] = []
        for person in self.from_rows(rows, at):
            person.extracted = True
            if not any(person.is_same_person(other) for other in found):
                found.append(person)
        return found

    def _from_row(self, row: dict[str, Any], at: datetime) -> Participant | None:
        if row.get("contact_id") or row.get("contact_external_id"):
            contact = self._contact_of(row)
            if contact is None:
                return None
            row = {
                "name": contact["name"],
                "phone": _first(contact, "phone_numbers", "number"),
                "email": _first(contact, "email_addresses", "address"),
            }
        phone = _text(row.get("phone"))
        return Participant(
            id=next(self._ids),
            added_at=at,
            name=_text(row.get("name")) or "",
            email=_text(row.get("email")),
            phone=phone,
            normalized_phone=normalize_phone(phone),
        )


def merge(old: list[Participant], new: list[Participant], *, keep_messaged: bool) -> list[Participant]:
    """Replace the array as a whole, keeping the identity of people who stay and, by default, those already messaged."""
    merged: list[Participant] = []
    left = list(old)
    for person in new:
        known = next((p for p in left if p.is_same_person(person)), None)
        if known is None:
            merged.append(person)
            continue
        left.remove(known)
        known.name, known.email, known.phone = person.name, person.email, person.phone
        known.normalized_phone, known.extracted = person.normalized_phone, person.extracted
        merged.append(known)
    return merged + [p for p in left if p.messaged and keep_messaged]


def _first(contact: dict[str, Any], key: str, field: str) -> str | None:
    rows = contact.get(key) or []
    return rows[0].get(field) if rows else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
