"""Tables on a terminal, as wide as it is. Imported by `output` when there is one: it loads rich."""

from typing import TextIO

from rich.console import Console
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from calrelay.cli.output import Table


def print_table(table: Table, stream: TextIO) -> None:
    """Print a table; its last column is wrapped under itself, and nothing in it is read as markup."""
    width = max((len(row) for row in (table.columns, *table.rows)), default=0)
    grid = Grid(box=None, show_header=bool(table.columns), pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for at in range(width):
        is_last = at == width - 1
        grid.add_column(table.columns[at] if at < len(table.columns) else "", no_wrap=not is_last, overflow="fold")
    for row in table.rows:
        grid.add_row(*(Text(cell) for cell in row))
    Console(file=stream, highlight=False, soft_wrap=False).print(Padding(grid, (0, 0, 0, table.indent)))
