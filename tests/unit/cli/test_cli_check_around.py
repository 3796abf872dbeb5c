"""What `check` and `status` say of files, the disk, the daemon, its listeners, and those who are notified."""

import dataclasses
import shutil
import socket
import sys
from collections import namedtuple
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from calrelay.cli import check_around
from calrelay.cli.check_around import examine_listeners, examine_notify, examine_rights, examine_space, try_notify, zones_without_name
from calrelay.cli.examination import Examination
from calrelay.config.load import Config, load_config, parse_config
from calrelay.errors import ExitCode
from calrelay.ports import Fact
from calrelay.service.loaded import note_loaded, view_daemon
from calrelay.state.locks import DaemonLock
from calrelay.state.opening import open_state
from calrelay.vendors.registry import VENDORS
from tests.unit.cli.house import House
from tests.unit.cli.schemas import assert_fits

Usage = namedtuple("Usage", "total used free")  # noqa: PYI024 - as shutil's


def a_config(text: str = "", folder: Path = Path("/nowhere")) -> Config:
    return parse_config(text, path=folder / "config.toml", vendors=VENDORS)


@pytest.fixture
def found() -> Examination:
    return Examination(zone_data="2026f")


# --- files and disk ---


def test_a_config_that_others_may_change_is_worth_a_word(found: Examination, tmp_path: Path) -> None:
    config = a_config(folder=tmp_path)
    config.path.touch(mode=0o644)
    examine_rights(config, None, found)
    assert found.warnings == []
    config.path.chmod(0o664)
    examine_rights(config, None, found)
    assert found.warnings == [f"others than its owner may change {config.path} — chmod go-w {config.path}"]


@pytest.mark.parametrize("name", ["calrelay.db", "calrelay.db-wal", "calrelay.db.web-token"])
def test_a_state_that_others_may_open_is_worth_a_word(found: Examination, tmp_path: Path, name: str) -> None:
    (tmp_path / "calrelay.db").touch(mode=0o600)
    (tmp_path / "calrelay.db.venue.lock").touch(mode=0o644)
    (tmp_path / name).touch()
    examine_rights(a_config(folder=tmp_path), tmp_path / "calrelay.db", found)
    before = len(found.warnings)
    (tmp_path / name).chmod(0o640)
    found.warnings.clear()
    examine_rights(a_config(folder=tmp_path), tmp_path / "calrelay.db", found)
    assert found.warnings[-1].endswith(f"chmod 600 {tmp_path / name}")
    assert len(found.warnings) - before in (0, 1)


@pytest.mark.parametrize(("free", "warned"), [(500_000_000, False), (199_000_000, True), (0, True)])
def test_a_disk_that_is_nearly_full_is_told_with_its_numbers(
    found: Examination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, warned: bool
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 0, free))
    examine_space(tmp_path / "calrelay.db", found)
    assert [f"only {free // 10**6} MB are free" in warning for warning in found.warnings] == [True] * warned


def test_a_large_database_wants_as_much_again(found: Examination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 0, 900_000_000))
    database = tmp_path / "calrelay.db"
    with database.open("wb") as file:
        file.truncate(1_000_000_000)
    examine_space(database, found)
    assert "1000 MB are safe" in found.warnings[0]


# --- the daemon ---


def test_a_daemon_with_an_older_config_is_told_and_so_is_how_to_mend_it(house: House) -> None:
    config = load_config(house.config, VENDORS)
    with open_state(config.state_url(), config.folder) as state, DaemonLock(state.database):
        note_loaded(state.ledger, config, datetime.now(UTC))
        current, checked = house.ask("status"), house.ask("check", "--offline")
        house.config.write_text(house.config.read_text() + "\n# a remark changes nothing\n")
        remarked = house.ask("status")
        house.config.write_text(house.config.read_text().replace('future = "60d"', 'future = "61d"'))
        behind, said = house.ask("status"), house.type("status").out
        warned = house.ask("check", "--offline")
    for document, schema in ((current, "status"), (behind, "status"), (checked, "check"), (warned, "check")):
        assert_fits(document, schema)
    assert [one["daemon"]["config_is_current"] for one in (current, remarked, behind, checked, warned)] == [True, True, False, True, False]
    assert current["daemon"]["running"]
    assert "has not loaded the config as it is now — systemctl reload calrelay, or kill -HUP" in said
    assert [warning for warning in warned["warnings"] if "kill -HUP" in warning]
    assert not [warning for warning in checked["warnings"] if "kill -HUP" in warning]


def test_a_changed_secret_is_another_config_and_stands_nowhere(house: House) -> None:
    config = load_config(house.config, VENDORS)
    with open_state(config.state_url(), config.folder) as state, DaemonLock(state.database):
        note_loaded(state.ledger, config, datetime.now(UTC))
        house.config.write_text(house.config.read_text().replace('"apptoto-key"', '"another-key"'))
        assert view_daemon(state, load_config(house.config, VENDORS)).is_behind
        memo = state.ledger.memo("daemon:config")
    assert memo is not None
    assert config.digest[:32] != memo[0]
    assert "apptoto-key" not in memo[0]


