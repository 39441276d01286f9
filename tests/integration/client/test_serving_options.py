"""The options of `start` and `serving` are checked before any process is started."""

import math
from typing import Any

import pytest

from aqueue import AqueueError, Client
from aqueue.client.serving import serving_of

NONE: dict[str, Any] = {
    "jobs": None,
    "idle_timeout": None,
    "ignore_schedules": False,
    "queues": None,
    "gpus": None,
    "verbose": False,
}


@pytest.mark.parametrize(
    "wrong",
    [
        {"jobs": 0}, {"jobs": "2"}, {"jobs": True}, {"idle_timeout": "soon"}, {"idle_timeout": -1},
        {"ignore_schedules": 1}, {"queues": "a b"}, {"queues": []}, {"queues": 5}, {"queues": [1]},
        {"gpus": 1}, {"gpus": "0,1"}, {"gpus": []}, {"verbose": None},
    ],
    ids=str,
)  # fmt: skip
def test_an_option_that_is_not_valid_is_refused_by_its_name(queue: Client, wrong: dict[str, Any]) -> None:
    (key,) = wrong
    with pytest.raises(AqueueError, match=f"{key}: ") as caught:
        queue.start(**wrong)
    assert caught.value.hint
    with pytest.raises(AqueueError, match=f"{key}: "), queue.serving(**wrong):
        pass


def test_one_queue_needs_no_list_and_never_is_a_word() -> None:
    serving = serving_of(**{**NONE, "queues": "gpu", "idle_timeout": "never", "gpus": [0, "1"]})
    assert (serving.queues, serving.idle_timeout, serving.gpus) == (("gpu",), math.inf, (0, 1))
    assert serving_of(**{**NONE, "idle_timeout": "1m"}).idle_timeout == 60.0
