"""How answers look: aligned tables, one JSON document, and nothing that could command a terminal."""

import io
import json
import os
import re
import sys
from datetime import UTC, datetime, timedelta

import pytest

from calrelay.cli.output import Output, Table, plain_table, prepare_streams
from calrelay.domain import words as times

NOW = datetime(2026, 11, 21, 15, 0, tzinfo=UTC)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def a_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    return stream


def test_columns_are_aligned_and_lines_have_no_blanks_at_their_end() -> None:
    table = Table(columns=("when", "event"), rows=[("Fri", "Dinner"), ("Saturday", "")], indent=2)
    assert plain_table(table) == ["  when      event", "  Fri       Dinner", "  Saturday"]


def test_wide_letters_count_twice() -> None:
    assert plain_table(Table(rows=[("宴会", "a"), ("tour", "b")])) == ["宴会  a", "tour  b"]


def test_titles_cannot_command_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    Output().answer({}, ["a\x1b[31mred\x9b", Table(rows=[("x\x1b]0;title\x07y\n", "b")])])
    assert not {"\x1b", "\x07", "\x9b"} & set(capsys.readouterr().out)


def test_on_a_terminal_tables_wrap_under_themselves_and_read_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = a_terminal(monkeypatch)
    Output().answer({}, [Table(columns=("id", "why"), rows=[("ts-1", "[bold]a long reason that does not fit in one line")])])
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in terminal.getvalue().splitlines()]
    assert "[bold]a" in terminal.getvalue()
    assert len(lines) == 3
    assert lines[2].startswith("      ")


def test_with_json_stdout_holds_one_document_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(as_json=True)
    output.say("for people")
    output.answer({"title": "Fête"}, ["for people"])
    out, err = capsys.readouterr()
    assert json.loads(out) == {"title": "Fête"}
    assert err == "for people\n"


def test_a_reader_that_went_away_does_not_end_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        Output().answer({}, ["a line", "another"])


def test_letters_that_the_terminal_lacks_are_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding="ascii", write_through=True) as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        prepare_streams()
        Output().answer({}, ["Fête"])
        Output(as_json=True).answer({"title": "Fête"}, [])
        first, second = raw.getvalue().decode().splitlines()
        assert first == "F\\xeate"
        assert json.loads(second) == {"title": "Fête"}


def test_progress_is_a_line_for_each_piece_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Output().progress("backfill venue") as bar:
        bar.glance("not worth a line")
        monkeypatch.setattr("calrelay.cli.output.time.monotonic", lambda: bar._began)  # type: ignore[attr-defined]
        bar.advance(7, 26, "2 created", by=7)
        bar.advance(20, 26, "3 created", by=13)
        bar.advance(26, 26, "nothing", by=6)
    lines = ["7 of 26, 2 created", "20 of 26, 3 created, about 0 s left", "26 of 26, nothing"]
    assert capsys.readouterr() == ("", "".join(f"backfill venue: {line}\n" for line in lines))


def test_progress_is_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = a_terminal(monkeypatch)
    with Output().progress("backfill venue") as bar:
        bar.glance("reading")
        bar.advance(1, 2, "2 created")
    assert "backfill venue" in terminal.getvalue()
    assert "1/2" in terminal.getvalue()


@pytest.mark.parametrize(
    ("seconds", "words"), [(5, "5 s"), (89, "89 s"), (90, "2 min"), (5000, "83 min"), (7200, "2 h"), (200_000, "2 days")]
)
def test_spans_are_told_in_their_fitting_unit(seconds: int, words: str) -> None:
    assert times.span_in_words(timedelta(seconds=seconds)) == words


def test_ages_are_told_from_now() -> None:
    assert times.ago(None, NOW) == "never"
    assert times.ago(NOW, NOW) == "just now"
    assert times.ago(NOW - timedelta(minutes=12), NOW) == "12 min ago"


def test_an_events_time_is_told_on_the_clock_of_its_place() -> None:
    assert times.in_place(datetime(2026, 12, 15, 20, 0, tzinfo=UTC), "America/Vancouver") == "Tue 2026-12-15 13:00 MST"
    assert times.in_place(NOW, None) == "Sat 2026-11-21 15:00 UTC"


def test_shifts_say_their_direction() -> None:
    assert times.shift_in_words(timedelta(hours=2)) == "2 h later"
    assert times.shift_in_words(-timedelta(minutes=30)) == "30 min earlier"
