"""Who takes part: how each is started, and what it runs on. How they are measured is in trials.py."""

import dataclasses
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

HERE = Path(__file__).parent
VENVS = HERE / ".venvs"
SCRIPTS = HERE / "contenders"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One way to carry bookings. `command` gets a folder to work in and the server's address; the folder is empty before a first run."""

    name: str
    venv: str
    packages: Sequence[str]
    command: Callable[[Path, str], list[str]]
    remark: str

    @property
    def versions(self) -> str:
        """Name the packages with their versions."""
        python = sys.executable if not self.venv else str(VENVS / self.venv / "bin" / "python")
        ask = f"from importlib.metadata import version; print(', '.join(f'{{p}} {{version(p)}}' for p in {list(self.packages)!r}))"
        return subprocess.run([python, "-c", ask], check=True, capture_output=True, text=True).stdout.strip()


def _script(venv: str, script: str) -> Callable[[Path, str], list[str]]:
    return lambda _folder, root: [str(VENVS / venv / "bin" / "python"), str(SCRIPTS / script), f"{root}/v1"]


def _singer(_folder: Path, root: str) -> list[str]:
    python = shlex.quote(str(VENVS / "singer-sdk" / "bin" / "python"))
    tap, target = (shlex.quote(str(SCRIPTS / script)) for script in ("singer_tap.py", "singer_target.py"))
    return ["bash", "-o", "pipefail", "-c", f"{python} {tap} {root}/v1 | {python} {target} {root}/v1 > singer-state.json"]


def _calrelay(folder: Path, root: str) -> list[str]:
    config = folder / "config.toml"
    config.write_text((SCRIPTS / "calrelay.toml").read_text().replace("@BASE@", f"{root}/v1").replace("@ROOT@", root))
    config.chmod(0o600)
    return [shutil.which("calrelay", path=str(Path(sys.executable).parent)) or "calrelay", "--config", str(config), "sync", "--json"]


CALRELAY = "calrelay"
HTTPX_LOOP = "httpx loop"
ASYNCIO_LOOP = "asyncio loop"
CONTENDERS = (
    Contender(
        name=CALRELAY, venv="", packages=("calrelay", "httpx", "SQLAlchemy", "pydantic"), command=_calrelay, remark="ledger, hashes, guards"
    ),
    Contender(
        name="drt", venv="drt-core", packages=("drt-core",), command=_script("drt-core", "drt_core_job.py"), remark="REST to REST, no state"
    ),
    Contender(name="dlt", venv="dlt", packages=("dlt",), command=_script("dlt", "dlt_job.py"), remark="extract, normalise, load"),
    Contender(name="singer-sdk", venv="singer-sdk", packages=("singer-sdk",), command=_singer, remark="tap and target, two processes"),
    Contender(
        name="airbyte-cdk",
        venv="airbyte-cdk",
        packages=("airbyte-cdk",),
        command=_script("airbyte-cdk", "airbyte_cdk_job.py"),
        remark="source and destination in one process",
    ),
    Contender(name=HTTPX_LOOP, venv="loops", packages=("httpx",), command=_script("loops", "httpx_loop.py"), remark="no state, no retries"),
    Contender(
        name=ASYNCIO_LOOP,
        venv="loops",
        packages=("httpx",),
        command=_script("loops", "asyncio_loop.py"),
        remark="no state, no retries, 8 in flight: the ceiling at 20 ms",
    ),
)
