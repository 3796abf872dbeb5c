"""Makes a recorded exchange fit to be published: what is not known to be harmless is replaced, always in the same way.

The list is of what may stay (cassettes_words), not of what must go: a field that a vendor adds tomorrow is replaced, too.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from calrelay.domain.zones import resolve_zone
from calrelay.errors import MappingError
from tests.vendors import cassettes_words as words

ROWS: Final = 3  # of a list; more would show nothing new
_LISTS: Final = ("results", "events", "calendars")

_EMAIL: Final = re.compile(r"[^@\s<>]+@[^@\s<>]+\.[^@\s<>.]+")
_DIGITS: Final = re.compile(r"\d+")
_NUMBERS: Final = re.compile(r"\d+(?:,\d+)*")
_OUR_ID: Final = re.compile(r"(ts|tt)-(\d+)(\.\d+)?")
_NOT_FOUND: Final = re.compile(r"Appointment for Id (\d+) not found!")
_INVITATION: Final = re.compile(r"ivt[0-9a-f]{32}")
_KEY: Final = re.compile(r"[a-z_][A-Za-z0-9_]{0,39}")  # no vendor begins one with a capital, people do


class Scrubber:
    """Replaces people, texts, ids and secrets; one for all cassettes of a vendor, so that what was equal stays equal.

    The same exchanges in the same order always give the same placeholders, and placeholders are left alone.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], int] = {}

    # --- whole messages ---

    def exchange(self, request: Mapping[str, Any], response: Mapping[str, Any]) -> dict[str, Any]:
        """Return a request and its answer as a cassette may hold them."""
        return {
            "request": {
                "method": request["method"],
                "uri": self.uri(request["uri"]),
                "headers": _headers(request["headers"]),
                "body": self.body(_text(request["body"]), _kind(request["headers"])),
            },
            "response": {
                "status": {"code": response["status"]["code"], "message": ""},
                "headers": _headers(response["headers"]),
                "body": {"string": self.body(_text(response["body"]["string"]), _kind(response["headers"]))},
            },
        }

    def uri(self, uri: str) -> str:
        """Return an address without secrets, ids and people; its host is the vendor's."""
        parts = urlsplit(uri)
        path = "/".join(self._segment(segment) for segment in parts.path.split("/"))
        query = [(key, self._parameter(key, value)) for key, value in parse_qsl(parts.query, keep_blank_values=True)]
        return urlunsplit((parts.scheme, parts.hostname or "", path, urlencode(query), ""))

    def body(self, body: str, kind: str) -> str:
        """Return a body: JSON value by value and written to be read, a form field by field, anything else not at all."""
        if not body.strip():
            return ""
        if "form-urlencoded" in kind:
            return urlencode([(key, self.text(key, value)) for key, value in parse_qsl(body, keep_blank_values=True)])
        try:
            value = json.loads(body)
        except ValueError:
            return "<!DOCTYPE html><html>scrubbed</html>" if "<" in body[:200] else words.SCRUBBED
        return json.dumps(self.value("", _shortened(value)), indent=1, ensure_ascii=False) + "\n"

    def subject(self, subject: Mapping[str, str]) -> dict[str, str]:
        """Return what a call was about, with the placeholders that its exchange has."""
        return {key: self.text(key, value) for key, value in subject.items()}

    # --- values ---

    def value(self, key: str, value: object) -> object:
        """Return a JSON value; `key` is the name under which it stood."""
        match value:
            case dict():
                return self._object(key, value)
            case list():
                return [self.value(key, item) for item in value]
            case bool() | None:
                return value
            case int():
                # TimeTap's clientId is a guest's number, Tripleseat's client_id opens an account, and only ever comes as text.
                is_secret = _folded(key) in words.SECRET_KEYS - {"clientid"}
                return words.SCRUBBED if is_secret else self._number(_folded(key), value)
            case float():
                return 0.0
            case _:
                return self.text(key, str(value))

    def text(self, key: str, text: str) -> str:
        """Return a text as it may stay, or its placeholder."""
        folded, inner = _folded(key), text.strip()
        if folded in words.SECRET_KEYS:
            return words.SCRUBBED if inner else ""
        if not inner or self._may_stay(folded, inner):
            return text
        if inner[0] in "[{":
            return self._json_inside(key, inner)
        # Blanks around a name are one of the things that a client must cope with.
        return text.replace(inner, self._placeholder(folded, inner), 1)

    def _may_stay(self, key: str, text: str) -> bool:
        is_personal = words.PERSONAL_KEY.search(key)
        if words.PLACEHOLDER.fullmatch(text) and not (is_personal and text.isdecimal()):
            return True
        if all(part.casefold() in words.VOCABULARY for part in text.split(",")) or ("zone" in key and _is_zone(text)):
            return True
        return bool(words.HARMLESS.fullmatch(text)) and not is_personal

    def _placeholder(self, key: str, text: str) -> str:
        if _EMAIL.fullmatch(text):
            return f"guest{self._nth('email', text.casefold())}@example.com"
        if words.PHONE_KEY.search(key) and _DIGITS.search(text):
            return self._phone(text)
        if words.URL_KEY.search(key) or text.startswith(("http://", "https://")):
            return f"https://example.com/{self._nth('url', text)}"
        for pattern, write in self._patterns():
            if (found := pattern.fullmatch(text)) and not words.PERSONAL_KEY.search(key):
                return write(found)
        if key == "externalid":
            return f"external-{self._nth('external', text)}"
        if words.NAME_KEY.search(key):
            return f"Name {self._nth('name', text)}"
        return f"<p>Text {self._nth('text', text)}</p>" if "<" in text else f"Text {self._nth('text', text)}"

    def _patterns(self) -> tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...]:
        return (
            (re.compile(r"-?\d+\.\d+"), lambda _: "0.0"),
            (_NUMBERS, lambda found: ",".join(self._digits(part) for part in found[0].split(","))),
            (_OUR_ID, lambda found: f"{found[1]}-{self._digits(found[2])}{found[3] or ''}"),
            (_INVITATION, lambda found: f"ivt{self._nth('invitation', found[0])}"),
            (_NOT_FOUND, lambda found: f"Appointment for Id {self._digits(found[1])} not found!"),
        )

    def _phone(self, text: str) -> str:
        number = self._nth("phone", "".join(_DIGITS.findall(text))[-10:]) % 100
        return f"+121255501{number:02}" if text.startswith("+") else f"212-555-01{number:02}"

    def _number(self, key: str, number: int) -> int:
        if words.PERSONAL_KEY.search(key):
            return 0
        is_moment = words.TIME_KEY.search(key) and number >= 1_000_000_000
        return number if is_moment else int(self._digits(str(number)))

    def _digits(self, digits: str) -> str:
        """Return another number with as many digits; up to four tell nothing."""
        if len(digits.lstrip("-")) <= 4 or words.PLACEHOLDER.fullmatch(digits):
            return digits
        size = len(digits.lstrip("-"))
        return str(10 ** (size - 1) + self._nth("number", digits.lstrip("-")))

    def _object(self, name: str, value: Mapping[str, object]) -> dict[str, object]:
        if _folded(name) not in words.FREE_MAPS:
            return {self._key(key): self.value(key, inner) for key, inner in value.items()}
        # Keys that customers typed say nothing about their values: only our own are believed.
        return {
            key if key in words.OUR_CUSTOM_KEYS else self._numbered_key(key): self.value(
                key if key in words.OUR_CUSTOM_KEYS else "value", inner
            )
            for key, inner in value.items()
        }

    def _key(self, key: str) -> str:
        return key if _KEY.fullmatch(key) else self._numbered_key(key)

    def _numbered_key(self, key: str) -> str:
        return key if words.PLACEHOLDER.fullmatch(key) else f"key_{self._nth('key', key)}"

    def _json_inside(self, key: str, text: str) -> str:
        """Return JSON that is written into a text, as TimeTap's `parameters` is."""
        try:
            return json.dumps(self.value(key, json.loads(text)))
        except ValueError:
            return self._placeholder(_folded(key), text)

    def _segment(self, segment: str) -> str:
        """Return a part of a path: words are our own clients', everything with a digit may be an id."""
        stem, dot, suffix = segment.partition(".")
        if not _DIGITS.search(stem) or segment in ("v1", "oauth2"):
            return segment
        return self.text("id", stem) + dot + suffix

    def _parameter(self, key: str, value: str) -> str:
        return value if _folded(key) in words.OUR_QUERY else self.text(key, value)

    def _nth(self, kind: str, value: str) -> int:
        """Number what is seen, each kind from 1 in order of appearance."""
        if (kind, value) not in self._known:
            self._known[kind, value] = 1 + sum(1 for known, _ in self._known if known == kind)
        return self._known[kind, value]


def _headers(headers: Mapping[str, Any]) -> dict[str, list[str]]:
    kept = {name.lower(): value for name, value in headers.items() if name.lower() in words.KEPT_HEADERS}
    return {name: [str(value)] if isinstance(value, str) else [str(one) for one in value] for name, value in sorted(kept.items())}


def _kind(headers: Mapping[str, Any]) -> str:
    return "".join(_headers(headers).get("content-type", []))


def _shortened(value: object) -> object:
    """Return the first rows of a list, be it bare or in its envelope."""
    if isinstance(value, list):
        return value[:ROWS]
    if isinstance(value, dict):
        return {key: inner[:ROWS] if key in _LISTS and isinstance(inner, list) else inner for key, inner in value.items()}
    return value


def _is_zone(text: str) -> bool:
    try:
        resolve_zone(text)
    except MappingError:
        return False
    return True


def _folded(key: str) -> str:
    return key.replace("_", "").replace("-", "").casefold()


def _text(body: object) -> str:
    return body.decode(errors="replace") if isinstance(body, bytes) else str(body or "")
