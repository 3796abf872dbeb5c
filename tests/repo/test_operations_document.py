"""The operator's pages know every exit code, every kind of error, every hold, and every warning in the log."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

from calrelay import errors
from calrelay.cli.installing import Wishes, installation
from calrelay.cli.steps import ConfigFile, File, Folder
from calrelay.domain.guard import HoldKind
from calrelay.errors import CalrelayError, ExitCode, VendorError

ROOT = Path(__file__).parents[2]
MESSAGES = (ROOT / "docs/operations/messages.md").read_text("utf-8")
UNSAID = {CalrelayError, VendorError}  # bases that are never raised themselves


def first_column(heading: str) -> list[str]:
    section = MESSAGES.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return [row.partition(" |")[0] for row in re.findall(r"^\| (.+)$", section, flags=re.MULTILINE)][1:]


def warnings() -> Iterator[tuple[str, str]]:
    """Yield file and event of each warning and error that is logged."""
    for path in sorted((ROOT / "src/calrelay").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="_log"), attr="warning" | "error"), args=[ast.Constant(value=str(event)), *_]
                ):
                    yield str(path.relative_to(ROOT)), event


def test_every_exit_code_is_explained() -> None:
    told = {int(code) for row in first_column("By exit code") for code in re.findall(r"\d+", row)}
    assert told == {*ExitCode.PRECEDENCE, 130, 143}


def test_every_kind_of_error_is_explained() -> None:
    told = {row.strip("`") for row in first_column("By kind of error")}
    raised = {name for name, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, CalrelayError) and one not in UNSAID}
    assert told == raised | {"UsageError", "Interrupted", "Bug"}


def test_every_hold_is_explained() -> None:
    assert {row.strip("`") for row in first_column("By hold")} == {kind.value for kind in HoldKind}


def test_every_warning_in_the_log_is_explained() -> None:
    told = {row.strip("`") for row in first_column("In the log")}
    logged = {event: path for path, event in warnings()}
    assert len(logged) > 15
    assert {event: path for event, path in logged.items() if event not in told} == {}, "say in docs/operations/messages.md what to do"
    assert told - logged.keys() == set()


def test_every_path_of_the_service_stands_on_the_page_about_installing() -> None:
    page = (ROOT / "docs/operations/install.md").read_text("utf-8")
    for step in installation(Wishes(program=Path("/opt/calrelay/bin/calrelay")), starts=True):
        if isinstance(step, File | Folder | ConfigFile):
            path = str(step.path)
            assert "/usr/local/share/" in path or path in page or step.path.name in page, path
