"""GPUs: those a reading of the machine shows, and those a run requests. Pure.

A GPU is the unit that a run is given: a whole device, or one instance of a partitioned device (MIG).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

GpuId = int | str
"""A GPU as users write it: its index, or the beginning of its UUID."""

GPU_ID: Final = re.compile(r"(0|[1-9]\d{0,3})(:\d{1,3})?|(GPU|MIG)-[A-Za-z0-9/_-]+", re.ASCII)
"""The valid ids."""

GPU_VARIABLES: Final = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")
"""The variables by which CUDA and containers select GPUs."""

HANGS: Final = "does not answer"
"""The error of a GPU, or a driver, that takes too long to answer."""

MAX_GPUS: Final = 1024
"""The number of GPUs a run may request."""

GPUS: Final = "a list of indices or UUIDs, such as [0, 2] or [GPU-5d0c2a41]"


class GpuRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """The GPUs that a run requests.

    Attributes:
        count: how many.
        ids: these particular GPUs; empty: any.
        memory: bytes that must be free on each; None: any amount.
    """

    count: int
    ids: tuple[GpuId, ...] = ()
    memory: int | None = None


class Allocation(msgspec.Struct, frozen=True, array_like=True):
    """A GPU allocated to an attempt, as stored.

    Attributes:
        key: the GPU's UUID; its label if the GPU is only declared in `aqueue.yaml`.
        label: its short name, such as `0` or `0:1`.
        is_instance: whether it is an instance of a partitioned GPU.
    """

    key: str
    label: str
    is_instance: bool = False


class GpuProcess(msgspec.Struct, frozen=True, kw_only=True):
    """A compute process on a GPU.

    Attributes:
        memory: bytes it uses on the GPU; None if the driver does not report them.
        user, name: its owner and its name; empty if unknown.
        run: the run of this folder that started it; None if no run did.
    """

    pid: int
    memory: int | None = None
    user: str = ""
    name: str = ""
    run: int | None = None


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """One GPU, as a reading shows it. Memory is in bytes.

    Attributes:
        key: its UUID, which survives restarts.
        index: the device's place in PCI bus order, from 0.
        instance: its number among the instances of the device; None for a whole device.
        processes: the compute processes on it; None where they cannot be seen.
        distances: distance to each other GPU, by its key: 0 over NVLink, larger over longer paths.
        error: why it cannot be used now.
        is_declared: whether it is known only from `aqueue.yaml`.
        doubts: the number of consecutive readings with memory in use that no known process accounts for.
    """

    key: str
    index: int
    instance: int | None = None
    name: str = ""
    total: int | None = None
    free: int | None = None
    processes: tuple[GpuProcess, ...] | None = None
    distances: dict[str, int] = {}
    error: str | None = None
    is_declared: bool = False
    doubts: int = 0

    @property
    def label(self) -> str:
        """Return its short name: `0`, or `0:1` for an instance."""
        return str(self.index) if self.instance is None else f"{self.index}:{self.instance}"

    @property
    def used(self) -> int | None:
        """Return the bytes in use; None if unknown."""
        return None if self.total is None or self.free is None else self.total - self.free

    @property
    def allocation(self) -> Allocation:
        """Return the allocation of this GPU to a run."""
        return Allocation(self.key, self.label, self.instance is not None)

    def is_referred_to_by(self, id_: GpuId) -> bool:
        """Return True if `id_` refers to this GPU."""
        written = str(id_)
        if self.instance is None and written == str(self.index):
            return True
        return written == self.label or (len(written) > 4 and self.key.startswith(written))


class GpuReading(msgspec.Struct, frozen=True, kw_only=True):
    """One reading of the machine's GPUs.

    Attributes:
        began_at, ended_at: seconds since the epoch.
        problem: why the GPUs could not be read; None if they were.
        is_without_driver: whether the reason is a missing driver: then no other process uses a GPU either.
    """

    began_at: float
    ended_at: float
    gpus: tuple[Gpu, ...] = ()
    problem: str | None = None
    is_without_driver: bool = False


def text_of(gpu_request: GpuRequest | None) -> str:
    """Return a request as text: equal requests give equal texts; None gives an empty text."""
    return msgspec.json.encode(gpu_request).decode() if gpu_request else ""


def within(gpus: Iterable[Gpu], ids: Sequence[GpuId] | None) -> list[Gpu]:
    """Return the GPUs that any of `ids` refers to; all if `ids` is None."""
    return [gpu for gpu in gpus if ids is None or any(map(gpu.is_referred_to_by, ids))]


def check_ids(ids: Sequence[GpuId]) -> tuple[GpuId, ...]:
    """Return a list of GPUs as written, once it is checked.

    Raises:
        ValueError: it is empty, or an entry is repeated or is neither an index nor a UUID.
    """
    if not ids or len({str(id_) for id_ in ids}) < len(ids):
        raise ValueError(ids)
    for id_ in ids:
        if isinstance(id_, bool) or not GPU_ID.fullmatch(str(id_)):
            raise ValueError(id_)
    return tuple(int(id_) if str(id_).isdigit() else id_ for id_ in ids)


def resolved(gpus: Sequence[Gpu], ids: Sequence[GpuId]) -> tuple[list[Gpu], list[GpuId]]:
    """Return a different GPU for each id, and the ids for which no GPU is left."""
    found: dict[GpuId, Gpu] = {}
    # The most specific first: an id that matches several GPUs gets one that the others leave.
    for id_ in sorted(ids, key=lambda id_: sum(gpu.is_referred_to_by(id_) for gpu in gpus)):
        for gpu in gpus:
            if gpu.is_referred_to_by(id_) and gpu not in found.values():
                found[id_] = gpu
                break
    return [found[id_] for id_ in ids if id_ in found], [id_ for id_ in ids if id_ not in found]


def parse_ids(written: str) -> tuple[GpuId, ...]:
    """Return the GPUs in a text such as `CUDA_VISIBLE_DEVICES`: indices or UUIDs separated by commas.

    As in CUDA, the first invalid entry and all after it are ignored.
    """
    ids: list[GpuId] = []
    for word in written.split(","):
        word = word.strip()
        if not GPU_ID.fullmatch(word):
            break
        ids.append(int(word) if word.isdigit() else word)
    return tuple(ids)


def owned(given: tuple[GpuId, ...] | None, environment: Mapping[str, str]) -> tuple[tuple[GpuId, ...], ...]:
    """Return the lists of GPUs that an option and the environment limit a server to."""
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    inherited = None if visible is None else parse_ids(visible)
    return tuple(ids for ids in (given, inherited) if ids is not None)
