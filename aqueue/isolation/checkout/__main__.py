"""The start of the program; see the package."""

import os
import sys


def _main() -> int:
    # A script that Python isolates from what is installed does not find its own package. It comes last: what is
    # installed beside it must not take the place of the standard library.
    package = os.path.dirname(os.path.abspath(__file__))
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(package))))
    from aqueue.isolation.checkout.program import main

    return main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(_main())
