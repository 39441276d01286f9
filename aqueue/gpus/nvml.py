"""The separate process that reads the machine's GPUs through NVIDIA's library; `probe` starts it.

For each line on standard input it writes one reading as a line of JSON; it ends at the end of its input. It is not
part of the server because a call into the driver can hang for as long as a GPU is broken, and because a library
that no longer matches an updated driver recovers only in a new process.
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
"""Seconds that the driver may take to start; without persistence mode it wakes every GPU first."""

GPU_SECONDS: Final = 2.0
"""Seconds that a GPU may take to answer; the others do not wait longer for it."""

_HOST_PIDS: Final = 0xEFFFFFFC
"""The inode of the initial pid namespace (include/linux/proc_ns.h); in any other, pids are not comparable."""

_NVLINK_OK: Final = 0

_PROBLEMS: Final = {
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: "there is no NVIDIA driver here (libnvidia-ml.so.1 is not found)",
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: "the NVIDIA driver is not loaded",
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: "the NVIDIA driver was updated, but the old one is still loaded;"
    " restart the machine",
    pynvml.NVML_ERROR_NO_PERMISSION: "the NVIDIA driver does not let this user read the GPUs",
    pynvml.NVML_ERROR_GPU_IS_LOST: "has fallen off the bus; restart the machine",
    pynvml.NVML_ERROR_TIMEOUT: HANGS,
    pynvml.NVML_ERROR_RESET_REQUIRED: "must be reset: `nvidia-smi --gpu-reset`",
    pynvml.NVML_ERROR_IRQ_ISSUE: "has a problem with its interrupts or its power supply",
}
_WITHOUT_DRIVER: Final = (
    _PROBLEMS[pynvml.NVML_ERROR_LIBRARY_NOT_FOUND],
    _PROBLEMS[pynvml.NVML_ERROR_DRIVER_NOT_LOADED],
)
_NOT_SUPPORTED: Final = (
    pynvml.NVML_ERROR_NOT_SUPPORTED,
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
    pynvml.NVML_ERROR_NO_PERMISSION,
)


class _Query(threading.Thread):
    """One call into the driver, in its own thread because it may never return."""

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
            # The driver may be older or newer than pynvml expects.
            self.error = f"fails: {error}"


class Machine:
    """The GPUs of this machine.

    Args:
        runs: the directory of the folder's runs, which identifies the processes of a run.
    """

    def __init__(self, runs: str) -> None:
        self._mark = os.fsencode(f"AQUEUE_RUN_DIR={runs}/")
        self._sees_processes = _sees_processes()
        self._init: _Query | None = None
        self._queries: dict[int, _Query] = {}
        # By the driver's numbers. These never change, and a GPU that fails later may not report them.
        self._buses: dict[int, str] = {}
        self._keys: dict[int, str] = {}
        self._distances: dict[str, dict[str, int]] = {}

    def read(self) -> GpuReading:
        """Read all GPUs at once."""
        began_at = time.time()
        if self._init is None or (self._init.error and not self._init.is_alive()):
            self._init = _Query(_begin)
        self._init.join(INIT_SECONDS)
        problem = HANGS if self._init.is_alive() else self._init.error
        if problem is not None:
            # A failing GPU and a failing driver share some of the messages.
            whole = problem if problem.startswith(("the ", "there ")) else f"the NVIDIA driver {problem}"
            is_without = whole in _WITHOUT_DRIVER
            return GpuReading(began_at=began_at, ended_at=time.time(), problem=whole, is_without_driver=is_without)
        count: int = self._init.answer
        if count == 0:
            none = "there is no NVIDIA GPU here"
            return GpuReading(began_at=began_at, ended_at=time.time(), problem=none, is_without_driver=True)
        began_at = time.time()
        found = self._read_each(count)
        numbers = {gpu.key: number for number, gpus in enumerate(found) for gpu in gpus if not gpu.error}
        gpus = [
            msgspec.structs.replace(gpu, index=index)
            for index, gpus in enumerate(self._in_order_of_buses(found))
            for gpu in gpus
        ]
        gpus = self._with_distances(gpus, numbers)
        return GpuReading(began_at=began_at, ended_at=time.time(), gpus=tuple(gpus))

    def _read_each(self, count: int) -> list[list[Gpu]]:
        """Return for each device, in the driver's order, the device or its instances."""
        until = time.monotonic() + GPU_SECONDS
        waited_for = []
        for number in range(count):
            if number not in self._queries or not self._queries[number].is_alive():
                self._queries[number] = _Query(partial(self._read_gpu, number))
                waited_for.append(number)
        found: list[list[Gpu]] = []
        for number in range(count):
            query = self._queries[number]
            if number in waited_for:
                # Do not wait again for a GPU that did not answer before.
                query.join(max(0.0, until - time.monotonic()))
            error = HANGS if query.is_alive() else query.error
            if error is None:
                found.append(query.answer)
            else:
                key = self._keys.get(number, f"GPU-unknown-{number}")
                found.append([Gpu(key=key, index=number, error=error)])
        return found

    def _in_order_of_buses(self, found: list[list[Gpu]]) -> list[list[Gpu]]:
        """Return the GPUs in CUDA's order; one with an unknown bus keeps its place in the driver's order."""
        known = iter(
            sorted((number for number in range(len(found)) if number in self._buses), key=self._buses.__getitem__)
        )
        return [found[next(known) if number in self._buses else number] for number in range(len(found))]

    def _read_gpu(self, number: int) -> list[Gpu]:
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
            memory = _if_supported(_memory, handle)
            processes = self._processes(handle) if self._sees_processes else None
        except pynvml.NVMLError as error:
            return msgspec.structs.replace(gpu, error=in_words(error))
        if memory is None and processes is None:
            return msgspec.structs.replace(gpu, error="does not report its memory or its processes")
        total, free = memory or (None, None)
        return msgspec.structs.replace(gpu, total=total, free=free, processes=processes)

    def _processes(self, handle: Any) -> tuple[GpuProcess, ...] | None:
        found = _if_supported(pynvml.nvmlDeviceGetComputeRunningProcesses, handle)
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
        """Return the GPUs, each with its distances to the others, which are queried only once."""
        if len(numbers) > 1 and numbers.keys() - self._distances.keys():
            query = _Query(partial(_distances, numbers))
            query.join(GPU_SECONDS)
            # Without distances, any GPUs are equally good together.
            self._distances = (None if query.is_alive() else query.answer) or {key: {} for key in numbers}
        return [msgspec.structs.replace(gpu, distances=self._distances.get(gpu.key, {})) for gpu in gpus]


