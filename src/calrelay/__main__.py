"""The `calrelay` command."""

import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    from calrelay.cli.app import main as run  # noqa: PLC0415 - importing this module, as multiprocessing does, must not load the commands

    sys.exit(run())


if __name__ == "__main__":
    main()
