"""The daemon's life over pipelines in memory and a state on disk."""

import asyncio
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from calrelay.engine.order import Reach
from calrelay.errors import AuthFailed, Busy, ConfigError, StateError
from calrelay.service import upkeep
from calrelay.service.daemon import Daemon
from calrelay.service.signals import obeying_signals
from calrelay.state.database import open_database
from calrelay.state.locks import DaemonLock
from tests.unit.service.gates import Gate
from tests.unit.service.stand import CONFIG, Stand


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.setblocking(False)
        yield Stand(tmp_path, listener)


async def test_it_says_ready_runs_a_complete_pass_at_once_and_ends_in_order(stand: Stand) -> None:
    async with stand.running():
        assert await stand.next_pass() is Reach.COMPLETE
    told = stand.told()
    assert told[0] == "READY=1"
    assert "STATUS=venue: well" in told
    assert told.index("STOPPING=1") > told.index("STATUS=venue: well")
    assert len(stand.target.live) == 1
    assert stand.closed == stand.opened


async def test_a_second_daemon_is_refused_and_told_who_is_there(stand: Stand) -> None:
    async with stand.running():
        with pytest.raises(Busy, match="calrelay run"):
            await stand.daemon().run()
    assert len(stand.closed) == len(stand.opened) == 2


async def test_the_lock_is_free_again_after_the_end(stand: Stand) -> None:
    async with stand.running():
        pass
    with open_database(stand.config().state_url(), stand.folder) as database, DaemonLock(database):
        pass


async def test_a_stop_waits_for_the_pass_and_a_second_one_does_not(stand: Stand) -> None:
    stand.source.gate.close()
    async with stand.running() as daemon:
        await asyncio.wait_for(stand.source.gate.reached.wait(), 5)
        with capture_logs() as lines:
            daemon.stop()
            for _ in range(20):
                await asyncio.sleep(0)
            assert [line["event"] for line in lines] == ["stopping"]
    assert stand.passes.empty()


async def test_a_broken_config_is_refused_and_the_old_one_stays(stand: Stand) -> None:
    async with stand.running() as daemon:
        await stand.next_pass()
        stand.problem = ConfigError("config.toml has 2 problems", remedy="mend the file")
        with capture_logs() as lines:
            daemon.reload()
            await _until_logged(lines, "reload refused; the old config stays in use")
        assert lines[0]["why"] == "config.toml has 2 problems"
        assert (len(stand.opened), stand.closed) == (1, [])
        told = stand.told()
        assert told.index("RELOADING=1") < len(told) - told[::-1].index("READY=1")


async def test_a_moved_state_is_refused(stand: Stand) -> None:
    async with stand.running() as daemon:
        stand.text = CONFIG.format(state="elsewhere", calendar="Main Hall")
        with capture_logs() as lines:
            daemon.reload()
            await _until_logged(lines, "reload refused; the old config stays in use")
        assert "[state]" in next(line["why"] for line in lines if "why" in line)
        assert len(stand.opened) == 1


async def test_a_changed_pipeline_is_run_at_once_with_the_new_config(stand: Stand) -> None:
    async with stand.running() as daemon:
        await stand.next_pass()
        old = daemon.relay
        stand.text = CONFIG.format(state="calrelay", calendar="Terrace")
        daemon.reload()
        assert await stand.next_pass() is Reach.COMPLETE
        assert daemon.relay is not old
        assert daemon.relay.config.pipelines[0].calendar == "Terrace"
        assert stand.closed == [old.config]


async def test_an_unchanged_pipeline_keeps_its_rhythm(stand: Stand) -> None:
    async with stand.running() as daemon:
        await stand.next_pass()
        rhythm = daemon.runners["venue"].rhythm
        with capture_logs() as lines:
            daemon.reload()
            await _until_logged(lines, "reloaded")
        assert (lines[-1]["unchanged"], lines[-1]["ended"]) == (["venue"], [])
        assert daemon.runners["venue"].rhythm is rhythm
        assert stand.passes.empty()


async def test_a_pass_that_a_reload_ended_is_run_again(stand: Stand) -> None:
    async with stand.running() as daemon:
        await stand.next_pass()
        stand.source.gate.close()
        daemon.runners["venue"].due(Reach.COMPLETE)
        await asyncio.wait_for(stand.source.gate.reached.wait(), 5)
        daemon.reload()
        for _ in range(20):
            await asyncio.sleep(0)
        stand.source.gate.open()
        assert await stand.next_pass() is Reach.COMPLETE


