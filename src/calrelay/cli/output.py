"""The only place that prints: answers on stdout as text or as one JSON document, messages and progress on stderr."""

import contextlib
import dataclasses
import json
import os
import sys
import time
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Protocol, TextIO

from calrelay.domain.words import span_in_words

GAP = "  "


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows in aligned columns; without `columns` it has no heading. The last column may be long, and is wrapped on a terminal."""

    rows: Sequence[Sequence[str]]
    columns: Sequence[str] = ()
    indent: int = 0


Block = str | Table
"""A line as it stands, or a table."""


class Progress(Protocol):
    """Tells how far a long command has come."""

    def advance(self, done: int, total: int, what: str, *, by: int = 1) -> None:
        """Say that `done` of `total` pieces are done, `by` of them just now, and what those brought."""

    def glance(self, what: str) -> None:
        """Say what is being done right now; only shown where it can be overwritten."""


@dataclasses.dataclass(frozen=True, slots=True)
class Output:
    """Where the answer of a command goes. With `as_json` stdout gets exactly one document and nothing else."""

    as_json: bool = False

    def answer(self, document: Mapping[str, Any], blocks: Sequence[Block]) -> None:
        """Print the answer in the form that was asked for."""
        if self.as_json:
            _write(sys.stdout, _json(document, sys.stdout))
            return
        for block in blocks:
            _print_block(block, sys.stdout)

    def say(self, *blocks: Block) -> None:
        """Print something for people that is no answer in itself; on stderr where stdout belongs to a JSON document."""
        stream = sys.stderr if self.as_json else sys.stdout
        for block in blocks:
            _print_block(block, stream)

    def message(self, *lines: str) -> None:
        """Print lines on stderr."""
        for line in lines:
            _print_block(line, sys.stderr)

    @contextlib.contextmanager
    def progress(self, title: str) -> Iterator[Progress]:
        """Show progress on stderr while the block runs: a bar on a terminal, a line for each piece elsewhere."""
        if not sys.stderr.isatty():
            yield _ProgressLines(title)
            return
        from calrelay.cli.progress_bar import progress_bar  # noqa: PLC0415 - loads rich, on terminals only

        with progress_bar(title) as bar:
            yield bar


class _ProgressLines:
    """A line for each piece, as logs and pipes want it."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._began = time.monotonic()
        self._seen = 0

    def advance(self, done: int, total: int, what: str, *, by: int = 1) -> None:
        self._seen += by  # `done` may have begun behind what an earlier run had done
        left = (time.monotonic() - self._began) / self._seen * (total - done)
        is_known = by < self._seen and done < total  # the first piece tells little of the others
        ahead = f", about {elapsed(left, digits=0)} left" if is_known else ""
        _print_block(f"{self._title}: {done} of {total}, {what}{ahead}", sys.stderr)

    def glance(self, what: str) -> None:
        """Say nothing: a log would fill up."""


def prepare_streams() -> None:
    """Have letters that the terminal's encoding lacks written as escapes, instead of failing in the middle of an answer."""
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")


def plain_table(table: Table) -> list[str]:
    """Lay out a table as lines of text."""
    rows = [[_printable(cell) for cell in row] for row in ([table.columns] if table.columns else []) + list(table.rows)]
    columns = max((len(row) for row in rows), default=0)
    widths = [max((_width(row[at]) for row in rows if at < len(row)), default=0) for at in range(columns)]
    indent = " " * table.indent
    return [(indent + GAP.join(_padded(cell, widths[at]) for at, cell in enumerate(row))).rstrip() for row in rows]


def elapsed(seconds: float, *, digits: int = 1) -> str:
    """Say how long something took."""
    return f"{seconds:.{digits}f} s" if seconds < 60 else span_in_words(timedelta(seconds=seconds))


def _print_block(block: Block, stream: TextIO) -> None:
    if isinstance(block, str):
        _write(stream, _printable(block, keeping="\n"))
    elif stream.isatty():
        from calrelay.cli.terminal import print_table  # noqa: PLC0415 - loads rich, on terminals only

        rows = [[_printable(cell) for cell in row] for row in block.rows]
        print_table(rows, block.columns, indent=block.indent, stream=stream)
    else:
        for line in plain_table(block):
            _write(stream, line)


def _json(document: Mapping[str, Any], stream: TextIO) -> str:
    is_unicode = (stream.encoding or "").lower().replace("-", "") == "utf8"
    return json.dumps(document, ensure_ascii=not is_unicode, indent=2 if stream.isatty() else None)


def _write(stream: TextIO, text: str) -> None:
    """Write a line; a reader that has gone away (`| head`) ends the output, not the command."""
    try:
        print(text, file=stream, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _printable(text: str, keeping: str = "") -> str:
    """Take out what would command a terminal: titles and names come from anybody."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keeping or unicodedata.category(c) == "Cs" else " " for c in text)


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 0 if unicodedata.combining(c) else 1 for c in text)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))
