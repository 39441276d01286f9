"""A script of a user, checked by mypy and never run: an error that it ignores must be one, or mypy complains."""

from typing import assert_type

import aqueue


def main() -> None:
    with aqueue.Client.find() as queue:
        run = queue.add("true", gpus=1, params={"lr": 0.1}, after=[42])
        assert_type(queue.wait(run)[0].state, aqueue.State)
        queue.add("true", gpu=1)  # type: ignore[call-arg]  # no such keyword
        queue.start(2, idle_timeout="never", queues="gpu")
        queue.start(foo=3)  # type: ignore[call-arg]  # no such option
        print(run.nothing)  # type: ignore[attr-defined]  # no such attribute
