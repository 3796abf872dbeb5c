"""What a report says of where it was measured: the machine, and the commit. What was measured is not known here."""

import os
import platform
import subprocess
from pathlib import Path


def machine() -> str:
    """Name processors, memory, system and interpreter."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), ""
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    python, system = platform.python_version(), f"{platform.system()} {platform.release()}"
    return f"{os.cpu_count()} × {model or platform.machine()}, {memory:.0f} GB, {system}, CPython {python}"


def revision() -> str:
    """Name the commit that was measured; a tree or a machine without git tells none."""
    command = ["git", "describe", "--always", "--dirty"]
    try:
        asked = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f"Commit {asked.stdout.strip()}."
