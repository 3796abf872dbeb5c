"""Several tenants under one roof: what is wrong with one is told, stays with it, and the others are served. All sources are one TimeTap."""

import json
import signal
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from calrelay.errors import ExitCode
from calrelay.simulators.worlds import a_world
from tests.postgres.databases import Databases
from tests.system_local.test_daemon_in_a_process import PATIENCE, running
from tests.unit.cli.house import House, serving
from tests.unit.cli.schemas import assert_fits

CONFIG = """
include = ["tenants/*.toml"]
[log]
level = "info"
[web]
listen = ""
[accounts.reminders]
vendor = "apptoto"
username = "ops@example.com"
api_key = "apptoto-key"
base_url = "{apptoto}/v1"
requests_per_minute = 12000
"""
TENANT = """
[accounts.desk]
vendor = "timetap"
api_key = "{api_key}"
private_key = {{ file = "{name}.key" }}
base_url = "{timetap}/live"
requests_per_second = 200
[[pipelines]]
name = "studio"
source = "desk"
target = "reminders"
calendar = "Studio"
id_prefix = "{name}-"
every = "{every}"
full_every = "{every}"
window = {{ future = "60d" }}
guards = {{ first_load = 1000 }}
"""
APPOINTMENTS = 6  # of which two are over, or not wanted
WANTED = 4
AT_ONCE = 5  # seconds; a request to a vendor that is dead is asked again for up to fifteen


