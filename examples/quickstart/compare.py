"""Print a table of the trainings that this folder has seen, the best first.

The run directories of a folder lie side by side, so the metrics of the others are next to our own directory.
"""

import argparse
import json
import os
import sys
from pathlib import Path

NOT_YET = 75
"""The exit code that tells the queue to try once more."""


def main() -> int:
    """Print the table, or say that it is too early."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--expect", type=int, default=1, help="how many trainings there must be")
    expected = parser.parse_args().expect
    runs = Path(os.environ["AQUEUE_RUN_DIR"]).parent
    trainings = [json.loads(file.read_text()) for file in runs.glob("*/metrics.json")]
    if len(trainings) < expected:
        print(f"{len(trainings)} of {expected} trainings are done: too early", file=sys.stderr)
        return NOT_YET
    print(f"{'training':<10} {'hidden':>6} {'lr':>6} {'epochs':>6} {'loss':>6} {'accuracy':>9} {'seconds':>8}")
    for found in sorted(trainings, key=lambda found: found["accuracy"], reverse=True):
        print(
            f"{found['name']:<10} {found['hidden']:>6} {found['lr']:>6g} {found['epochs']:>6}"
            f" {found['loss']:>6.3f} {found['accuracy']:>9.1%} {found['seconds']:>8.1f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
