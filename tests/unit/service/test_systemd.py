"""What arrives at systemd's socket."""

import os
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from calrelay.service.systemd import Systemd


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.setblocking(False)
        yield listener


def told(listener: socket.socket) -> str:
    return listener.recv(4096).decode()


def test_a_message_arrives_whole(listening: socket.socket) -> None:
    Systemd({"NOTIFY_SOCKET": listening.getsockname()}).tell("READY=1", "STATUS=up")
    assert told(listening) == "READY=1\nSTATUS=up"


def test_a_name_with_an_at_sign_is_an_abstract_socket() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0calrelay-test-{os.getpid()}")
        listener.setblocking(False)
        Systemd({"NOTIFY_SOCKET": f"@calrelay-test-{os.getpid()}"}).tell("WATCHDOG=1")
        assert told(listener) == "WATCHDOG=1"


def test_a_status_is_one_line(listening: socket.socket) -> None:
    Systemd({"NOTIFY_SOCKET": listening.getsockname()}).tell_status("venue: well\nREADY=1")
    assert told(listening) == "STATUS=venue: well READY=1"


def test_a_reload_names_the_moment(listening: socket.socket) -> None:
    Systemd({"NOTIFY_SOCKET": listening.getsockname()}).tell_reloading()
    first, second = told(listening).split("\n")
    assert first == "RELOADING=1"
    assert second.removeprefix("MONOTONIC_USEC=").isdecimal()


@pytest.mark.parametrize("env", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "/nowhere/notify"}])
def test_without_a_socket_nothing_happens(env: dict[str, str]) -> None:
    Systemd(env).tell("READY=1")


def test_a_socket_that_nobody_reads_never_blocks(listening: socket.socket) -> None:
    """The queue of a datagram socket is short; a thousand messages do not fit into it."""
    systemd = Systemd({"NOTIFY_SOCKET": listening.getsockname()})
    for _ in range(1000):
        systemd.tell("WATCHDOG=1")
    assert told(listening) == "WATCHDOG=1"


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"WATCHDOG_USEC": "30000000"}, timedelta(seconds=30)),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, timedelta(seconds=30)),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_meant_for_us_or_it_is_none(env: dict[str, str], expected: timedelta | None) -> None:
    assert Systemd(env).watchdog == expected