async def test_a_state_that_cannot_be_trusted_ends_the_daemon(stand: Stand) -> None:
    async def broken(_daemon: Daemon) -> None:
        raise StateError("the disk is full")

    with pytest.raises(StateError):
        await asyncio.wait_for(stand.daemon(broken).run(), 5)
    assert stand.closed == stand.opened


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signals_end_it(stand: Stand, number: signal.Signals) -> None:
    daemon = stand.daemon()
    with obeying_signals(daemon):
        task = asyncio.create_task(daemon.run())
        await asyncio.wait_for(daemon.ready.wait(), 5)
        signal.raise_signal(number)
        await asyncio.wait_for(task, 5)


async def test_sighup_reloads(stand: Stand) -> None:
    async with stand.running() as daemon:
        with obeying_signals(daemon), capture_logs() as lines:
            signal.raise_signal(signal.SIGHUP)
            await _until_logged(lines, "reloaded")
        assert len(stand.opened) == 2


async def test_the_watchdog_is_fed_while_passes_get_on(stand: Stand) -> None:
    async with stand.running(upkeep.feed_watchdog):
        await stand.next_pass()
    assert "WATCHDOG=1" in stand.told()


async def test_the_watchdog_starves_when_a_pass_is_stuck(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    async with stand.running() as daemon:
        await stand.next_pass()
        monkeypatch.setattr(type(daemon.runners["venue"]), "is_stuck", lambda _: True)
        stand.told()
        with capture_logs() as lines:
            feeding = asyncio.create_task(upkeep.feed_watchdog(daemon))
            await _until_logged(lines, "stuck")
        feeding.cancel()
        assert "WATCHDOG=1" not in stand.told()


async def test_consents_are_renewed_and_a_refusal_is_told_once(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: asyncio.Queue[int] = asyncio.Queue()

    async def renew() -> None:
        asked.put_nowait(1)
        raise AuthFailed("the consent was withdrawn", remedy="calrelay login venue")

    monkeypatch.setattr(upkeep, "CONSENTS_FIRST", timedelta())
    monkeypatch.setattr(upkeep, "CONSENTS_EVERY", timedelta(milliseconds=20))
    stand.keep_alive.append(renew)
    with capture_logs() as lines:
        async with stand.running(upkeep.keep_consents):
            for _ in range(3):
                await asyncio.wait_for(asked.get(), 5)
    assert [line["remedy"] for line in lines if line["event"] == "consent not renewed"] == ["calrelay login venue"]


async def test_a_reload_and_the_end_wait_for_a_consent_that_is_being_renewed(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relay that is closed under it would end the daemon, and lose the pair that the vendor has just exchanged."""
    gate, ended = Gate(), asyncio.Queue[int]()

    async def renew() -> None:
        await gate.pass_through()
        ended.put_nowait(len(stand.closed))

    monkeypatch.setattr(upkeep, "CONSENTS_FIRST", timedelta())
    stand.keep_alive.append(renew)
    gate.close()
    async with stand.running(upkeep.keep_consents) as daemon:
        await stand.next_pass()
        await asyncio.wait_for(gate.reached.wait(), 5)
        with capture_logs() as lines:
            daemon.reload()
            for _ in range(50):
                await asyncio.sleep(0)
            gate.open()
            await _until_logged(lines, "reloaded")
        assert await ended.get() == 0
        gate.close()
        asking = asyncio.create_task(daemon.borrow(lambda _relay: renew()))
        await asyncio.wait_for(gate.reached.wait(), 5)
        daemon.stop()
        for _ in range(50):
            await asyncio.sleep(0)
        gate.open()
        await asking
    assert await ended.get() == 1
    assert stand.closed == stand.opened


async def _until_logged(lines: Sequence[Mapping[str, Any]], event: str) -> None:
    """Wait until a line was written, without a clock."""
    for _ in range(100_000):
        if any(line["event"] == event for line in lines):
            return
        await asyncio.sleep(0)
    raise AssertionError(f"{event!r} was not logged, but {[line['event'] for line in lines]}")
