"""E-mail categories and templates of the simulated TimeTap, with the vendor's rules of levels and duplicates. No HTTP."""

import dataclasses
import itertools
from collections.abc import Iterator
from enum import StrEnum

from calrelay.simulators.faults import SimulatedClock
from calrelay.simulators.timetap.rows import BUSINESS_ID, Json, millis

FIRST_TEMPLATE = 12_001
REQUIRED = ("active", "businessId", "emailBody", "emailCategory", "level", "toAddress")
NOT_STORED = (  # state of the vendor's own form, and what it sets itself
    "addressCountsInvalid",
    "bccAddressCharCountInvalid",
    "ccAddressCharCountInvalid",
    "toAddressCharCountInvalid",
    "filesForDisplay",
    "languageObject",
    "parameterMap",
    "professionalId",
    "emailTemplateId",
    "s3FileName",
    "createdDate",
    "createdUser",
)


class Refused(Exception):
    """The vendor takes nothing of this body; the text is its answer."""


class Recipient(StrEnum):
    """Whom a message goes to."""

    CLIENT = "client"
    STAFF = "staff"
    OTHER = "other"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """A kind of mail; its full JSON shape is not documented, so little of it is shown."""

    number: int
    name: str
    object_type: str = "CALENDAR"
    allow_duplicates: bool = False
    sent_to: str | None = None

    def to_json(self) -> Json:
        """Write the category as it stands inside a template."""
        return {"emailCategoryId": self.number, "allowDuplicates": self.allow_duplicates, "sentTo": self.sent_to}


CONFIRMATION, CANCELLED, CLIENT_REMINDER, STAFF_REMINDER, CHANGED, INVITE, TRIGGER = 10, 12, 20, 21, 27, 68, 76
CATEGORIES = (
    Category(number=CONFIRMATION, name="confirmation", sent_to="CLIENT"),
    Category(number=CANCELLED, name="cancellation", sent_to="CLIENT"),
    Category(number=CLIENT_REMINDER, name="reminder to clients", sent_to="CLIENT"),
    Category(number=STAFF_REMINDER, name="reminder to staff", sent_to="STAFF"),
    Category(number=CHANGED, name="appointment changed", sent_to="CLIENT"),
    Category(number=INVITE, name="invitation", object_type="INVITATION", allow_duplicates=True),
    Category(number=TRIGGER, name="automated messaging", allow_duplicates=True),
)


def recipient_of(template: Json) -> Recipient:
    """Read the recipient from toAddress, the only stored hint of it (TimeTap page, section 3.3)."""
    address = template["toAddress"]
    if "%CLIENT_" in address:
        return Recipient.CLIENT
    return Recipient.STAFF if "%STAFF_" in address or "%PROFESSIONAL_" in address else Recipient.OTHER


def a_template_body(category: int, *, to: str = "%CLIENT_EMAILADDRESS%", level: int = 1, name: str = "Reminder") -> Json:
    """Build what POST /emailTemplates needs, with some of what it may have."""
    return {
        "active": True,
        "businessId": BUSINESS_ID,
        "emailBody": "<p>See you on %APPT_DATE_TIME%.</p>",
        "emailCategory": {"emailCategoryId": category},
        "level": level,
        "toAddress": to,
        "toName": "%CLIENT_FULLNAME%" if "CLIENT" in to else "%STAFF_FULLNAME%",
        "subject": "[Reminder] %APPT_DATE_TIME%",
        "templateName": name,
        "language": None,
        "reasonIdList": None,
    }


