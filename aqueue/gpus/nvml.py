"""A process of its own that looks at the machine's GPUs through NVIDIA's library; see `gpus` for who starts it.

For each line on its standard input it writes one look as a line of JSON. A call into the driver can hang for as
long as a GPU is sick, and a library that does not fit the driver any more fits only in a new process; so the
server keeps all that at the distance of a pipe. It ends with its input.
"""

import contextlib
import os
import pwd
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import pynvml

from aqueue.model.gpu import HANGS, Gpu, GpuProcess, GpuReading

INIT_SECONDS: Final = 25.0
"""The time that the driver may take to begin; without persistence mode it wakes every GPU first."""

CARD_SECONDS: Final = 2.0
"""The time that a GPU may take to answer; the others are not kept waiting any longer."""

_HOST_PIDS: Final = 0xEFFFFFFC
"""The number of the first namespace of pids; include/linux/proc_ns.h. In any other, others cannot be seen."""

_NVLINK_OK: Final = 0

_PROBLEMS: Final = {
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: "there is no NVIDIA driver here (libnvidia-ml.so.1 is not found)",
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: "the NVIDIA driver is not loaded",
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: "the NVIDIA driver was updated, but the old one is still loaded;"
    " a restart of the machine ends that",
    pynvml.NVML_ERROR_NO_PERMISSION: "the NVIDIA driver does not let this user look at the GPUs",
    pynvml.NVML_ERROR_GPU_IS_LOST: "has fallen off the bus; a restart of the machine brings it back",
    pynvml.NVML_ERROR_TIMEOUT: HANGS,
    pynvml.NVML_ERROR_RESET_REQUIRED: "has to be reset (`nvidia-smi --gpu-reset`)",
    pynvml.NVML_ERROR_IRQ_ISSUE: "has a problem with its interrupts or its power supply",
}
_WITHOUT_DRIVER: Final = (
    _PROBLEMS[pynvml.NVML_ERROR_LIBRARY_NOT_FOUND],
    _PROBLEMS[pynvml.NVML_ERROR_DRIVER_NOT_LOADED],
)
_NOT_TOLD: Final = (
    pynvml.NVML_ERROR_NOT_SUPPORTED,
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
    pynvml.NVML_ERROR_NO_PERMISSION,
)


