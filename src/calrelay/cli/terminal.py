"""Tables on a terminal, as wide as it is. Imported by `output` when there is one: it loads rich."""

from collections.abc import Sequence
from typing import TextIO

from rich.console import Console
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text


def print_table(rows: Sequence[Sequence[str]], columns: Sequence[str], *, indent: int, stream: TextIO) -> None:
    """Print rows in columns, headed where the columns have names; the last one is wrapped under itself, and nothing is read as markup."""
    width = max((len(row) for row in (columns, *rows)), default=0)
    grid = Grid(box=None, show_header=bool(columns), pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for at in range(width):
        is_last = at == width - 1
        grid.add_column(columns[at] if at < len(columns) else "", no_wrap=not is_last, overflow="fold")
    for row in rows:
        grid.add_row(*(Text(cell) for cell in row))
    Console(file=stream, highlight=False, soft_wrap=False).print(Padding(grid, (0, 0, 0, indent)))
