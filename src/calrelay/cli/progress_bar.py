"""The progress bar of a terminal. Imported by `output` when there is one: it loads rich."""

import contextlib
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text


class _Bar:
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def advance(self, done: int, total: int, what: str, *, by: int = 1) -> None:  # noqa: ARG002 - the bar sees it by itself
        self._progress.update(self._task, completed=done, total=total, what=what)

    def glance(self, what: str) -> None:
        self._progress.update(self._task, what=what)


@contextlib.contextmanager
def progress_bar(title: str) -> Iterator[_Bar]:
    """Show a bar with the pieces done, the time left and what the last piece brought, for as long as the block runs."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[what]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
    )
    with Progress(*columns, console=Console(stderr=True, highlight=False), transient=True, expand=True) as progress:
        yield _Bar(progress, progress.add_task(Text(title).plain, total=None, what=""))
