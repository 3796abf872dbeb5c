"""The operator's command as a process: what it is given, and what its faults cost."""

import json
import os
import select
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from calrelay.service.notices import Change, Notice, announce
from calrelay.service.troubles import Kind
from tests.fakes.memory_source import NOW
from tests.unit.cli.schemas import assert_fits

NOTICE = Notice(
    change=Change.BEGINS,
    kind="held",
    pipeline="venue",
    summary="9 to delete: more than the guard lets through",
    remedy="calrelay holds",
    at=NOW,
    since=NOW,
    count=9,
)


def python(program: str) -> tuple[str, ...]:
    return sys.executable, "-c", program


async def test_a_command_finds_the_notice_on_stdin_and_a_line_in_its_environment(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    program = f"import os, sys; open({str(seen)!r}, 'w').write(os.environ['CALRELAY_SUMMARY'] + '\\n' + sys.stdin.read())"
    assert await announce(python(program), NOTICE) is None
    line, _, document = seen.read_text().partition("\n")
    assert line == "calrelay venue held: 9 to delete: more than the guard lets through"
    assert json.loads(document)["count"] == 9
    assert_fits(json.loads(document), "notice")


@pytest.mark.parametrize(("change", "kind"), [*((change, "down") for change in Change), *((Change.BEGINS, kind) for kind in Kind)])
def test_every_notice_keeps_to_its_schema(change: Change, kind: str) -> None:
    document = Notice(change=change, kind=kind, pipeline="", summary="", remedy="", at=NOW, since=NOW).to_json()
    assert_fits(document, "notice")


async def test_secrets_of_the_environment_are_not_handed_on(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    program = f"import os; open({str(seen)!r}, 'w').write(' '.join(os.environ))"
    env = {**os.environ, "APPTOTO_KEY": "s3cret", "CREDENTIALS_DIRECTORY": "/run/credentials"}
    assert await announce(python(program), NOTICE, env=env) is None
    assert not {"APPTOTO_KEY", "CREDENTIALS_DIRECTORY"} & set(seen.read_text().split())


async def test_a_shell_is_not_asked(tmp_path: Path) -> None:
    assert await announce((*python("import sys; sys.exit(len(sys.argv) - 2)"), "; touch oops && $(reboot)"), NOTICE) is None


async def test_a_command_that_fails_says_how() -> None:
    assert await announce(python("import sys; sys.exit(3)"), NOTICE) == "ended with 3"


async def test_a_command_that_is_not_there_says_so() -> None:
    assert await announce(("/nowhere/tell-me",), NOTICE) == "cannot be started (No such file or directory)"


async def test_a_command_that_reads_nothing_is_no_fault() -> None:
    assert await announce(python("import os; os.close(0)"), NOTICE) is None


async def test_a_command_that_hangs_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    program = f"""
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork()
if child:
    open({str(pid)!r} + ".new", "w").write(str(child)); os.rename({str(pid)!r} + ".new", {str(pid)!r})
time.sleep(600)
"""
    why = await announce(python(program), NOTICE, within=timedelta(seconds=1))
    assert why == "had not ended after 1 s, and was killed"
    assert _has_ended(int(pid.read_text()))


def _has_ended(pid: int) -> bool:
    """Wait until a process that is not our child has ended; the kernel says when."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], 5)[0])
    finally:
        os.close(descriptor)


async def test_a_command_that_talks_without_end_is_not_stopped_by_its_own_output() -> None:
    assert await announce(python("print('x' * 10_000_000)"), NOTICE) is None
