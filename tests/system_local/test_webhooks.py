"""Webhooks end to end: a change at a vendor reaches the other within seconds, and storms do no harm. A process, sockets, real time."""

import random
import re
import signal
import statistics
import subprocess
from collections import Counter
from datetime import datetime, timedelta

import httpx
import pytest

from calrelay.errors import ExitCode
from calrelay.simulators.timetap.rows import start_of
from tests.system_local.hooked import SECRET, Edits, a_storm, free_port, receiving, wall_clock
from tests.system_local.stage import COMMAND, Stage

NAMES = [f"Dinner, take {number}" for number in range(1, 6)]


def test_a_change_reaches_the_target_within_seconds_of_both_vendors(small_stage: Stage) -> None:
    """Ten changes of five kinds, no scheduled pass among them, and the median of what a guest's venue waits for."""
    with receiving(small_stage) as daemon:
        world = small_stage.world
        first, second, *_ = sorted(name for name in small_stage.held() if name.startswith("ts-"))
        event, other = int(first[3:]), int(second[3:])
        number = next(n for n, one in world.timetap.book.bookings.items() if f"tt-{n}" in small_stage.held())
        start = wall_clock(world.timetap.book.row(number)) + timedelta(minutes=10)
        fresh = world.timetap.book.next_id() + 1  # what the next booking gets, this look having used one up
        seconds = [
            *(
                daemon.seconds_until(lambda name=name: daemon.control("tripleseat", f"events/{event}/rename", {"name": name}), first)  # type: ignore[misc]
                for name in NAMES
            ),
            daemon.seconds_until(lambda: daemon.control("tripleseat", f"events/{other}/status", {"status": "LOST"}), second),
            daemon.seconds_until(
                lambda: daemon.control("timetap", f"appointments/{number}/move", {"start": start.isoformat()}), f"tt-{number}"
            ),
            daemon.seconds_until(lambda: daemon.control("timetap", "appointments", {"start": _soon(small_stage)}), f"tt-{fresh}"),
            daemon.seconds_until(lambda: daemon.control("timetap", f"appointments/{number}/cancel"), f"tt-{number}"),
            daemon.seconds_until(lambda: daemon.control("timetap", f"appointments/{fresh}/delete"), f"tt-{fresh}"),
        ]
        held = small_stage.held()
        assert held[first].title == NAMES[-1]
        assert {second, f"tt-{number}", f"tt-{fresh}"}.isdisjoint(held)
        daemon.wait_for(lambda: Counter(line["because"] for line in daemon.lines()) == {"run": 2, "webhook": 10})
        assert daemon.end() == 0
    assert statistics.median(seconds) < 5.0, seconds
    assert max(seconds) < 15.0, seconds


def test_a_storm_doubles_nothing_and_loses_nothing(small_stage: Stage) -> None:
    """No scheduled pass comes to help: what the target holds in the end, webhooks alone have brought there."""
    rng = random.Random(5)
    edits = Edits(small_stage, 5)
    with receiving(small_stage) as daemon:
        small_stage.forget_requests()
        changes = [edits.next() for _ in range(60)]
        storm = a_storm([webhook for _, webhook in changes], rng, number=150, forged=30, huge=4)
        statuses = Counter(daemon.post(storm, within=1.5))
        assert statuses == {200: 116, 401: 30, 413: 4}
        daemon.wait_for(lambda: _is_in_step(small_stage))
        asked = len([one for one in small_stage.world.tripleseat.journal.entries if one.method == "GET"])
        assert {line["because"] for line in daemon.lines()[2:]} == {"webhook"}
        assert daemon.end() == 0
    assert small_stage.world.apptoto.events.duplicates() == {}
    assert asked < 60  # not one for each webhook
    assert small_stage.type("verify").code == 0
    assert SECRET not in daemon.log.read_text()


def test_a_scrape_tells_how_many_came_and_how_long_they_took(small_stage: Stage) -> None:
    page = f"127.0.0.1:{free_port()}"
    with receiving(small_stage, page=page) as daemon:
        number = next(n for n in small_stage.world.timetap.book.bookings if f"tt-{n}" in small_stage.held())
        daemon.seconds_until(lambda: daemon.control("timetap", f"appointments/{number}/cancel"), f"tt-{number}")
        httpx.post(f"{daemon.url}/timetap/studio/guess", content=b"{}")
        daemon.wait_for(lambda: len(daemon.lines()) == 3)
        text = httpx.get(f"http://{page}/metrics").text
        assert daemon.end() == 0
    assert 'calrelay_webhooks_total{account="studio",outcome="accepted"} 1.0' in text
    assert 'calrelay_webhooks_total{account="studio",outcome="bad_signature"} 1.0' in text
    assert 'calrelay_webhook_lag_seconds_count{account="studio"} 1.0' in text
    assert 'calrelay_webhook_lag_seconds_bucket{account="studio",le="5.0"} 1.0' in text


