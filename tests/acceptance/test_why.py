"""`aqueue why`: the reason of a run that a real server ran, as text and as JSON."""

import json

from tests.acceptance.driving import Place


def test_a_failed_run_is_explained_from_its_output_and_the_most_similar_success(place: Place) -> None:
    place.drop(
        "fit.yaml",
        "command: \"echo epoch 1; [ $lr != 3 ] || { echo 'error: it diverges' >&2; exit 4; }\"\n"
        "matrix: {lr: [0.1, 3]}\n",
    )
    place.drain()
    failed = place.rows()["fit-2"]
    assert failed["reason"] == "exit code 4: error: it diverges"
    text = place.run("why", str(failed["id"]))
    for expected in (
        *("verdict", "exit code 4, and its output says: error: it diverges", "  | epoch 1\n", "same group"),
        *("param lr: 0.1 → 3", f"`aqueue retry {failed['id']}` queues it again"),
    ):
        assert expected in text
    found = json.loads(place.run("why", "fit-2", "--json"))
    assert list(found) == [
        *("id", "name", "state", "reason", "attempt", "cause", "verdict", "certainty", "evidence", "next_steps"),
        *("log", "lines", "compared_with"),
    ]
    assert (found["cause"], found["certainty"]) == ("exit code", "certain")
    assert found["lines"] == ["epoch 1", "error: it diverges"]
    assert found["compared_with"]["differences"][0] == {"what": "param lr", "before": "0.1", "after": "3"}
    assert "there is no run 99" in place.refuse("why", "99", code=1)
