"""The reason why a run waits or failed as JSON."""

from typing import Any

import msgspec

from aqueue.client.why import Comparison, Explanation


def explanation_as_json(found: Explanation) -> dict[str, Any]:
    """Return the reason for the state of a run as `why --json` prints it."""
    run, attempt, diagnosis = found.run, found.attempt, found.diagnosis
    return {
        "id": run.id,
        "name": run.name,
        "state": run.state,
        "reason": run.reason,
        "attempt": None if attempt is None else attempt.number,
        "cause": diagnosis.cause,
        "verdict": diagnosis.verdict,
        "certainty": diagnosis.certainty,
        "evidence": diagnosis.evidence,
        "next_steps": diagnosis.next_steps,
        "log": None if found.log is None else str(found.log),
        "lines": found.lines,
        "compared_with": None if found.comparison is None else _comparison(found.comparison),
    }


def _comparison(comparison: Comparison) -> dict[str, Any]:
    return {
        "id": comparison.run.id,
        "name": comparison.run.name,
        "same": "group" if comparison.is_of_group else "name",
        "differences": [msgspec.structs.asdict(one) for one in comparison.differences],
        "diff_stat": comparison.code,
    }
