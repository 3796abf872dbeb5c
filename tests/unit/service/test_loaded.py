"""Whether the daemon has loaded the config as it is now, seen from outside."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from calrelay.service.loaded import view_daemon
from calrelay.state.database import open_in_memory
from calrelay.state.ledger import SqlLedger
from calrelay.state.opening import State, open_state
from calrelay.state.tokens import SqlTokenStore
from tests.unit.service.stand import CONFIG, Stand


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.setblocking(False)
        yield Stand(tmp_path, listener)


async def test_a_daemon_is_behind_from_an_edit_to_its_reload(stand: Stand) -> None:
    async with stand.running() as daemon:
        await stand.next_pass()
        with open_state(stand.config().state_url(), stand.folder) as state:
            seen = view_daemon(state, stand.config())
            assert (seen.is_current, seen.loaded_at) == (True, stand.now)
            stand.text = CONFIG.format(state="calrelay", calendar="Terrace")
            assert view_daemon(state, stand.config()).is_behind
            reloaded = asyncio.Event()
            daemon.on_reload.append(reloaded.set)
            daemon.reload()
            await asyncio.wait_for(reloaded.wait(), 5)
            assert view_daemon(state, stand.config()).is_current
    with open_state(stand.config().state_url(), stand.folder) as state:
        assert view_daemon(state, stand.config()).holder is None


async def test_a_refused_reload_leaves_the_daemon_behind(stand: Stand) -> None:
    async with stand.running() as daemon:
        stand.text = CONFIG.format(state="elsewhere", calendar="Main Hall")
        daemon.reload()
        for _ in range(50):
            await asyncio.sleep(0)
        with open_state(f"sqlite:///{stand.folder}/calrelay.db", stand.folder) as state:
            assert view_daemon(state, stand.config()).is_behind


def test_without_a_state_there_is_no_daemon(stand: Stand) -> None:
    with open_in_memory() as database:
        state = State(database=database, ledger=SqlLedger(database), tokens=SqlTokenStore(database))
        assert view_daemon(state, stand.config()).holder is None
