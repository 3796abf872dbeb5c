"""A vendor's answer, and the ways to read it; an answer that is not what was promised becomes an error here."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar, overload

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import from_json

from calrelay.http.failures import Where, http_date, invalid

Shape = TypeVar("Shape")
Model = TypeVar("Model", bound=BaseModel)

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer; body and headers stay out of the repr, because they hold guests and tokens."""

    where: Where
    status: int
    headers: Mapping[str, str] = field(repr=False)  # case-insensitive
    body: bytes = field(repr=False)
    _plain: list[object] = field(
        default_factory=list, init=False, repr=False, compare=False
    )  # the body as plain values, once it was read so

    @property
    def date(self) -> datetime | None:
        """The vendor's clock when it answered, from the Date header."""
        return http_date(self.headers.get("date", ""))

    @property
    def is_html(self) -> bool:
        """Whether this is a page for people.

        The body decides before the content type: Rails labels its empty answers text/html, and some servers label JSON so.
        """
        start = self.body.removeprefix(_BOM).lstrip()[:15].lower()
        if start.startswith((b"<!doctype html", b"<html")):
            return True
        labelled = "html" in self.headers.get("content-type", "").lower()
        return labelled and bool(start) and not start.startswith((b"{", b"["))

    @overload
    def parse(self, shape: type[Model]) -> Model: ...
    @overload
    def parse(self, shape: TypeAdapter[Shape]) -> Shape: ...
    def parse(self, shape: type[BaseModel] | TypeAdapter[Any]) -> Any:
        """Return the body as a wire model.

        Raises:
            ResponseInvalid: the body is empty, no JSON, cut off, or of another shape; then it names the first wrong field by
                its path, and quotes no value.
        """
        return self._read(shape.validate_json if isinstance(shape, TypeAdapter) else shape.model_validate_json)

    def json(self) -> object:
        """Return the body as plain JSON values, or raise ResponseInvalid as `parse` does."""
        if not self._plain:
            self._plain.append(self._read(from_json))
        return self._plain[0]

    def parse_plain(self, shape: type[Model]) -> Model:
        """Return the body as a wire model that looks at plain values first; as `parse`, but what `json` has read is not read again."""
        value = self.json()
        return self._read(lambda _: shape.model_validate(value))

    def _read(self, read: Callable[[bytes], Shape]) -> Shape:
        body = self.body.removeprefix(_BOM)
        if not body.strip():
            raise invalid(self.where, self.status, "an empty body")
        found, flaw = _tried(read, body)
        if found is None and flaw is None and (mended := _mended(body)) is not None:
            found, flaw = _tried(read, mended)
        if found is None:  # not raised where pydantic's exception, which quotes the guest's data, would become its context
            raise invalid(self.where, self.status, flaw or _no_json(body))
        return found[0]


def parse_json(answer: Answer) -> object:
    """Return an answer's body as plain JSON values; an empty, non-JSON or cut-off one raises ResponseInvalid."""
    return answer.json()


def _tried(read: Callable[[bytes], Shape], body: bytes) -> tuple[tuple[Shape] | None, str | None]:
    """Return what was read, or None and which field is wrong; neither where the body is no JSON."""
    try:
        return (read(body),), None
    except ValidationError as error:
        return None, _first_wrong_field(error)
    except ValueError:
        return None, None


def _mended(body: bytes) -> bytes | None:
    """Return a body that is JSON but for single characters as JSON that is sound, or None: one such text must not spoil a whole page.

    They are half an emoji, where a text was cut in its middle (RFC 8259, 8.2), control characters as they are (7), and bytes that are no
    UTF-8 (8.1).
    """
    try:
        value = json.loads(body.decode("utf-8", "replace"), strict=False)
    except (ValueError, RecursionError):
        return None
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "ignore")


def _first_wrong_field(error: ValidationError) -> str | None:
    """Say which field is wrong and in which way, or None where the body is no JSON at all."""
    first, *others = error.errors(include_url=False, include_context=False, include_input=False)
    if first["type"] == "json_invalid":
        return None
    path = ".".join(str(part) for part in first["loc"]) or "the whole body"
    more = f" and {len(others)} more" if others else ""
    return f"another shape than promised: {path} ({first['type']}){more}"


def _no_json(body: bytes) -> str:
    return "JSON that breaks off or is damaged" if body.lstrip()[:1] in {b"{", b"["} else "something that is not JSON"
