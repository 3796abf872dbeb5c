"""The man page and the completions in packaging/ are written by the program. CALRELAY_WRITE=1 writes them anew when this test is run."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from calrelay.cli.app import rows
from calrelay.cli.manual import manual

ROOT = Path(__file__).parents[2]
PACKAGING = ROOT / "packaging"


def completion(shell: str) -> str:
    env = os.environ | {"_CALRELAY_COMPLETE": f"source_{shell}"}
    program = "import sys; sys.argv = ['calrelay']; from calrelay.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
    return done.stdout.strip() + "\n"


FILES: dict[str, Callable[[], str]] = {
    "man/calrelay.1": manual,
    "completion/calrelay.bash": lambda: completion("bash"),
    "completion/calrelay.zsh": lambda: completion("zsh"),
    "completion/calrelay.fish": lambda: completion("fish"),
}


@pytest.mark.parametrize("name", FILES)
def test_the_file_is_what_the_program_says(name: str) -> None:
    path, text = PACKAGING / name, FILES[name]()
    if os.environ.get("CALRELAY_WRITE"):
        path.write_text(text, "utf-8")
    assert path.read_text("utf-8") == text, f"packaging/{name} is out of date: run this test once with CALRELAY_WRITE=1"


def test_the_manual_names_every_command() -> None:
    text = manual().replace("\\-", "-")
    assert [row.name for row in rows() if f'.SS "calrelay {row.name}"' not in text] == []


def test_the_manual_says_what_an_options_value_is() -> None:
    """Flags have none; choices are spelled out, numbers are N."""
    bare = {
        line.removeprefix(".B \\-\\-").replace("\\-", "-") for line in manual().splitlines() if re.fullmatch(r"\.B \\-\\-[\w\\-]+", line)
    }
    assert bare & {"port", "events", "seed", "messages", "log-level"} == set()
    assert "apply" in bare
    assert ".B \\-\\-messages send|auto|no\\-booking|skip" in manual().splitlines()


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff reads man pages, and is not here")
def test_groff_reads_the_manual_without_a_warning() -> None:
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-z", str(PACKAGING / "man/calrelay.1")], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""


def test_the_wheel_and_the_source_archive_carry_them() -> None:
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    assert '"packaging" = "calrelay/packaging"' in text
    assert '"packaging"' in text.partition("[tool.hatch.build.targets.sdist]")[2].partition("[tool.ruff]")[0]