class _Ask(threading.Thread):
    """One question to the driver, asked in a thread of its own, since it may never be answered."""

    def __init__(self, question: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._question = question
        self.answer: Any = None
        self.error: str | None = None
        self.start()

    def run(self) -> None:
        try:
            self.answer = self._question()
        except pynvml.NVMLError as error:
            self.error = in_words(error)
        except Exception as error:
            # A driver may be older or newer than anything that pynvml knows.
            self.error = f"fails: {error}"


class Machine:
    """The GPUs of this machine.

    Args:
        runs: where the folder has its runs, by which the processes of a run are known.
    """

    def __init__(self, runs: str) -> None:
        self._mark = os.fsencode(f"AQUEUE_RUN_DIR={runs}/")
        self._sees_processes = _sees_processes()
        self._init: _Ask | None = None
        self._asked: dict[int, _Ask] = {}
        # What does not change, and a GPU that fails later may not tell any more; by the driver's numbers.
        self._buses: dict[int, str] = {}
        self._keys: dict[int, str] = {}
        self._distances: dict[str, dict[str, int]] = {}

    def look(self) -> GpuReading:
        """Look at all GPUs at once."""
        began_at = time.time()
        if self._init is None or (self._init.error and not self._init.is_alive()):
            self._init = _Ask(_begin)
        self._init.join(INIT_SECONDS)
        problem = HANGS if self._init.is_alive() else self._init.error
        if problem is not None:
            # Some of the words for a GPU that fails are also those for a driver that does.
            whole = problem if problem.startswith(("the ", "there ")) else f"the NVIDIA driver {problem}"
            is_without = whole in _WITHOUT_DRIVER
            return GpuReading(began_at=began_at, ended_at=time.time(), problem=whole, is_without_driver=is_without)
        count: int = self._init.answer
        if count == 0:
            none = "there is no NVIDIA GPU here"
            return GpuReading(began_at=began_at, ended_at=time.time(), problem=none, is_without_driver=True)
        began_at = time.time()
        found = self._look_at_each(count)
        numbers = {gpu.key: number for number, gpus in enumerate(found) for gpu in gpus if not gpu.error}
        gpus = [
            msgspec.structs.replace(gpu, index=index)
            for index, gpus in enumerate(self._in_order_of_buses(found))
            for gpu in gpus
        ]
        gpus = self._with_distances(gpus, numbers)
        return GpuReading(began_at=began_at, ended_at=time.time(), gpus=tuple(gpus))

    def _look_at_each(self, count: int) -> list[list[Gpu]]:
        """Yield for each GPU, in the driver's order, the GPU or the instances that it is."""
        until = time.monotonic() + CARD_SECONDS
        waited_for = []
        for number in range(count):
            if number not in self._asked or not self._asked[number].is_alive():
                self._asked[number] = _Ask(partial(self._look_at, number))
                waited_for.append(number)
        found: list[list[Gpu]] = []
        for number in range(count):
            asked = self._asked[number]
            if number in waited_for:
                # What did not answer before is not waited for again.
                asked.join(max(0.0, until - time.monotonic()))
            error = HANGS if asked.is_alive() else asked.error
            if error is None:
                found.append(asked.answer)
            else:
                key = self._keys.get(number, f"GPU-unknown-{number}")
                found.append([Gpu(key=key, index=number, error=error)])
        return found

    def _in_order_of_buses(self, found: list[list[Gpu]]) -> list[list[Gpu]]:
        """Return the GPUs as CUDA numbers them; one that never told its bus stays where the driver has it."""
        known = iter(
            sorted((number for number in range(len(found)) if number in self._buses), key=self._buses.__getitem__)
        )
        return [found[next(known) if number in self._buses else number] for number in range(len(found))]

    def _look_at(self, number: int) -> list[Gpu]:
        handle = pynvml.nvmlDeviceGetHandleByIndex(number)
        self._buses[number] = str(pynvml.nvmlDeviceGetPciInfo(handle).busId)
        instances = _instances(handle)
        if instances is not None:
            return [self._gpu(instance, number, place) for place, instance in instances.items()]
        self._keys[number] = str(pynvml.nvmlDeviceGetUUID(handle))
        return [self._gpu(handle, number, None)]

    def _gpu(self, handle: Any, number: int, instance: int | None) -> Gpu:
        key = str(pynvml.nvmlDeviceGetUUID(handle))
        gpu = Gpu(key=key, index=number, instance=instance, name=str(pynvml.nvmlDeviceGetName(handle)))
        try:
            memory = _told(_memory, handle)
            processes = self._processes(handle) if self._sees_processes else None
        except pynvml.NVMLError as error:
            return msgspec.structs.replace(gpu, error=in_words(error))
        if memory is None and processes is None:
            return msgspec.structs.replace(gpu, error="does not tell what is on it")
        total, free = memory or (None, None)
        return msgspec.structs.replace(gpu, total=total, free=free, processes=processes)

    def _processes(self, handle: Any) -> tuple[GpuProcess, ...] | None:
        found = _told(pynvml.nvmlDeviceGetComputeRunningProcesses, handle)
        if found is None:
            return None
        return tuple(self._process(process.pid, process.usedGpuMemory) for process in found)

    def _process(self, pid: int, memory: int | None) -> GpuProcess:
        user, name, run = "", "", None
        with contextlib.suppress(OSError, KeyError):
            name = Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
            user = pwd.getpwuid(os.stat(f"/proc/{pid}").st_uid).pw_name  # noqa: PTH116 - as the line above
        with contextlib.suppress(OSError, ValueError):
            for variable in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                if variable.startswith(self._mark):
                    run = int(variable[len(self._mark) :])
        return GpuProcess(pid=pid, memory=memory, user=user, name=name, run=run)

    def _with_distances(self, gpus: list[Gpu], numbers: Mapping[str, int]) -> list[Gpu]:
        """Return the GPUs, each with its distances to the others. They never change: they are asked for once."""
        if len(numbers) > 1 and numbers.keys() - self._distances.keys():
            asking = _Ask(partial(_distances, numbers))
            asking.join(CARD_SECONDS)
            # Where they are not told, it does not matter which GPUs are taken together.
            self._distances = (None if asking.is_alive() else asking.answer) or {key: {} for key in numbers}
        return [msgspec.structs.replace(gpu, distances=self._distances.get(gpu.key, {})) for gpu in gpus]


def in_words(error: pynvml.NVMLError) -> str:
    """Return what an error of NVIDIA's library means."""
    return _PROBLEMS.get(error.value) or f"fails: {str(error).lower()}"


def _begin() -> int:
    pynvml.nvmlInit()
    return int(pynvml.nvmlDeviceGetCount())


def _told(ask: Callable[[Any], Any], handle: Any) -> Any:
    """Return what the driver says; None where it does not say such things."""
    try:
        return ask(handle)
    except pynvml.NVMLLibraryMismatchError:
        # What pynvml makes of a function that an old driver does not have.
        return None
    except pynvml.NVMLError as error:
        if error.value in _NOT_TOLD:
            return None
        raise


def _memory(handle: Any) -> tuple[int, int]:
    """Bytes in all, and free."""
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    return int(memory.total), int(memory.free)


def _instances(handle: Any) -> dict[int, Any] | None:
    """Return the handles of a partitioned GPU's instances by their numbers; None if it is not partitioned."""
    mode = _told(pynvml.nvmlDeviceGetMigMode, handle)
    if mode is None or mode[0] != pynvml.NVML_DEVICE_MIG_ENABLE:
        return None
    found = {}
    for place in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
        # The places need not be taken without gaps.
        with contextlib.suppress(pynvml.NVMLError_NotFound):
            found[place] = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, place)
    return found


