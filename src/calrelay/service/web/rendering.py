"""Turns what a page shows into HTML: templates with autoescape, and the policy that lets only our own style and script run."""

import base64
import dataclasses
import functools
import hashlib
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from calrelay.domain.words import ago, counted, in_place, iso, on_this_machine, shift_in_words, span_in_words
from calrelay.engine.holds import if_approved, if_rejected, soonest
from calrelay.service.web.access import FORM_TOKEN
from calrelay.service.web.views import actions_of, is_approved, seen

_FOLDER: Final = Path(__file__).parent / "templates"
_STYLE: Final = (_FOLDER / "page.css").read_text("utf-8")
_SCRIPT: Final = (_FOLDER / "page.js").read_text("utf-8")
_CODE: Final = re.compile(r"`([^`]+)`")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A word about what was just done."""

    text: str


def render(template: str, **values: Any) -> str:
    """Return a page."""
    return _environment().get_template(template).render(**values)


def _hash_of(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


# Style and script stand in the page itself, so that there is nothing else to fetch; their hashes let them run, and nothing else runs.
POLICY: Final = "; ".join(
    [
        "default-src 'none'",
        f"style-src {_hash_of(_STYLE)}",
        f"script-src {_hash_of(_SCRIPT)}",
        "connect-src 'self'",
        "img-src data:",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    environment.filters |= {
        "ago": ago,
        "ahead": _ahead,
        "when": on_this_machine,
        "iso": iso,
        "in_place": in_place,
        "shift": shift_in_words,
        "soonest": soonest,
        "span": span_in_words,
        "counted": counted,
        "codes": _codes,
        "seen": seen,
        "is_approved": is_approved,
        "if_approved": if_approved,
        "if_rejected": if_rejected,
        "actions": actions_of,
    }
    environment.globals |= {"style": Markup(_STYLE), "script": Markup(_SCRIPT), "FORM_TOKEN": FORM_TOKEN}  # noqa: S704 - our own files
    return environment


def _ahead(instant: datetime, now: datetime) -> str:
    return f"in {span_in_words(instant - now)}" if instant - now >= timedelta(seconds=1) else "now"


def _codes(text: str) -> Markup:
    """Show what stands between backticks as code; everything is escaped first."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped
