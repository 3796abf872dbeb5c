"""Free text made harmless: what people typed at a source can neither command the target nor address anybody (rule 11).

Each public function is idempotent. Templates, and which field gets which text, belong elsewhere.
"""

import functools
import re
import unicodedata
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Final

TITLE_LIMIT: Final = 255  # the target keeps titles shorter than this (Apptoto: section 3.2)
CONTENT_LIMIT: Final = 20_000  # more than any note worth reading
_LONGEST_INPUT: Final = 80_000  # the same before tags are stripped; bounds what the parsers may cost
_TITLES_KEPT: Final = 1024  # most of what is made a title are names of places and people, which come again and again
_ELLIPSIS: Final = "…"

_BLOCKS: Final = frozenset(
    {"address", "article", "blockquote", "br", "dd", "div", "dl", "dt", "h1", "h2", "h3", "h4", "h5", "h6", "hr"}
    | {"li", "ol", "p", "pre", "section", "table", "tr", "ul"}
)
_UNSEEN: Final = frozenset({"script", "style"})
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs"})  # control characters, joiners and direction marks, half surrogates

# Comments, and what word processors paste (`<![if !supportLists]>`), on which html.parser stumbles.
_DECLARATIONS = re.compile(r"<!--.*?-->|<![^<>]*>", re.DOTALL)
_NO_TAG = re.compile(r"<(?=!)|<(?![^<>]*>)")  # never closed, or a declaration that taking out another one left behind
_LINE_ENDS = re.compile(r"\r\n?|[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_BLANKS = re.compile(r"[^\S\n]+")
_EMPTY_LINES = re.compile(r"\n{3,}")

_HASHES = re.compile(r"[#＃﹟](?=\S)")
_BRACKETS: Final = str.maketrans({"[": "(", "]": ")", "［": "(", "］": ")", "＃": "#", "﹟": "#"})

_EMAIL = re.compile(r"(?<![\w.!#$%&'*+/=?^`{|}~-])[\w.!#$%&'*+/=?^`{|}~-]*[@＠﹫]([\w.-]+)")
_SEPARATOR: Final = r"[ \t\xa0\u3000.·•()（）\-‐-―−－/／~～_]"
_DIGITS = re.compile(rf"(?:[+＋][ ]?)?[(（]?\d(?:{_SEPARATOR}{{0,4}}\d){{6,}}")
_DAY: Final = r"(?:(?:19|20)\d\d-[01]?\d-[0-3]?\d|[01]?\d/[0-3]?\d/(?:19|20)\d\d)"
_CLOCK: Final = r"[0-2]?\d[.:][0-5]\d"
_NOT_A_PHONE = re.compile(rf"(?<!\d)(?:{_DAY}|{_CLOCK} ?[-–] ?{_CLOCK}|(?:19|20)\d\d ?[-–/] ?(?:19|20)\d\d)(?!\d)")
_DATED = re.compile(rf"(?<!\d){_DAY}(?!\d)")
# Wherever PhoneNumberMatcher, a slow reader, could find seven digits that belong together.
_SUSPECT = re.compile(r"\d(?:[\W_xX]{0,9}\d){6}")
_SHORTEST_PHONE: Final = 7

# Words with single blanks between them and too few digits for a telephone number: nearly every title. No step changes anything in them.
_WORD: Final = r"(?:[A-Za-z0-9,.!?'()/-]+|&)"
_HARMLESS = re.compile(rf"(?!(?:\D*\d){{7}})(?:{_WORD}(?: {_WORD})*)?")

_COLON: Final = ":：﹕∶꞉"
_FIELD = re.compile(
    rf"""(?P<kept> \b[a-z][a-z0-9+.\-]{{1,15}}://\S*[^\s{_COLON}.,;] | (?<!\w)\d{{1,2}}:\d{{2}}(?::\d{{2}})?(?!\d) )
    | [^\S\n]*[{_COLON}]+[^\S\n]*""",
    re.IGNORECASE | re.VERBOSE,
)
_NOT_LETTERS = re.compile(r"[\W\d_]+")


def plain(text: str) -> str:
    """Return the text without HTML, entities, invisible characters and needless white space; breaks and blocks become new lines."""
    return _settle(text, _clean, limit=CONTENT_LIMIT)


@functools.lru_cache(maxsize=_TITLES_KEPT)
def title(text: str, limit: int = TITLE_LIMIT) -> str:
    """Return the plain text on one line, shorter than `limit` characters."""
    return _settle(text, _one_line, limit=limit - 1)


def defuse(text: str) -> str:
    """Break what the target would take for a command: `#skip` becomes `# skip`, `[SKIP]` becomes `(SKIP)` (Apptoto: in-event commands).

    Every hash and every square bracket is broken, not the known words only: the vendor may add words.
    """
    return _HASHES.sub("# ", text).translate(_BRACKETS)


def redact_contacts(text: str, region: str = "US") -> str:
    """Put an ellipsis for each e-mail address and phone number (Apptoto: extraction hazard).

    Any seven digits that could be dialled go; dates, clock ranges and spans of years stay. `region` is how numbers without a country
    code are read.
    """
    return _settle(text, lambda part: _without_contacts(part, region))


def break_fields(text: str) -> str:
    """Turn `key: value` into `key – value`, which the target does not read as a custom field; URLs and clock times stay."""
    return _settle(text, _without_fields)


def safe_line(text: str, region: str = "US") -> str:
    """Make a title or a location: one line that commands and addresses nobody, shorter than 255 characters."""
    return _settle(text, lambda part: defuse(_without_contacts(_one_line(part), region)), limit=TITLE_LIMIT - 1)


def safe_content(text: str, region: str = "US") -> str:
    """Make a body: lines that command nobody, address nobody and hold no `key: value`."""
    return _settle(text, lambda part: _without_fields(defuse(_without_contacts(_clean(part), region))), limit=CONTENT_LIMIT)


def _settle(text: str, step: Callable[[str], str], limit: int | None = None) -> str:
    """Repeat a step, cutting to the limit, until nothing changes: one repair may uncover another (`&amp;lt;b&amp;gt;`).

    What has not come to rest by then was made to resist, and keeps its letters only.
    """
    if (limit is None or len(text) <= limit) and _HARMLESS.fullmatch(text):
        return text
    for _ in range(8):
        settled = _cut(step(text[:_LONGEST_INPUT]), limit)
        if settled == text:
            return settled
        text = settled
    return _cut(_NOT_LETTERS.sub(" ", unicodedata.normalize("NFC", text)).strip(), limit)


def _cut(text: str, limit: int | None) -> str:
    if limit is None or len(text) <= limit:
        return text
    return text[: limit - 1].rstrip() + _ELLIPSIS


def _clean(text: str) -> str:
    text = _LINE_ENDS.sub("\n", text)
    if "<" in text or "&" in text:
        text = _without_html(text)
    lines = (_BLANKS.sub(" ", _visible(line)).strip() for line in text.split("\n"))
    return _EMPTY_LINES.sub("\n\n", "\n".join(lines)).strip()


def _visible(line: str) -> str:
    if not line.isprintable():
        line = "".join(char for char in line if char == "\t" or unicodedata.category(char) not in _INVISIBLE)
    return unicodedata.normalize("NFC", line)


def _one_line(text: str) -> str:
    return " ".join(_clean(text).split())


def _without_html(text: str) -> str:
    reader = _TextReader()
    reader.feed(_NO_TAG.sub("&lt;", _DECLARATIONS.sub("", text)))
    reader.close()
    return "".join(reader.parts)


class _TextReader(HTMLParser):
    """Collects what a browser would show."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._unseen = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - HTMLParser's signature
        self._unseen += tag in _UNSEEN
        self._break_at(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - HTMLParser's signature
        self._break_at(tag)

    def handle_endtag(self, tag: str) -> None:
        self._unseen -= tag in _UNSEEN and self._unseen > 0
        self._break_at(tag)

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.parts.append(data)

    def _break_at(self, tag: str) -> None:
        if tag in _BLOCKS:
            self.parts.append("\n")
        elif tag in {"td", "th"}:
            self.parts.append(" ")


def _without_contacts(text: str, region: str) -> str:
    return _without_phones(_EMAIL.sub(_redact_email, text), region)


def _redact_email(found: re.Match[str]) -> str:
    """Leave a handle or a unit price such as `2@15` alone: an address has a dot within its domain."""
    return _ELLIPSIS if "." in found[1].strip(".-") else found[0]


def _without_phones(text: str, region: str) -> str:
    text = _DIGITS.sub(_redact_digits, text)
    if _SUSPECT.search(_DATED.sub("", text)):
        from calrelay.domain.phones import places_of_numbers  # noqa: PLC0415 - heavy, see there

        for begin, end in reversed(list(places_of_numbers(text, region))):
            text = text[:begin] + _ELLIPSIS + text[end:]
    return text


def _redact_digits(found: re.Match[str]) -> str:
    dialled = sum(map(str.isdecimal, _NOT_A_PHONE.sub("", found[0])))
    return _ELLIPSIS if dialled >= _SHORTEST_PHONE else found[0]


def _without_fields(text: str) -> str:
    return _FIELD.sub(lambda found: found["kept"] or " – ", text)
