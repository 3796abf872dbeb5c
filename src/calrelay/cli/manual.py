"""The man page, written from the table of commands and their own help, so that it cannot drift. packaging/man/calrelay.1 is a copy."""

import inspect
import re
from collections.abc import Iterator
from enum import EnumType
from typing import Any

from typer.main import get_command

from calrelay.cli.app import GROUPS, PROGRAM, app, rows
from calrelay.cli.shipped import SERVICE_CONFIG

_EXIT_CODES = (
    ("0", "Done."),
    ("1", "Done, but events are in quarantine, or drifted."),
    ("2", "The config or the command line is wrong."),
    ("3", "A vendor is unavailable, a read was incomplete, or credentials were refused."),
    ("4", "A guard refused, or holds wait for a decision."),
    ("5", "The state database cannot be used."),
    ("6", "Another process is at work on it."),
    ("70", "A bug."),
    ("130, 143", "Interrupted by Ctrl-C, ended by SIGTERM; the daemon ends with 0."),
)
_FILES = (
    (str(SERVICE_CONFIG), "The config of the service."),
    ("/etc/calrelay/credentials/", 'A file for each secret; { credential = "NAME" } in the config finds it.'),
    ("/etc/calrelay/backfill/PIPELINE.env", "FROM=, TO= and MESSAGES= for calrelay-backfill@PIPELINE.service."),
    ("/var/lib/calrelay/", "The database, and the only folder that the service writes."),
)


def manual() -> str:
    """Return the page in the man(7) language."""
    return "\n".join([*_head(), *_commands(), *_tail()]) + "\n"


def _head() -> Iterator[str]:
    root: Any = get_command(app)
    yield f".TH {PROGRAM.upper()} 1"
    yield from (".SH NAME", f"{PROGRAM} \\- {_text('keeps Apptoto in step with Tripleseat events and TimeTap appointments')}")
    yield from (".SH SYNOPSIS", f".B {PROGRAM}", "[\\fIOPTIONS\\fR] \\fICOMMAND\\fR [\\fIARGUMENTS\\fR]")
    yield from (".SH DESCRIPTION", *_prose(inspect.cleandoc(root.help or "")))
    yield from (".SH OPTIONS", *_parameters(root))


def _commands() -> Iterator[str]:
    for group in GROUPS:
        yield f".SH {_text(group.upper())}"
        for row in rows():
            if row.group == group:
                yield from _command(row.load(), f"{PROGRAM} {row.name}")
                yield from _examples(row.examples)


def _command(command: Any, path: str) -> Iterator[str]:
    yield f'.SS "{_text(path)}"'
    yield from _prose(inspect.cleandoc(command.help or ""))
    yield from _parameters(command)
    for name, below in getattr(command, "commands", {}).items():
        yield from _command(below, f"{path} {name}")


def _parameters(command: Any) -> Iterator[str]:
    for parameter in command.params:
        is_option = parameter.param_type_name == "option"
        words = ", ".join([*parameter.opts, *parameter.secondary_opts]) if is_option else parameter.metavar or parameter.name.upper()
        value = f" {_metavar(parameter)}" if is_option and not parameter.is_flag else ""
        if parameter.help:
            yield from (".TP", f".B {_text(words + value)}", _text(parameter.help))


def _metavar(option: Any) -> str:
    """Return what stands for an option's value: its own word, its choices, or N for a number."""
    kind = option.type_descriptor.annotation
    if option.metavar:
        return str(option.metavar)
    return "|".join(kind) if isinstance(kind, EnumType) else "N" if kind is int else "TEXT"


def _examples(examples: tuple[str, ...]) -> Iterator[str]:
    if examples:
        yield from (".P", "Examples:", ".P", ".nf", ".RS 4", *(_text(example) for example in examples), ".RE", ".fi")


def _tail() -> Iterator[str]:
    for heading, table in (("EXIT STATUS", _EXIT_CODES), ("FILES", _FILES)):
        yield f".SH {heading}"
        for term, meaning in table:
            yield from (".TP", f".B {_text(term)}", _text(meaning))
    yield from (".SH SEE ALSO", ".BR systemctl (1),", ".BR systemd.exec (5)")


def _prose(text: str) -> Iterator[str]:
    for paragraph in text.replace("\b", "").replace("\f", "").split("\n\n"):
        if words := " ".join(paragraph.split()):
            yield from (".P", _text(words))


def _text(text: str) -> str:
    """Return text as man(7) wants it: no backslash or hyphen of another meaning, no line that begins as a request."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("“", "\\(lq").replace("”", "\\(rq").replace("…", "\\&...")
    return re.sub(r"^([.'])", r"\\&\1", escaped)
