"""The people of an event and how they can be reached. Which vendor field is a phone or a role is decided in the vendors' mappings."""

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NewType

from calrelay.domain.text import safe_line

Phone = NewType("Phone", str)
"""A number in E.164, such as +12125550147. `normalise_phone` alone makes one."""

_LETTER = re.compile(r"[^\W\d_]")
_NUMBER_ALONE = re.compile(r"\+?[\d\s().\-‐-―/]+")
_EXTENSION = re.compile(r"(?:;?ext(?:ension|n)?|x)[\s.:=#]*\d{1,7}\s*$", re.IGNORECASE)
_LONGEST_PHONE_FIELD: Final = 100
_LONGEST_E164: Final = len("+") + 15  # some countries' numbering plans allow more than E.164 does

# RFC 5321 allows more (quoted local parts, address literals); nobody books with those, and none of this can break a header.
_ATEXT: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_EMAIL = re.compile(rf"({_ATEXT}+(?:\.{_ATEXT}+)*)@((?:{_LABEL}\.)+[A-Za-z](?:[A-Za-z0-9-]{{0,61}}[A-Za-z0-9]))")
_LONGEST_LOCAL_PART: Final = 64
_LONGEST_EMAIL: Final = 254


class Role(StrEnum):
    """In what part somebody takes part; the values are the words of a pipeline's `people`."""

    CONTACT = "contact"
    SECONDARY_CONTACT = "secondary_contacts"
    OWNER = "owner"
    CLIENT = "client"
    STAFF = "staff"


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """Somebody the target may message."""

    name: str
    email: str | None = None
    phone: Phone | None = None
    role: Role

    @property
    def is_reachable(self) -> bool:
        """Whether there is any way to message them."""
        return self.email is not None or self.phone is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contactable:
    """A participant, and what was left out on the way and why; the notes never quote a number, an address or a name."""

    participant: Participant
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneField:
    """A phone number as a vendor has it."""

    number: str | None
    extension: str | None = None


def contactable(
    *,
    name: str,
    role: Role,
    emails: Iterable[str | None] = (),
    phones: Iterable[PhoneField] = (),
    region: str,
) -> Contactable:
    """Make a participant of the first usable address and the first usable number, in the given order.

    `name` is what `person_name` returned. Blank fields are passed over silently; unusable ones leave a note (rule 10).
    """
    email, email_notes = _first_email(emails, role)
    phone, phone_notes = _first_phone(phones, role, region)
    return Contactable(
        participant=Participant(name=name, email=email, phone=phone, role=role),
        notes=(*email_notes, *phone_notes),
    )


@functools.lru_cache(maxsize=4096)  # libphonenumber is slow, and every pass reads the same numbers again
def normalise_phone(raw: str | None, region: str) -> Phone | None:
    """Return the number in E.164, or None when there is none that is valid, read in `region` (ISO 3166) or, with a +, in any.

    Words around one number are forgiven; letters are never dialled ("212-555-HOME" would be a stranger), and of two numbers none is
    chosen. An extension has no place in E.164 and is left out.
    """
    from calrelay.domain.phones import e164_of, e164_within  # noqa: PLC0415 - heavy, see there

    text = _EXTENSION.sub("", (raw or "").strip())
    if not text or len(text) > _LONGEST_PHONE_FIELD:
        return None
    read = e164_of if _NUMBER_ALONE.fullmatch(text) else e164_within
    e164 = read(text, region.upper())
    return Phone(e164) if e164 is not None and len(e164) <= _LONGEST_E164 else None


def normalise_email(raw: str | None) -> str | None:
    """Return the address trimmed and with its domain in lower case, or None when it does not look like one ASCII address.

    The local part keeps its letter case: only the host that receives it may say that case does not matter (RFC 5321, 2.4).
    """
    found = _EMAIL.fullmatch((raw or "").strip())
    if found is None or len(found[1]) > _LONGEST_LOCAL_PART or len(found[0]) > _LONGEST_EMAIL:
        return None
    return f"{found[1]}@{found[2].lower()}"


def person_name(first: str | None = None, last: str | None = None, full: str | None = None) -> str:
    """Compose a name on one line that commands and addresses nobody; empty when no letter is left.

    A full name goes before its parts, which TimeTap may leave empty, and the other way round (TimeTap: section 3.1, client).
    """
    parts = [full] if full and full.strip() else [first, last]
    name = safe_line(" ".join(part for part in parts if part))
    return name if _LETTER.search(name) else ""


def _first_email(emails: Iterable[str | None], role: Role) -> tuple[str | None, list[str]]:
    notes: list[str] = []
    for raw in emails:
        if (email := normalise_email(raw)) is not None:
            return email, notes
        if raw and raw.strip():
            notes.append(f"An e-mail address ({_in_words(role)}) does not look like one and was left out.")
    return None, notes


def _first_phone(phones: Iterable[PhoneField], role: Role, region: str) -> tuple[Phone | None, list[str]]:
    notes: list[str] = []
    for field in phones:
        if (phone := normalise_phone(field.number, region)) is not None:
            if field.extension and field.extension.strip():
                notes.append(f"The extension of a phone number ({_in_words(role)}) was left out: the target cannot dial it.")
            return phone, notes
        if field.number and field.number.strip():
            notes.append(f"A phone number ({_in_words(role)}) is not valid in {region} and was left out.")
    return None, notes


def _in_words(role: Role) -> str:
    return role.name.lower().replace("_", " ")