@pytest.mark.parametrize(
    ("command", "words"), [("worker", "1 worker shares the pipelines, on this machine (process"), ("rename", "and cannot while process")]
)
def test_whoever_has_the_daemons_lock_is_not_called_one(house: House, command: str, words: str) -> None:
    config = load_config(house.config, VENDORS)
    with open_state(config.state_url(), config.folder) as state, DaemonLock(state.database, command=command):
        note_loaded(state.ledger, config, datetime.now(UTC))  # by the daemon that ran before
        document, said = house.ask("status"), house.type("status").out
    assert document["daemon"] == {"running": False, "process": None, "since": None, "config_loaded_at": None, "config_is_current": None}
    assert f"does not run{':' if command == 'worker' else ','} {words}" in said


@pytest.mark.parametrize("is_installed", [False, True])
def test_without_a_daemon_status_says_how_to_start_one(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_installed: bool
) -> None:
    unit = tmp_path / "calrelay.service"
    if is_installed:
        unit.touch()
    monkeypatch.setattr("calrelay.cli.daemon_told.SERVICE_UNIT", unit)
    said = house.type("status").out
    assert f"daemon does not run — {'systemctl start calrelay' if is_installed else 'calrelay run'}\n" in said
    assert house.ask("status")["daemon"] == {
        "running": False,
        "process": None,
        "since": None,
        "config_loaded_at": None,
        "config_is_current": None,
    }


# --- listeners ---


def test_an_address_in_use_is_told_unless_the_daemon_may_use_it(found: Examination, house: House) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        config = a_config(f'[web]\nlisten = "127.0.0.1:{taken.getsockname()[1]}"\n')
        examine_listeners(config, found)
        assert "Address already in use" in found.warnings[0]
        running = load_config(house.config, VENDORS)
        with open_state(running.state_url(), running.folder) as state, DaemonLock(state.database):
            told = dataclasses.replace(found, warnings=[], daemon=view_daemon(state, running))
            examine_listeners(config, told)
    assert told.warnings == []


def test_an_address_of_another_machine_is_told(found: Examination) -> None:
    examine_listeners(a_config('[web]\nlisten = "192.0.2.7:8642"\n'), found)
    assert "192.0.2.7:8642 cannot be listened on" in found.warnings[0]


def test_free_addresses_and_none_are_fine(found: Examination) -> None:
    examine_listeners(a_config('[web]\nlisten = "127.0.0.1:0"\n'), found)
    examine_listeners(a_config('[web]\nlisten = ""\n'), found)
    assert found.warnings == []


# --- notifications ---


def test_a_command_that_is_not_there_is_a_problem(found: Examination) -> None:
    examine_notify(a_config('[notify]\ncommand = ["/nowhere/tell-me"]\n'), found)
    assert found.exit_code == ExitCode.CONFIG
    assert "/nowhere/tell-me" in found.problems[0].message


def test_a_command_is_found_as_a_shell_would(found: Examination) -> None:
    examine_notify(a_config('[notify]\ncommand = ["env"]\n'), found)
    assert found.problems == []


def test_a_ping_address_that_is_nowhere_is_a_problem_and_offline_a_word(found: Examination, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PING", raising=False)
    config = a_config('[notify]\nping_url = { env = "NO_PING" }\n')
    offline = dataclasses.replace(found, is_offline=True, warnings=[], problems=[])
    examine_notify(config, found)
    examine_notify(config, offline)
    assert (len(found.problems), found.warnings) == (1, [])
    assert (offline.problems, len(offline.warnings)) == ([], 1)


async def test_a_trial_tells_what_works_and_what_does_not(found: Examination, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unheard(_url: str) -> str:
        return "it answered 404"

    monkeypatch.setattr(check_around, "ping", unheard)
    command = f'command = ["{sys.executable}", "-c", ""]'
    await try_notify(a_config(f'[notify]\n{command}\nping_url = "https://watch.example.com/x"\n'), found)
    assert found.notified == ["notify.command"]
    assert [problem.message for problem in found.problems] == ["notify.ping_url: it answered 404"]


async def test_a_trial_without_anybody_says_so(found: Examination) -> None:
    await try_notify(a_config(), found)
    assert "names nobody" in found.warnings[0]


def test_check_notify_runs_the_command_and_tells(house: House, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    program = f"import sys; open({str(seen)!r}, 'w').write(sys.stdin.read())"
    house.config.write_text(f'[notify]\ncommand = ["{sys.executable}", "-c", "{program}"]\n' + house.config.read_text())
    document: Any = house.ask("check", "--offline", "--notify")
    assert_fits(document, "check")
    assert document["notified"] == ["notify.command"]
    assert '"change": "test"' in seen.read_text()


# --- zones ---


def test_a_zone_without_a_rails_name_is_found_in_what_an_account_shows() -> None:
    facts = [
        Fact(name="site 1501", value="Harbour House, America/Vancouver"),
        Fact(name="staff 61001", value="Ada Bell, America/New_York, Nowhere/Land"),
    ]
    assert list(zones_without_name(facts)) == ["America/Vancouver"]


def test_zones_that_are_not_sent_by_their_rails_name_need_none(house: House) -> None:
    warned = [warning for warning in house.ask("check")["warnings"] if "Rails name" in warning]
    house.config.write_text(
        house.config.read_text().replace('api_key = "apptoto-key"', 'api_key = "apptoto-key"\ntime_zone_names = "iana"')
    )
    assert (len(warned) > 0, [warning for warning in house.ask("check")["warnings"] if "Rails name" in warning]) == (True, [])
