"""A short soak of three workers, `make soak-cluster` runs longer ones; and that its judge would see what it looks for."""

import asyncio
from pathlib import Path

import pytest

from tests.soak_cluster import DISTURBANCES, soak
from tests.soaking.audit import Line, Write, ledger_crimes, overlaps
from tests.soaking.crew import Member


@pytest.mark.parametrize("seed", [8, 34])
async def test_killed_suspended_ended_and_the_server_restarted_no_two_passes_of_a_pipeline_overlap(tmp_path: Path, seed: int) -> None:
    """Three processes on a real PostgreSQL: some ten seconds of trouble with what has begun by then, twenty with start and end."""
    outcome = await soak(5, seed, tmp_path)
    assert outcome.wrong == []
    assert outcome.settled_in is not None
    assert outcome.disturbed.keys() == DISTURBANCES.keys()
    assert outcome.leases > 4
    assert outcome.recorded > 20
    assert outcome.writes > 5
    assert len(outcome.by_worker) > 1, "one worker did everything"


def a_line(what: str, epoch: int, owner: int, writer: str = "worker-1", at: float = 0.0) -> Line:
    return Line(at=at, what=what, pipeline="venue", epoch=epoch, owner=owner, writer=writer)


def a_crew(tmp_path: Path) -> dict[str, Member]:
    return {name: Member(name=name, config=tmp_path, url="", pids={pid}) for name, pid in (("worker-1", 1), ("worker-2", 2))}


def test_the_judge_sees_a_write_by_one_whose_lease_another_holds(tmp_path: Path) -> None:
    lines = [a_line("taken", 1, 1), a_line("link", 1, 1), a_line("taken", 2, 2, "worker-2"), a_line("link", 2, 2, "worker-1")]
    assert len(list(ledger_crimes(lines, a_crew(tmp_path)))) == 1
    assert list(ledger_crimes(lines[:3], a_crew(tmp_path))) == []


def test_the_judge_sees_an_epoch_that_went_back_and_one_that_two_have_held(tmp_path: Path) -> None:
    lines = [a_line("taken", 1, 1), a_line("taken", 2, 2, "worker-2"), a_line("taken", 1, 2, "worker-2")]
    assert len(list(ledger_crimes(lines, a_crew(tmp_path)))) == 2


def test_the_judge_lets_one_request_in_hand_come_late_and_no_second_one() -> None:
    lines = [a_line("taken", 1, 1, at=10), a_line("taken", 2, 2, at=20), a_line("taken", 3, 1, at=30)]
    writes = [Write(at=at, pipeline="venue", writer="worker-1", pid=1) for at in (11, 21, 31)]
    assert overlaps(lines, writes) == ([], 1)
    crimes, late = overlaps(lines, [*writes, Write(at=22, pipeline="venue", writer="worker-1", pid=1)])
    assert (len(crimes), late) == (1, 2)


@pytest.mark.parametrize(
    ("code", "said", "away_at", "is_odd"),
    [
        (5, "", 100.0, False),
        (5, "", 1.0, True),
        (5, '{"event": "ready"}', 100.0, True),
        (1, "", 100.0, True),
    ],
)
async def test_the_judge_excuses_a_worker_that_began_while_the_server_was_away_and_no_other(
    tmp_path: Path, code: int, said: str, away_at: float, is_odd: bool
) -> None:
    process = await asyncio.create_subprocess_exec("sh", "-c", f"exit {code}")
    await process.wait()
    member = Member(name="worker-1", config=tmp_path / "config.toml", url="", process=process, away_at=lambda: away_at, began=50.0)
    member.log.write_text(said)
    member.look_after()
    assert bool(member.odd_ends) is is_odd
