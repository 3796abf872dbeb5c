"""The `calrelay` command."""

import gc
import os
import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    gc.set_threshold(1_000_000)  # what a command imports stays: to look through it for garbage is a twentieth of the time it takes to start
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # there are none of ours, and to look for some takes every start some time
    from calrelay.cli.app import main as run  # noqa: PLC0415 - importing this module, as multiprocessing does, must not load the commands

    code = run()
    gc.freeze()  # nor is it to be looked through at the end, before all of it goes
    sys.exit(code)


if __name__ == "__main__":
    main()
