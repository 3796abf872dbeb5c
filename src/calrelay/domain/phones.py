"""What libphonenumber is asked. Whoever needs it imports this module where it is used: it takes longer to load than most commands work."""

from collections.abc import Iterator
from typing import Final

import phonenumbers

REGIONS: Final = frozenset(phonenumbers.SUPPORTED_REGIONS)
"""The countries that have numbers, by ISO 3166."""


def e164_of(text: str, region: str) -> str | None:
    """Return the valid number that a text is, in E.164."""
    try:
        return _valid(phonenumbers.parse(text, region))
    except phonenumbers.NumberParseException:
        return None


def e164_within(text: str, region: str) -> str | None:
    """Return the one valid number that a text holds, in E.164; of two numbers none is chosen."""
    found = {match.number.national_number: match.number for match in phonenumbers.PhoneNumberMatcher(text, region)}
    return _valid(next(iter(found.values()))) if len(found) == 1 else None


def places_of_numbers(text: str, region: str) -> Iterator[tuple[int, int]]:
    """Yield where numbers begin and end in a text, in order."""
    yield from ((found.start, found.end) for found in phonenumbers.PhoneNumberMatcher(text, region))


def _valid(number: phonenumbers.PhoneNumber) -> str | None:
    is_valid = phonenumbers.is_valid_number(number)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164) if is_valid else None