def in_words(error: pynvml.NVMLError) -> str:
    """Describe an error of NVIDIA's library."""
    return _PROBLEMS.get(error.value) or f"fails: {str(error).lower()}"


def _begin() -> int:
    pynvml.nvmlInit()
    return int(pynvml.nvmlDeviceGetCount())


def _if_supported(ask: Callable[[Any], Any], handle: Any) -> Any:
    """Return the driver's answer; None if it does not support the call."""
    try:
        return ask(handle)
    except pynvml.NVMLLibraryMismatchError:
        # pynvml raises this for a function that an old driver lacks.
        return None
    except pynvml.NVMLError as error:
        if error.value in _NOT_SUPPORTED:
            return None
        raise


def _memory(handle: Any) -> tuple[int, int]:
    """Return the total bytes and the free bytes."""
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    return int(memory.total), int(memory.free)


def _instances(handle: Any) -> dict[int, Any] | None:
    """Return the handles of a partitioned device's instances, by number; None if it is not partitioned."""
    mode = _if_supported(pynvml.nvmlDeviceGetMigMode, handle)
    if mode is None or mode[0] != pynvml.NVML_DEVICE_MIG_ENABLE:
        return None
    found = {}
    for place in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
        # There may be gaps between the numbers.
        with contextlib.suppress(pynvml.NVMLError_NotFound):
            found[place] = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, place)
    return found


def _distances(numbers: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """Return the distance of each GPU to the others; 0 between instances of one device."""
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
    """Return 0 with NVLink, else NVIDIA's topology level: 10 for one bridge … 50 across processors."""
    with contextlib.suppress(pynvml.NVMLError):
        if pynvml.nvmlDeviceGetP2PStatus(one, other, pynvml.NVML_P2P_CAPS_INDEX_NVLINK) == _NVLINK_OK:
            return 0
    try:
        return int(pynvml.nvmlDeviceGetTopologyCommonAncestor(one, other))
    except pynvml.NVMLError:
        return int(pynvml.NVML_TOPOLOGY_SYSTEM)


def _sees_processes() -> bool:
    """Return True if the driver's pids are those of this process's namespace; not so in a container."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino == _HOST_PIDS  # noqa: PTH116 - a link to follow
    except OSError:
        return False


def main(runs: str, output: int) -> None:
    """Answer each line of input with a reading.

    Args:
        runs: the directory of the folder's runs.
        output: the descriptor for answers; separate, so that nothing else prints to it.
    """
    # Ctrl-C in the terminal is for the server alone.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    machine = Machine(runs)
    with os.fdopen(output, "wb") as answers:
        for _ in sys.stdin:
            answers.write(msgspec.json.encode(machine.read()) + b"\n")
            answers.flush()
    # A thread that still waits for the driver must not keep the process alive.
    os._exit(0)
