"""`aqueue`, and `python -m aqueue`: the command line, silent also if Ctrl-C comes while that is being loaded."""

import sys

from aqueue.search_path import without_current_directory


def main() -> None:
    """Run the command line."""
    sys.path[:] = without_current_directory()
    try:
        from aqueue.cli import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()
