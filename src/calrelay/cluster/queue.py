"""The queue between workers: the only procrastinate import. It says who runs what when; that nothing runs twice is the lease's (rule 22).

A job is no more than a pipeline's name. What is due stands in the turns, so that a queue whose tables are dropped loses nothing.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

import procrastinate
import psycopg
from procrastinate import exceptions, jobs
from procrastinate.worker import Worker
from psycopg import sql
from psycopg_pool import AsyncConnectionPool

from calrelay.errors import StateError

NAME = "calrelay"
GRACE = timedelta(seconds=25)  # for passes to end after the answer in hand (rule 26)
LAST_GRACE = timedelta(seconds=28)  # until the engine cuts off what the worker has not
BEAT = timedelta(seconds=5)
# Above the grace: its heartbeat stops before the jobs have ended. Pipelines are not kept waiting by this, but by their lease.
STALLED = timedelta(seconds=40)
POLL = timedelta(seconds=1)  # beside the notifications
CONNECT = timedelta(seconds=5)
_TASK = "pass"

Work = Callable[[str], Awaitable[None]]
Chore = Callable[[], Awaitable[None]]

# They tell each job, and tracebacks of a lost database that we tell in a line.
for _name in ("procrastinate", "psycopg.pool"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


class Queue:
    """The queue, and a worker on it. An async context manager; opening raises StateError.

    Args:
        address: of the database, as libpq reads it.
        schema: the database schema of our own tables. The queue's stand beside it, in one whose name has the engine's version: after an
            upgrade old and new workers each have their own, and share the turns.
        work: does a job; what it raises is its own affair.
        chores: what is to be done by one of all workers, by cron expression.
    """

    def __init__(self, address: str, *, schema: str, work: Work, chores: Mapping[str, Chore]) -> None:
        self.schema = f"{'calrelay' if schema == 'public' else schema}_jobs_{procrastinate.__version__.replace('.', '_')}"
        settings = f"-c search_path={self.schema} -c TimeZone=UTC -c statement_timeout=30s"
        self._pool = AsyncConnectionPool(
            address,
            kwargs={"options": settings, "application_name": "calrelay queue", "connect_timeout": int(CONNECT.total_seconds())},
            min_size=1,
            max_size=3,
            timeout=CONNECT.total_seconds(),
            open=False,
            check=AsyncConnectionPool.check_connection,
        )
        self._connector = procrastinate.PsycopgConnector()
        self._app = procrastinate.App(connector=self._connector)
        self._worker: Any = None  # the engine's own, untyped
        self._is_stopping = False
        self._task = self._app.task(name=_TASK, queue=NAME)(_taking_pipeline(work))
        for number, (cron, chore) in enumerate(chores.items()):
            name = f"chore {number}"
            task = self._app.task(name=name, queue=NAME, queueing_lock=name)(_taking_timestamp(chore))
            self._app.periodic(cron=cron)(task)

    async def __aenter__(self) -> Self:
        try:
            await self._pool.open(wait=True, timeout=CONNECT.total_seconds())
            await self._app.open_async(self._pool)
            await self._make_tables()
        except psycopg.errors.InsufficientPrivilege:
            await self._pool.close()
            raise StateError(
                f"the user of the state database may not make the schema {self.schema}, in which the workers' queue stands",
                remedy="its owner types: GRANT CREATE ON DATABASE … TO …; docs/scaling.md, In a shared database",
            ) from None
        except (exceptions.ConnectorException, psycopg.Error) as error:
            await self._pool.close()
            raise _lost(error) from None
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        await self._app.close_async()
        await self._pool.close()

    async def run(self, *, concurrency: int) -> None:
        """Do jobs until `stop`; once. Raises StateError when the database is lost; then too the jobs in hand have ended."""
        if self._is_stopping:
            return
        self._worker = Worker(
            app=self._app,
            queues=[NAME],
            name=None,
            concurrency=concurrency,
            delete_jobs=jobs.DeleteJobCondition.ALWAYS,
            install_signal_handlers=False,
            fetch_job_polling_interval=POLL.total_seconds(),
            shutdown_graceful_timeout=LAST_GRACE.total_seconds(),
            update_heartbeat_interval=BEAT.total_seconds(),
            stalled_worker_timeout=STALLED.total_seconds(),
        )
        try:
            await self._worker.run()
        except exceptions.ConnectorException as error:
            raise _lost(error) from None
        finally:
            self._worker = None
        if not self._is_stopping:  # it ends in silence when its database is gone
            raise _lost(None)

    def stop(self) -> None:
        """End `run` when the jobs in hand have ended."""
        self._is_stopping = True
        if self._worker is not None:
            self._worker.stop()

    async def put(self, pipelines: Sequence[str]) -> None:
        """Put a job for each of these pipelines into the queue, where none waits yet. Raises StateError."""
        fresh = [self._task.configure(queueing_lock=name, task_kwargs={"pipeline": name}).job for name in pipelines]
        try:
            await self._app.job_manager.batch_defer_jobs_async(fresh)
        except exceptions.AlreadyEnqueued:  # one of them, and it took all others with it
            for job in fresh:
                await self._put_one(job)
        except exceptions.ConnectorException as error:
            raise _lost(error) from None

    async def count_waiting(self) -> int:
        """Count the jobs that wait. Raises StateError."""
        rows = await self._ask("SELECT count(*) AS waiting FROM procrastinate_jobs WHERE status = 'todo'")
        return int(rows[0]["waiting"])

    async def sweep(self) -> Collection[str]:
        """Drop the jobs of workers that are gone, and return their pipelines. Raises StateError.

        None is tried again: that would raise where a newer job waits already, which is the normal case. The turns know what is due.
        """
        try:
            stalled = list(await self._app.job_manager.get_stalled_jobs(seconds_since_heartbeat=STALLED.total_seconds()))
            for job in stalled:
                await self._app.job_manager.finish_job(job, status=jobs.Status.FAILED, delete_job=True)
        except exceptions.ConnectorException as error:
            raise _lost(error) from None
        # With statistics from when it was empty, fetching from a full queue is a thousand times slower.
        await self._ask("ANALYZE procrastinate_jobs", answers=False)
        return {str(job.task_kwargs["pipeline"]) for job in stalled if "pipeline" in job.task_kwargs}

    async def _put_one(self, job: jobs.Job) -> None:
        try:
            await self._app.job_manager.defer_job_async(job)
        except exceptions.AlreadyEnqueued:
            return
        except exceptions.ConnectorException as error:
            raise _lost(error) from None

    async def _ask(self, query: Any, *, answers: bool = True) -> list[dict[str, Any]]:
        try:
            if answers:
                return list(await self._connector.execute_query_all_async(query))
            await self._connector.execute_query_async(query)
        except exceptions.ConnectorException as error:
            raise _lost(error) from None
        return []

    async def _make_tables(self) -> None:
        """Make the queue's tables if they are not there; of several workers one does it."""
        async with self._pool.connection() as connection:  # and in one transaction
            await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (self.schema,))
            found = await (await connection.execute("SELECT to_regclass('procrastinate_jobs')")).fetchone()
            if found == (None,):
                await connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(self.schema)))
                await connection.execute(self._app.schema_manager.get_schema())


