import io
import json
import logging
import subprocess
import sys
from typing import Any

import pytest
import structlog

from calrelay import log


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def configured(form: log.Format = "json", level: log.Level = "info") -> io.StringIO:
    stream = io.StringIO()
    log.configure(format=form, level=level, stream=stream)
    return stream


def in_a_fresh_interpreter(script: str) -> str:
    environment = {"PYTHONPATH": ":".join(entry for entry in sys.path if entry)}
    code = f"import sys; from calrelay import log; {script}"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stderr


def test_importing_it_loads_neither_structlog_nor_rich() -> None:
    """Every command imports this module; the help text must not wait for either."""
    script = "log.get_logger('x'); log.register_secret('a-long-secret'); log.scrub('y')"
    in_a_fresh_interpreter(f"{script}; assert not {{'structlog', 'rich', 'httpx'}} & sys.modules.keys(), sys.modules.keys()")


def test_a_line_that_is_not_shown_loads_nothing_and_the_first_that_is_comes_out() -> None:
    script = (
        "log.configure(level='error'); logger = log.get_logger('x'); logger.warning('unseen', n=1)",
        "assert 'structlog' not in sys.modules",
        "logger.error('seen'); logger.warning('unseen')",
    )
    said = in_a_fresh_interpreter("; ".join(script))
    assert [json.loads(line)["event"] for line in said.splitlines()] == ["seen"]


def test_before_it_is_set_up_a_warning_is_shown_and_an_information_is_not() -> None:
    said = in_a_fresh_interpreter("logger = log.get_logger('x'); logger.info('unseen'); logger.warning('seen'); logger.info('unseen')")
    assert "event='seen'" in said
    assert "unseen" not in said


def test_a_line_of_json_has_level_logger_and_time_in_utc() -> None:
    stream = configured()
    log.get_logger("calrelay.engine.sync").info("read", pages=3)
    [line] = lines(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "read", "pages": 3, "level": "info", "logger": "calrelay.engine.sync"}


def test_lines_of_libraries_come_out_in_the_same_form() -> None:
    stream = configured()
    logging.getLogger("some.library").warning("took %d s", 5)
    [line] = lines(stream)
    assert (line["event"], line["level"], line["logger"]) == ("took 5 s", "warning", "some.library")


def test_bound_context_is_on_every_line() -> None:
    stream = configured()
    with structlog.contextvars.bound_contextvars(pipeline="venue"):
        log.get_logger("a").info("one")
        logging.getLogger("b").warning("two")
    assert [line["pipeline"] for line in lines(stream)] == ["venue", "venue"]


def test_auto_is_json_where_nobody_watches() -> None:
    stream = configured("auto")
    log.get_logger("a").info("one")
    assert lines(stream)[0]["event"] == "one"


def test_auto_is_for_people_on_a_terminal() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    log.configure(stream=stream)
    log.get_logger("a").info("one", pages=3)
    assert "\x1b[" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_lines_below_the_level_are_left_out() -> None:
    stream = configured(level="warning")
    logger = log.get_logger("a")
    logger.info("quiet")
    logger.warning("loud")
    assert [line["event"] for line in lines(stream)] == ["loud"]


def test_configuring_again_replaces_the_first_form() -> None:
    """A reload of the config configures the log anew; lines must not double."""
    first, second = configured(), configured()
    log.get_logger("a").info("one")
    assert first.getvalue() == ""
    assert len(lines(second)) == 1


@pytest.mark.parametrize("library", ["httpx", "httpcore", "apscheduler.scheduler", "uvicorn.access"])
def test_chatty_libraries_are_quiet_below_warning(library: str) -> None:
    stream = configured(level="debug")
    logging.getLogger(library).info("HTTP Request: GET https://api.example.com/x?key=1")
    logging.getLogger(library).warning("trouble")
    assert [line["event"] for line in lines(stream)] == ["trouble"]