def test_nothing_that_is_refused_or_unreadable_ends_the_daemon(small_stage: Stage) -> None:
    with receiving(small_stage) as daemon:
        answers = [
            httpx.get(f"{daemon.url}/timetap/studio/{SECRET}"),
            httpx.post(f"{daemon.url}/timetap/studio/{SECRET}", content=b"\xff{"),
            httpx.post(f"{daemon.url}/timetap/studio/guess", content=b"{}"),
            httpx.post(f"{daemon.url}/timetap/nobody/{SECRET}", content=b"{}"),
            httpx.post(f"{daemon.url}/tripleseat/venue", content=b"{}"),
            httpx.post(f"{daemon.url}/timetap/studio/{SECRET}", content=b" " * (2 << 20)),
        ]
        assert [answer.status_code for answer in answers] == [405, 200, 401, 404, 401, 413]
        assert "server" not in answers[0].headers
        assert daemon.end() == 0
    text = daemon.log.read_text()
    assert not [word for word in (SECRET, "guess", "Traceback") if word in text]


def test_an_address_that_is_taken_is_a_wrong_config(small_stage: Stage) -> None:
    with receiving(small_stage) as daemon:
        (small_stage.folder / "other").mkdir()
        config = small_stage.folder / "other" / "config.toml"
        config.write_text(small_stage.config.read_text())
        config.chmod(0o600)
        second = subprocess.run([COMMAND, "--config", config, "run"], capture_output=True, text=True, timeout=30, check=False)
        assert second.returncode == ExitCode.CONFIG
        assert f"web.hooks: cannot listen on 127.0.0.1:{daemon.port}" in second.stderr
        assert daemon.end() == 0


def test_a_reload_takes_another_address_and_another_secret_into_use(small_stage: Stage) -> None:
    with receiving(small_stage) as daemon:
        before = httpx.post(f"{daemon.url}/timetap/studio/{SECRET}", content=b"{}").status_code
        text, old_url = small_stage.config.read_text(), daemon.url
        daemon.port = free_port()
        text = re.sub(r"127.0.0.1:\d+\"\n$", f'127.0.0.1:{daemon.port}"\n', text).replace(SECRET, SECRET[::-1])
        small_stage.config.write_text(text)
        daemon.popen.send_signal(signal.SIGHUP)
        daemon.wait_for(lambda: len(daemon.lines("receiving webhooks")) == 2)
        after = [httpx.post(f"{daemon.url}/timetap/studio/{key}", content=b"{}").status_code for key in (SECRET, SECRET[::-1])]
        assert (before, after) == (200, [401, 200])
        with pytest.raises(httpx.ConnectError):
            httpx.post(f"{old_url}/timetap/studio/{SECRET}", content=b"{}")
        assert daemon.end() == 0


@pytest.mark.parametrize("deletion", ["gone", "marked", "listed"])
def test_a_deletion_is_proven_before_it_is_believed(small_stage: Stage, deletion: str) -> None:
    with receiving(small_stage) as daemon:
        external_id = min(name for name in small_stage.held() if name.startswith("ts-"))
        webhook = {"id": int(external_id[3:]), "id_only": True, "trigger": "DELETE_EVENT"}
        daemon.control("tripleseat", "webhooks/send", webhook)  # said, and not so
        daemon.wait_for(lambda: len(daemon.lines()) >= 3)
        assert external_id in small_stage.held()
        daemon.seconds_until(lambda: daemon.control("tripleseat", f"events/{external_id[3:]}/delete", {"mode": deletion}), external_id)
        assert external_id not in small_stage.held()


def _is_in_step(stage: Stage) -> bool:
    """Whether every changed booking is at the target as its source has it."""
    held, world = stage.held(), stage.world
    names = {f"ts-{one.row['id']}": one.row["name"] for one in world.tripleseat.events if "take" in one.row["name"]}
    starts = {f"tt-{number}": start_of(one.row) for number, one in world.timetap.book.bookings.items() if one.row.get("modifiedDate")}
    return all(held[name].title == title for name, title in names.items()) and all(
        held[name].start_time == start for name, start in starts.items() if name in held
    )


def _soon(stage: Stage) -> str:
    return datetime.fromisoformat(f"{stage.world.clock.now() + timedelta(days=3):%Y-%m-%d} 12:00").isoformat()