class TemplateStore:
    """All templates by id; inactive ones are kept and never shown."""

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        self._numbers = itertools.count(FIRST_TEMPLATE)
        self.categories = {category.number: category for category in CATEGORIES}
        self.excluded: set[int] = set()  # categories switched off for the whole account
        self.templates: dict[int, Json] = {}

    def visible(self, number: int) -> Json | None:
        """Return an active template or None."""
        found = self.templates.get(number)
        return found if found and found["active"] else None

    def of_category(self, category: int) -> Iterator[Json]:
        """Go through a category's active templates."""
        return (t for t in self.templates.values() if t["active"] and _category_of(t) == category)

    def of_object_type(self, object_type: str) -> Iterator[Json]:
        """Go through the active templates whose category concerns this type of object."""
        wanted = {c.number for c in self.categories.values() if c.object_type == object_type}
        return (t for t in self.templates.values() if t["active"] and _category_of(t) in wanted)

    def add_default(self, category: int, *, to: str) -> Json:
        """Add the server's own template of a category: level 0, nobody's business."""
        body = a_template_body(category, to=to, level=0, name="Default Template") | {"businessId": None}
        return self._store(next(self._numbers), body, {})

    def create(self, body: Json) -> Json:
        """Store a new template; an id in the body is ignored. Raises Refused."""
        self._check(body, None)
        return self._store(next(self._numbers), body, {})

    def replace(self, number: int, body: Json) -> Json:
        """Change a template; the whole body is refused when any rule is broken. Raises Refused."""
        old = self.visible(number)
        if old is None:
            raise Refused(f"Email template for Id {number} not found!")
        if "emailTemplateId" not in body:
            raise Refused("emailTemplateId is required")
        self._check(body, number)
        return self._store(number, body, old | {"modifiedDate": millis(self._clock.now()), "modifiedUser": "api"})

    def retire(self, number: int) -> Json:
        """Set a template inactive; the server's own cannot be. Raises Refused."""
        old = self.visible(number)
        if old is None or old["level"] == 0:
            raise Refused(f"Email template for Id {number} not found!")
        self.templates[number] = old | {"active": False}
        return self.templates[number]

    def effective(self, category: int, reason: int | None, language: str | None = None) -> Json | None:
        """Return the template a category uses: level 4, then 3, 2, 1 and 0; that 3 goes before 2 is a guess."""
        fitting = [t for t in self.of_category(category) if _fits(t, reason, language)]
        return max(fitting, key=lambda t: t["level"], default=None)

    def for_action(self, number: int, reason: int | None) -> Json | None:
        """Return what an action sends: its template, or what takes over after that was retired; None in a disabled category."""
        stored = self.templates.get(number)
        if stored is None or _category_of(stored) in self.excluded:
            return None
        return stored if stored["active"] else self.effective(_category_of(stored), reason)

    def _store(self, number: int, body: Json, old: Json) -> Json:
        category = self.categories[_category_of(body)]
        kept = {key: value for key, value in body.items() if key not in NOT_STORED}
        s3 = old.get("s3FileName", f"{BUSINESS_ID}/templates/template-{category.number}-{number}.html")
        fixed = {"emailTemplateId": number, "emailCategory": category.to_json(), "s3FileName": s3 if body["level"] else None}
        self.templates[number] = _BLANK | {"createdDate": millis(self._clock.now()), "createdUser": "api"} | old | kept | fixed
        return self.templates[number]

    def _check(self, body: Json, number: int | None) -> None:
        missing = [key for key in REQUIRED if body.get(key) is None]
        if missing:
            raise Refused(f"{', '.join(missing)} required")
        category = self.categories.get(_category_of(body))
        if category is None:
            raise Refused("emailCategory is unknown")
        if body["level"] not in (1, 2, 3, 4) or (number is not None and self.templates[number]["level"] == 0):
            raise Refused("Templates of level 0 cannot be edited; create one of level 1")
        if not category.allow_duplicates:
            self._check_level(body, number)

    def _check_level(self, body: Json, number: int | None) -> None:
        """Refuse what breaks the level rules; they hold only where a category allows no duplicates.

        That there is one "Default Template" per category is checked by the vendor's own pages alone, so not here.
        """
        shape = (bool(body.get("language")), bool(body.get("reasonIdList")))
        if shape != _SHAPES[body["level"]]:
            raise Refused("level does not fit language and reasonIdList")
        others = (t for t in self.of_category(_category_of(body)) if t["emailTemplateId"] != number)
        if body["active"] and any(_collide(body, other) for other in others):
            raise Refused("Another template of this category has the same level, language or service")


_SHAPES = {1: (False, False), 2: (True, False), 3: (False, True), 4: (True, True)}
_BLANK: Json = {
    "allowOnline": False,
    "attachFileLibraryUUids": None,
    "bccAddress": None,
    "ccAddress": None,
    "emailBecause": None,
    "emailBodyText": None,
    "externalName": None,
    "fromAddress": "noreply@example.com",
    "fromName": "%BUSINESS_NAME%",
    "language": None,
    "location": None,
    "modifiedDate": None,
    "modifiedUser": None,
    "noHeader": None,
    "reasonIdList": None,
    "reasonNameList": None,
    "replyToAddress": "%PROFESSIONAL_EMAIL%",
    "resellerId": 3,
    "sortOrder": None,
    "toName": None,
}


def _category_of(template: Json) -> int:
    category = template["emailCategory"]
    return int(category.get("emailCategoryId", 0)) if isinstance(category, dict) else 0


def _collide(one: Json, other: Json) -> bool:
    if one["level"] != other["level"]:
        return False
    shared = not set(one.get("reasonIdList") or ()).isdisjoint(other["reasonIdList"] or ())
    same_language = bool(one.get("language") == other["language"])
    return {1: True, 2: same_language, 3: shared, 4: same_language and shared}[int(one["level"])]


def _fits(template: Json, reason: int | None, language: str | None) -> bool:
    reasons, wanted = template["reasonIdList"], template["language"]
    return (not reasons or reason in reasons) and (not wanted or wanted == language)
