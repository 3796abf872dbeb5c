"""What a stranger does first: a fresh clone with an empty home, `make demo`, and the wheel in an environment of its own."""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.system


def run(*command: str | Path, cwd: Path, home: Path) -> str:
    kept = {
        name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "TMPDIR") or name.startswith("PIP_") or "CERT" in name
    }
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=kept | {"HOME": str(home)}, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def test_make_demo_works_in_a_fresh_clone(tmp_path: Path, home: Path) -> None:
    clone = tmp_path / "clone"
    run("git", "clone", "--quiet", ROOT, clone, cwd=tmp_path, home=home)
    story = run("make", "demo", f"PYTHON={sys.executable}", cwd=clone, home=home)
    assert "calrelay" in story
    assert run("git", "status", "--porcelain", cwd=clone, home=home) == ""


def test_the_wheel_carries_everything_it_needs(tmp_path: Path, home: Path) -> None:
    """Migrations, zone table and templates are data files: an editable install would never miss them."""
    source = tmp_path / "source"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".venv", ".venvs", ".git", "*.db*", ".mypy_cache", ".hypothesis"))
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path, source, cwd=tmp_path, home=home)
    venv.create(tmp_path / "fresh", with_pip=True)
    python = tmp_path / "fresh" / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", ROOT / "requirements" / "runtime.txt", cwd=tmp_path, home=home)
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", next(tmp_path.glob("calrelay-*.whl")), cwd=tmp_path, home=home)
    calrelay = tmp_path / "fresh" / "bin" / "calrelay"
    run(calrelay, "init", "--simulate", "config.toml", cwd=tmp_path, home=home)
    assert "0" in run(calrelay, "status", "--json", cwd=tmp_path, home=home)
    assert "calrelay.service" in run(calrelay, "service", "install", "--dry-run", cwd=tmp_path, home=home)
