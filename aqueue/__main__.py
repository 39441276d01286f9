"""`aqueue`, and `python -m aqueue`: the command line, silent also if Ctrl-C comes while that is being loaded."""

import sys

from aqueue.search_path import without_current_directory


def main() -> None:
    """Run the command line."""
    sys.path[:] = without_current_directory()
    try:
        code = _run(sys.argv[1:])
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    # Imported here and below: it must not find modules in the current directory.
    from aqueue.loading import without_collection

    # Before it, there may be the option that names the folder.
    if "add" in arguments[:3]:
        with without_collection():
            from aqueue.cli import quick_add

        if (code := quick_add.run(arguments)) is not None:
            return code
    with without_collection():
        from aqueue.cli.command_line import run

    return run(arguments)


if __name__ == "__main__":
    main()
