"""The queue on a real PostgreSQL: what waits there once, what a dead worker leaves behind, and whose tables they are."""

import asyncio
import gc
from collections.abc import AsyncIterator
from datetime import timedelta

import psycopg
import pytest

from calrelay.cluster.queue import Queue
from calrelay.errors import StateError
from tests.postgres.databases import Databases


@pytest.fixture
def address(postgres: Databases) -> str:
    return postgres.make()


@pytest.fixture
def done() -> list[str]:
    return []


@pytest.fixture
async def queue(address: str, done: list[str]) -> AsyncIterator[Queue]:
    async def work(pipeline: str) -> None:
        done.append(pipeline)

    async with Queue(address, schema="public", work=work, chores={}) as queue:
        yield queue


async def run_for_a_moment(queue: Queue) -> None:
    running = asyncio.create_task(queue.run(concurrency=2))
    while await queue.count_waiting():  # noqa: ASYNC110 - it is the database that knows
        await asyncio.sleep(0.02)
    queue.stop()
    await running


async def test_a_user_that_may_not_make_the_queues_schema_is_told_what_to_grant(address: str) -> None:
    async def work(_: str) -> None: ...

    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS guest")
        connection.execute("CREATE ROLE guest LOGIN")
    with pytest.raises(StateError, match="may not make the schema calrelay_jobs_") as caught:
        async with Queue(address.replace("calrelay@", "guest@"), schema="public", work=work, chores={}):
            pass
    assert "GRANT CREATE ON DATABASE" in caught.value.remedy


async def test_a_pipeline_waits_once_however_often_it_is_put(queue: Queue, done: list[str]) -> None:
    await queue.put(["venue", "studio"])
    await queue.put(["attic", "venue"])
    assert await queue.count_waiting() == 3
    await run_for_a_moment(queue)
    assert sorted(done) == ["attic", "studio", "venue"]


async def test_a_queue_that_was_stopped_before_it_ran_does_not_run(queue: Queue, done: list[str]) -> None:
    await queue.put(["venue"])
    queue.stop()
    await queue.run(concurrency=1)
    assert done == []


async def test_what_a_dead_worker_leaves_is_swept_even_where_a_newer_job_waits(queue: Queue, address: str, done: list[str]) -> None:
    await queue.put(["venue"])
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f"SET search_path = {queue.schema}".encode())
        connection.execute("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '1 hour')")
        connection.execute("SELECT procrastinate_fetch_job_v2(NULL, (SELECT id FROM procrastinate_workers))")
    await queue.put(["venue"])
    assert await queue.sweep() == {"venue"}
    assert await queue.sweep() == set()
    await run_for_a_moment(queue)
    assert done == ["venue"]


async def test_a_job_that_cannot_be_marked_as_done_is_a_lost_database_and_no_traceback(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(_: str) -> None:
        async with await psycopg.AsyncConnection.connect(address, autocommit=True) as connection:
            await connection.execute(f"DROP SCHEMA {fragile.schema} CASCADE".encode())

    async with Queue(address, schema="public", work=work, chores={}) as fragile:
        await fragile.put(["venue"])
        with pytest.raises(StateError, match="queue in the state database"):
            await fragile.run(concurrency=1)
    gc.collect()  # asyncio tells of an error that nobody asked for when its task is forgotten
    assert caplog.messages == []


async def test_its_tables_stand_in_a_schema_of_their_own(queue: Queue, address: str) -> None:
    assert queue.schema.startswith("calrelay_jobs_")
    with psycopg.connect(address) as connection:
        found = connection.execute("SELECT DISTINCT schemaname FROM pg_tables WHERE tablename LIKE 'procrastinate%'").fetchall()
    assert found == [(queue.schema,)]


async def test_a_server_that_is_not_there_is_a_state_error_without_its_words(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calrelay.cluster.queue.CONNECT", timedelta(seconds=0.2))

    async def work(pipeline: str) -> None:
        raise AssertionError(pipeline)

    with pytest.raises(StateError, match="queue in the state database") as caught:
        async with Queue(f"postgresql://nobody:secret@/none?host={tmp_path}", schema="public", work=work, chores={}):
            pass
    assert "secret" not in caught.value.message
