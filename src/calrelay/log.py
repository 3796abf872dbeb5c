"""What calrelay's logs look like, and what never appears in them; nothing here decides what is logged.

Importing this module costs next to nothing: structlog, which brings rich along, is loaded with the first line that is shown.
"""

import logging
import re
import sys
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Literal, TextIO, cast
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger
    from structlog.typing import Processor

Format = Literal["auto", "console", "json"]
Level = Literal["debug", "info", "warning", "error"]

# They print whole URLs, SQL or each tick at INFO.
_NOISY = ("httpx", "httpcore", "apscheduler", "uvicorn", "uvicorn.access", "uvicorn.error", "alembic", "sqlalchemy", "vcr")

_QUERY = re.compile(r"""(https?://[^\s?\#'"<>]+|(?<![\w/])/[^\s?'"<>]*)[?\#][^\s'"<>]*""")
_USERINFO = re.compile(r"(?<=://)[^\s/@'\"]+@")
_BEARER = re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]{6,}", re.IGNORECASE)
_EMAIL = re.compile(r"[\w.+%'-]{1,64}@[\w-]+(?:\.[\w-]+)+")
# Numbers as people write them: with + or 00 before, in North American groups, or ten digits that can be such a number. Timestamps,
# UUIDs and external ids (ts-…, tt-…) are left alone; a bare id that looks like a number is lost with them.
_PHONE = re.compile(
    r"(?<![\w.:-])(?:\+?1[\s.-]?)?(?:\(\d{3}\)\s?|\d{3}[\s.-])\d{3}[\s.-]\d{4}(?![\w-])"
    r"|(?<![\w.:-])(?:\+|00)\d{1,3}(?:[\s.-]?\(\d{1,4}\))?(?:[\s.-]?\d){6,14}(?!\w)"
    r"|(?<![\w.:-])1?[2-9]\d{2}[2-9]\d{6}(?![\w-])"
)
_SECRET_KEY = re.compile(r"authorization|cookie|passw|secret|token|api_?key|private_?key|signature", re.IGNORECASE)

_TOO_SHORT = 4  # replacing shorter values would tear holes into every line
_AS_PART = 8  # shorter secrets are replaced as whole words only; a TimeTap key is six digits

_secrets: dict[str, re.Pattern[str]] = {}
_forms: list[str] = []  # the same, the longest first
_installed: list[logging.Handler] = []


def get_logger(name: str) -> "BoundLogger":
    """Return a structlog logger that is bound when its first line is written, so that modules may ask for one as they load."""
    return cast("BoundLogger", _LateLogger(name))


def configure(*, format: Format = "auto", level: Level = "info", stream: TextIO | None = None) -> None:  # noqa: A002 - the config's word
    """Send our lines and those of every library to one stream, in one form; callable again at any time.

    Args:
        format: `console` for people, `json` for machines, `auto` for the one that fits the stream.
        level: the lowest level that is shown; chatty libraries are shown from warning on.
        stream: standard error where none is given; standard output belongs to answers.
    """
    target = stream or sys.stderr
    handler = logging.StreamHandler(target)
    is_console = format == "console" or (format == "auto" and target.isatty())
    handler.setFormatter(_LateFormatter(lambda: _console(target) if is_console else _json()))
    if "structlog" in sys.modules:  # else with the first line of ours
        _bridge()
    root = logging.getLogger()
    for old in _installed:
        root.removeHandler(old)
    _installed[:] = [handler]
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _NOISY:
        logger = logging.getLogger(name)
        logger.setLevel(logging.WARNING)
        logger.propagate, logger.disabled = True, False  # uvicorn brings a log config of its own, which would keep its warnings from ours


def register_secret(value: str) -> None:
    """Have a secret's value, also as it stands in URLs, blanked out of every line from now on."""
    value = value.strip()
    if len(value) < _TOO_SHORT:
        return
    for form in {value, quote(value, safe=""), quote_plus(value)}:
        part = re.escape(form)
        _secrets[form] = re.compile(part if len(form) >= _AS_PART else rf"(?<!\w){part}(?!\w)")
    _forms[:] = sorted(_secrets, key=len, reverse=True)