def _distances(numbers: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """Return how far each of the GPUs is from the others; instances of one GPU are as near as can be."""
    handles = {key: pynvml.nvmlDeviceGetHandleByIndex(number) for key, number in numbers.items()}
    return {
        key: {
            other: 0 if numbers[other] == number else _distance(handles[key], handles[other])
            for other in numbers
            if other != key
        }
        for key, number in numbers.items()
    }


def _distance(one: Any, other: Any) -> int:
    """0 with NVLink, else NVIDIA's level of the common ancestor: 10 for a bridge, 50 for another processor."""
    with contextlib.suppress(pynvml.NVMLError):
        if pynvml.nvmlDeviceGetP2PStatus(one, other, pynvml.NVML_P2P_CAPS_INDEX_NVLINK) == _NVLINK_OK:
            return 0
    try:
        return int(pynvml.nvmlDeviceGetTopologyCommonAncestor(one, other))
    except pynvml.NVMLError:
        return int(pynvml.NVML_TOPOLOGY_SYSTEM)


def _sees_processes() -> bool:
    """Return True if the driver tells the pids that this process sees; in a container it does not."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino == _HOST_PIDS  # noqa: PTH116 - a link to follow
    except OSError:
        return False


def main(runs: str, output: int) -> None:
    """Answer each line of input with a look.

    Args:
        runs: where the folder has its runs.
        output: the descriptor to write answers to; what else prints something does not know of it.
    """
    # A Ctrl-C in the server's terminal is the server's business.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    machine = Machine(runs)
    with os.fdopen(output, "wb") as answers:
        for _ in sys.stdin:
            answers.write(msgspec.json.encode(machine.look()) + b"\n")
            answers.flush()
    # A thread that still waits for the driver must not keep the process.
    os._exit(0)
