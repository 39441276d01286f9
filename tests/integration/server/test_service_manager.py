"""A server's messages to a service manager, received by a real socket in its place."""

import math
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from aqueue.server.service_manager import ServiceManager


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """The address of a manager, and its socket."""
    address = str(tmp_path / "notify") if request.param == "path" else f"@aqueue-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(address.replace("@", "\0") if request.param == "abstract" else address)
        receiver.settimeout(5.0)
        yield address, receiver


async def test_a_manager_hears_of_each_state(manager: tuple[str, socket.socket]) -> None:
    address, receiver = manager
    told = ServiceManager(address)
    told.is_ready()
    await told.show_life()
    told.is_stopping()
    assert [receiver.recv(100) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"STOPPING=1"]


@pytest.mark.parametrize("address", ["", "/nowhere/notify", "@aqueue-test-nobody"])
def test_where_nobody_listens_nothing_happens(address: str) -> None:
    ServiceManager(address).is_ready()


def test_the_variables_of_a_manager_are_for_its_own_process() -> None:
    environment = {
        "NOTIFY_SOCKET": "/x",
        "WATCHDOG_USEC": "3000000",
        "WATCHDOG_PID": str(os.getpid()),
        "HOME": "/me",
    }
    assert ServiceManager.take_from(environment).interval == 1.5
    assert environment == {"HOME": "/me"}


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"WATCHDOG_USEC": "3000000"},
        {"NOTIFY_SOCKET": "/x"},
        {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "0"},
        {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "soon"},
        {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"},
    ],
)
def test_without_a_watchdog_there_are_no_signs_of_life(environment: dict[str, str]) -> None:
    assert ServiceManager.take_from(environment).interval == math.inf