def scrub(text: str) -> str:
    """Return a text without secrets, query strings, e-mail addresses and phone numbers."""
    for form in _forms:
        if form in text:  # much cheaper than the pattern, and there may be a thousand secrets
            text = _secrets[form].sub("[secret]", text)
    text = _QUERY.sub(r"\1?[query]", text)
    text = _USERINFO.sub("[secret]@", text)
    text = _BEARER.sub(r"\1 [secret]", text)
    text = _EMAIL.sub("[email]", text)
    return _PHONE.sub("[phone]", text)


def redact(_logger: Any, _method: str, event_dict: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Scrub every text in a line, however deep, and blank what a key declares secret; a processor for structlog."""
    return _redacted_mapping(event_dict)


def _redacted_mapping(values: Mapping[Any, Any]) -> dict[str, Any]:
    return {scrub(str(key)): "[secret]" if _SECRET_KEY.search(str(key)) and value else _redacted(value) for key, value in values.items()}


def _redacted(value: object) -> Any:
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return scrub(value)
        case Mapping():
            return _redacted_mapping(value)
        case list() | tuple() | set() | frozenset():
            return [_redacted(item) for item in value]
        case _:  # renderers would call repr on it behind our back
            return scrub(str(value))


class _LateLogger:
    """Stands for a logger until the first line; see `get_logger`."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if "structlog" not in sys.modules and not _is_shown(self._name, attribute):
            return _say_nothing
        import structlog  # noqa: PLC0415 - heavy, and not needed by commands that log nothing

        if not structlog.is_configured():
            (_bridge if _installed else _bridge_unconfigured)()
        return getattr(structlog.stdlib.get_logger(self._name), attribute)


def _is_shown(name: str, method: str) -> bool:
    """Tell whether the standard library's logging wants what a method of a logger says; True for a method that is no level's."""
    level = logging.getLevelNamesMapping().get(method.upper())
    return level is None or level >= logging.getLogger(name).getEffectiveLevel()


def _say_nothing(*_: object, **__: object) -> None:
    """Stand in for a method whose lines are not shown."""


class _LateFormatter(logging.Formatter):
    """Becomes the formatter it stands for with the first line, ours or a library's."""

    def __init__(self, ending: "Callable[[], tuple[Processor, Processor]]") -> None:
        super().__init__()
        self._ending = ending
        self._made: logging.Formatter | None = None

    def format(self, record: logging.LogRecord) -> str:
        """Render a line."""
        self._made = self._made or _formatter(self._ending())
        return self._made.format(record)


def _bridge() -> None:
    """Let structlog's lines run through the standard library's logging, where every library's already do."""
    import structlog  # noqa: PLC0415 - heavy, see the module's docstring

    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *_shared(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def _bridge_unconfigured() -> None:
    """Take the place of structlog's own default, which writes to standard output and scrubs nothing."""
    import structlog  # noqa: PLC0415 - heavy, see the module's docstring

    rendering: list[Processor] = [structlog.processors.format_exc_info, redact, structlog.processors.KeyValueRenderer()]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *_shared(), *rendering],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def _shared() -> "Iterable[Processor]":
    """Return the steps that our lines and the libraries' have in common."""
    import structlog  # noqa: PLC0415 - heavy, see the module's docstring

    return (
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    )


def _formatter(ending: "tuple[Processor, Processor]") -> logging.Formatter:
    """Return the formatter that makes exceptions a value, scrubs everything, and renders; in this order."""
    import structlog  # noqa: PLC0415 - heavy, see the module's docstring

    exceptions, renderer = ending
    meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    return structlog.stdlib.ProcessorFormatter(foreign_pre_chain=list(_shared()), processors=[meta, exceptions, redact, renderer])


def _console(stream: TextIO) -> "tuple[Processor, Processor]":
    import structlog  # noqa: PLC0415 - heavy, see the module's docstring

    plain: Callable[..., None] = structlog.dev.plain_traceback
    renderer = structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=plain)
    return structlog.processors.format_exc_info, renderer


def _json() -> "tuple[Processor, Processor]":
    import structlog  # noqa: PLC0415 - heavy, see the module's docstring

    without_locals = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    return structlog.processors.ExceptionRenderer(without_locals), structlog.processors.JSONRenderer()
