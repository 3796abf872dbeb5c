"""A notification command beside a real daemon: it hangs, and nothing else does."""

import asyncio
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from calrelay.engine.order import Reach
from calrelay.service.notify import keep_watch
from tests.unit.service.stand import Stand

HANGS = "import os, sys, time; sys.stdin.read(); open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(600)"


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.setblocking(False)
        yield Stand(tmp_path, listener)


async def test_a_command_that_hangs_disturbs_neither_passes_nor_the_end(stand: Stand, tmp_path: Path) -> None:
    stand.source.spoil(2)
    os.mkfifo(tmp_path / "began")
    stand.text = f'[notify]\ncommand = ["{sys.executable}", "-c", "{HANGS}", "{tmp_path / "began"}"]\n{stand.text}'
    with capture_logs() as lines:
        async with stand.running(keep_watch) as daemon:
            await stand.next_pass()
            pid = int(await asyncio.wait_for(asyncio.to_thread((tmp_path / "began").read_text), 5))
            daemon.runners["venue"].due(Reach.COMPLETE)
            assert await stand.next_pass() is Reach.COMPLETE
            os.kill(pid, 0)  # it hangs still
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not [line for line in lines if line["log_level"] == "error"]


async def test_a_command_that_is_gone_is_logged_once_and_passes_go_on(stand: Stand) -> None:
    stand.source.spoil(2)
    stand.text = f'[notify]\ncommand = ["/nowhere/tell-me"]\n{stand.text}'
    with capture_logs() as lines:
        async with stand.running(keep_watch) as daemon:
            for _ in range(3):
                await stand.next_pass()
                for _ in range(20):
                    await asyncio.sleep(0)
                daemon.runners["venue"].due(Reach.COMPLETE)
            await stand.next_pass()
    assert [line["why"] for line in lines if line["event"] == "notification command failed"] == [
        "cannot be started (No such file or directory)"
    ]