def _taking_pipeline(work: Work) -> Callable[..., Awaitable[None]]:
    async def run(*, pipeline: str) -> None:
        _hear_out_this_task()
        await work(pipeline)

    return run


def _taking_timestamp(chore: Chore) -> Callable[..., Awaitable[None]]:
    async def run(*, timestamp: int) -> None:  # noqa: ARG001 - the engine's signature for periodic tasks
        _hear_out_this_task()
        await chore()

    return run


def _hear_out_this_task() -> None:
    """Ask for the outcome of the task we run in, the engine's own, as the engine does not: asyncio would tell it with a traceback.

    With the database lost no job can be marked as done; that it is lost others find out as well, and the sweep drops the job.
    """
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - for the type checker: a coroutine is run by a task
    task.add_done_callback(_hear_out)


def _hear_out(task: "asyncio.Task[Any]") -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, exceptions.ConnectorException):
        task.get_loop().call_exception_handler({"message": "a job could not be marked as done", "exception": error, "task": task})


def _lost(error: Exception | None) -> StateError:
    """Return what to raise when the queue's database does not answer; its own words are not repeated."""
    said = type(error.__cause__ or error).__name__ if error else "the engine ended"
    return StateError(f"the queue in the state database cannot be used ({said})", remedy="look at the server and its log")