def test_registered_secrets_are_blanked_wherever_they_stand() -> None:
    log.register_secret("s3cr3t/with+signs")
    stream = configured()
    log.get_logger("a").warning(
        "sent s3cr3t/with+signs",
        nested={"list": ["x s3cr3t/with+signs y"]},
        url="s3cr3t%2Fwith%2Bsigns",
        odd=ValueError("s3cr3t/with+signs"),
    )
    logging.getLogger("b").warning("sent %s", "s3cr3t/with+signs")
    assert "s3cr3t" not in stream.getvalue()
    assert stream.getvalue().count("[secret]") == 5


def test_a_short_secret_is_blanked_as_a_word_only() -> None:
    """A TimeTap key is six digits, which may also be part of an id."""
    log.register_secret("340000")
    assert log.scrub("key 340000, event tt-3400001") == "key [secret], event tt-3400001"


def test_a_tiny_secret_does_not_tear_lines_apart() -> None:
    log.register_secret("a")
    log.register_secret("  ")
    assert log.scrub("a banana") == "a banana"


def test_of_two_secrets_the_longer_is_blanked_whole() -> None:
    log.register_secret("abcdefgh")
    log.register_secret("abcdefghijkl")
    assert log.scrub("abcdefghijkl") == "[secret]"


def test_exceptions_are_told_without_locals_and_scrubbed() -> None:
    stream = configured()
    password = "hunter2-hunter2"

    def fail(key: str) -> None:
        raise ValueError("no answer for guest@example.com" + key[:0])

    try:
        fail(password)
    except ValueError:
        log.get_logger("a").exception("failed")
    [line] = lines(stream)
    assert line["exception"][0]["exc_value"] == "no answer for [email]"
    assert password not in stream.getvalue()


def test_exceptions_on_the_console_are_scrubbed_as_well() -> None:
    stream = configured("console")
    log.get_logger("a").error("failed", exc_info=ValueError("call +1 212 555 0147"))
    assert "ValueError: call [phone]" in stream.getvalue()


def test_an_unconfigured_logger_stays_off_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output belongs to answers, even when a library of ours is used without a command."""
    structlog.reset_defaults()
    log.get_logger("calrelay.odd").warning("early guest@example.com")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        ("GET https://api.example.com/v1/x?apiKey=1&sig=2 done", "GET https://api.example.com/v1/x?[query] done"),
        ("GET /v1/events.json?page=2", "GET /v1/events.json?[query]"),
        ("http://127.0.0.1:8650/callback?code=abc", "http://127.0.0.1:8650/callback?[query]"),
        ("https://example.com/cb#access_token=abc", "https://example.com/cb?[query]"),
        ("https://user:word@example.com/x", "https://[secret]@example.com/x"),
        ("Authorization: Bearer abc.def-ghi", "Authorization: Bearer [secret]"),
        ("write to Guest.One+x@mail.example.com.", "write to [email]."),
        ("call +1 212 555 0147 (212) 555-0147", "call [phone] [phone]"),
        ("call 212-555-0147, 212.555.0147, 2125550147, 1-212-555-0147", "call [phone], [phone], [phone], [phone]"),
        ("call +44 20 7946 0958 or 00442079460958", "call [phone] or [phone]"),
        ("call +12125550147", "call [phone]"),
    ],
)
def test_texts_are_scrubbed_of(text: str, scrubbed: str) -> None:
    assert log.scrub(text) == scrubbed


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-21T10:00:00.123456Z",
        "2026-12-15T18:00:00-08:00 until 2026-12-15T21:30:00-08:00",
        "ts-61234567.2",
        "tt-2125550147",
        "550e8400-e29b-41d4-a716-446655440000",
        "calendar 1000030001",
        "127.0.0.1:8642",
        "130 read, 10 created",
        "Is this right? Yes.",
        "calrelay.engine.sync",
    ],
)
def test_what_an_operator_needs_is_left_alone(text: str) -> None:
    assert log.scrub(text) == text


def test_keys_that_say_secret_blank_their_value() -> None:
    line = log.redact(
        None, "info", {"event": "x", "headers": {"Authorization": "anything", "accept": "json"}, "api_key": "340000", "token": None}
    )
    assert line == {"event": "x", "headers": {"Authorization": "[secret]", "accept": "json"}, "api_key": "[secret]", "token": None}
