"""The input of a run outlives its server."""

import pytest

from tests.acceptance.driving import Place

pytestmark = pytest.mark.at_length


def test_a_run_is_answered_while_no_server_is_up_and_after_the_next_has_taken_over(place: Place) -> None:
    server = place.serve()
    place.task("ask", "touch begun; cat", "stdin: open")
    place.appears("begun")
    place.run("send", "1", "one")
    server.kill()
    place.run("send", "1", "two")
    place.serve()
    place.run("send", "1", "three", "--eof")
    assert place.output(place.becomes("ask", "succeeded")) == "one\ntwo\nthree\n"