class Town:
    """A house with a street of tenants."""

    def __init__(self, house: House, urls: dict[str, str]) -> None:
        self.house = house
        self.every = "1h"
        self._urls = urls
        self._arrived = threading.Condition()
        house.world.apptoto.events.listeners.append(lambda _change, _event: self._ring())

    def settle(self, *names: str, **changes: str) -> None:
        """Write the files of tenants, with something in them changed."""
        folder = self.house.config.parent / "tenants"
        folder.mkdir(exist_ok=True)
        keys = self.house.world.timetap.settings
        for name in names:
            text = TENANT.format(name=name, every=self.every, api_key=keys.api_key, timetap=self._urls["timetap"])
            for old, new in changes.items():
                text = text.replace(f'{old} = "', f'{new} = "')
            (folder / f"{name}.toml").write_text(text)
            (folder / f"{name}.key").write_text(keys.private_key)
            (folder / f"{name}.key").chmod(0o600)

    def bury(self, name: str) -> None:
        """Let the vendor of a tenant answer no more."""
        path = self.house.config.parent / "tenants" / f"{name}.toml"
        path.write_text(path.read_text().replace(self._urls["timetap"], "http://127.0.0.1:9"))

    def rob(self, name: str) -> None:
        """Take a tenant's secret away."""
        (self.house.config.parent / "tenants" / f"{name}.key").unlink()

    def cancel_one(self) -> None:
        """Have an appointment cancelled, of which every tenant has a copy."""
        held = next(event.external_id or "" for event in self.house.world.apptoto.events.live_events())
        self.house.world.timetap.book.cancel(int(held.rpartition("-")[2]))

    def served(self) -> dict[str, int]:
        """Count the live events at the target by tenant."""
        found: dict[str, int] = {}
        for event in self.house.world.apptoto.events.live_events():
            name = (event.external_id or "").partition("-")[0]
            found[name] = found.get(name, 0) + 1
        return found

    def wait_until(self, wanted: dict[str, int]) -> None:
        """Wait until the target holds so many of each of these tenants."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: wanted.items() <= self.served().items(), PATIENCE), self.served()

    def _ring(self) -> None:
        with self._arrived:
            self._arrived.notify_all()


@pytest.fixture
def town(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Town]:
    world = a_world(1, datetime.now(UTC), tripleseat_events=0, timetap_appointments=APPOINTMENTS)
    world.apptoto.settings.requests_per_minute = None
    with serving(world) as urls:
        config = tmp_path / "config.toml"
        config.write_text(CONFIG.format(**urls))
        config.chmod(0o600)
        yield Town(House(world=world, config=config, capsys=capsys), urls)


def test_a_sync_of_all_serves_whom_it_can_and_says_what_is_wrong_with_the_others(town: Town) -> None:
    town.settle("beta", "dead", "poor", "zoo")
    town.settle("acme", calendar="kalender")
    town.bury("dead")
    town.rob("poor")
    said = town.house.type("sync", "--json")
    assert said.code == ExitCode.CONFIG
    assert_fits(said.document, "passes")
    assert {one["pipeline"]: (one["outcome"], [problem["kind"] for problem in one["problems"]][:1]) for one in said.document["passes"]} == {
        "beta/studio": ("ok", []),
        "zoo/studio": ("ok", []),
        "dead/studio": ("failed", ["VendorUnavailable"]),
        "poor/studio": ("failed", ["ConfigError"]),
        "acme/": ("failed", ["ConfigError"]),
    }
    assert set(town.served()) == {"beta", "zoo"}
    assert len(set(town.served().values())) == 1


def test_naming_one_says_what_is_wrong_with_it_and_asks_nobody(town: Town) -> None:
    town.settle("acme", calendar="kalender")
    town.settle("beta")
    for name in ("acme/studio", "acme/", "acme"):
        said = town.house.type("sync", name)
        assert said.code == ExitCode.CONFIG
        assert "tenants/acme.toml: pipelines[0].kalender (studio): is no key of this table — did you mean “calendar”?" in said.err
    assert town.served() == {}
    assert town.house.type("sync", "beta").code == 0
    assert set(town.served()) == {"beta"}


def test_check_tells_all_problems_of_all_files(town: Town) -> None:
    town.settle("acme", calendar="kalender")
    town.settle("beta", source="sauce")
    town.settle("zoo")
    document = town.house.ask("check")
    assert_fits(document, "check")
    assert document["exit_code"] == ExitCode.CONFIG
    files = {problem["message"].partition(":")[0] for problem in document["problems"]}
    assert files == {"tenants/acme.toml", "tenants/beta.toml"}
    assert [one["status"] for one in document["accounts"]] == ["works", "works"]


def test_status_puts_those_on_top_who_need_somebody_and_folds_the_others(town: Town) -> None:
    town.settle("beta", "dead", "zoo")
    town.settle("acme", calendar="kalender")
    town.bury("dead")
    town.house.type("sync")
    document = town.house.ask("status")
    assert_fits(document, "status")
    assert {one["pipeline"]: one["tenant"] for one in document["pipelines"]} == {f"{name}/studio": name for name in ("beta", "dead", "zoo")}
    assert [one["tenant"] for one in document["tenants"] if one["problems"]] == ["acme"]
    said = town.house.type("status")
    assert said.code == 0
    order = [said.out.index(word) for word in ("tenants/acme.toml", "dead/studio", "\nbeta", "\nzoo")]
    assert order == sorted(order)
    assert "beta/studio" not in said.out
    assert "beta/studio" in town.house.type("status", "beta").out
    refused = town.house.type("status", "acme")
    assert (refused.code, "kalender" in refused.out) == (ExitCode.CONFIG, True)


def test_status_shows_what_is_remembered_of_a_tenant_whose_file_broke(town: Town) -> None:
    town.settle("acme", "beta")
    town.house.type("sync")
    town.settle("acme", calendar="kalender")
    document = town.house.ask("status")
    assert_fits(document, "status")
    assert [one.get("remembered") for one in document["tenants"]] == [["acme/studio"], None]
    lines = town.house.type("status", "acme").out.splitlines()
    assert next(line.split()[:2] for line in lines if "acme/studio" in line) == ["acme/studio", "refused"]
    for event in town.house.world.apptoto.events.live_events():
        name = event.external_id or ""
        said = town.house.type("show", name)
        assert (said.code, "of pipeline acme/studio" in said.err) == ((0, False) if name.startswith("beta-") else (2, True))


def test_a_daemon_serves_the_others_while_a_vendor_is_dead(town: Town) -> None:
    town.every = "1s"
    town.settle("beta", "dead", "zoo")
    town.bury("dead")
    with running(town.house) as process:
        process.wait_for("READY=1")
        town.wait_until({"beta": WANTED, "zoo": WANTED})
        town.cancel_one()
        town.wait_until({"beta": WANTED - 1, "zoo": WANTED - 1})  # while requests to the dead one are still repeated
        asked_to_stop = time.monotonic()
        process.end()
        assert time.monotonic() - asked_to_stop < AT_ONCE
    assert "dead" not in town.served()


def test_a_daemon_serves_the_others_and_follows_a_tenant_that_breaks_and_mends(town: Town) -> None:
    assert_serves_the_others_and_follows_a_tenant_that_breaks_and_mends(town, "run")


def test_a_worker_serves_the_others_and_follows_a_tenant_that_breaks_and_mends(town: Town, postgres: Databases) -> None:
    town.house.config.write_text(
        town.house.config.read_text().replace("[log]", f'[state]\nurl = "{postgres.make()}"\n[log]\nformat = "json"')
    )
    assert_serves_the_others_and_follows_a_tenant_that_breaks_and_mends(town, "worker")


def assert_serves_the_others_and_follows_a_tenant_that_breaks_and_mends(town: Town, command: str) -> None:
    town.every = "1s"
    town.settle("beta", "poor")
    town.settle("acme", calendar="kalender")
    town.rob("poor")
    with running(town.house, command) as process:
        process.wait_for("READY=1")
        town.wait_until({"beta": WANTED})
        assert set(town.served()) == {"beta"}
        town.settle("acme", "poor")
        process.popen.send_signal(signal.SIGHUP)
        process.wait_for("READY=1")
        town.wait_until(dict.fromkeys(("acme", "beta", "poor"), WANTED))
        town.settle("acme", calendar="kalender")
        process.popen.send_signal(signal.SIGHUP)
        process.wait_for("READY=1")
        town.cancel_one()
        town.wait_until(dict.fromkeys(("acme", "beta", "poor"), WANTED - 1))
        _, lines = process.end()
    refusals = [(line["tenant"], line["what"]) for line in lines if line["event"] == "tenant refused"]
    assert refusals == [("acme/", "its pipelines do not run; the others do"), ("acme/", "its old tables stay in use")]
    assert [line["pipeline"] for line in lines if line["event"] == "pipeline cannot run"] == ["poor/studio"]
    assert "Traceback" not in json.dumps(lines)
