"""GPUs: those that a reading of the machine shows, and those that a run requests. Pure.

A GPU is the unit that a run is given: a whole device, or one instance of a partitioned device (MIG).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

GpuId = int | str
"""The name that a person gives a GPU: its index, or the beginning of its UUID."""

_ID: Final = re.compile(r"(0|[1-9]\d{0,3})(:\d{1,3})?|(GPU|MIG)-[A-Za-z0-9/_-]+", re.ASCII)

GPU_VARIABLES: Final = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")
"""The variables that tell programs, CUDA and containers which GPUs to use."""

HANGS: Final = "does not answer"
"""The problem of a GPU, or a driver, that takes too long."""

MAX_GPUS: Final = 1024
"""The number of GPUs that a run may ask for."""

GPUS: Final = "a list of indices or UUIDs, such as [0, 2] or [GPU-5d0c2a41]"


class GpuRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """The GPUs that a run asks for.

    Attributes:
        count: how many.
        ids: these very ones; empty: any.
        memory: bytes that must be free on each; None: no matter.
    """

    count: int
    ids: tuple[GpuId, ...] = ()
    memory: int | None = None


class Allocation(msgspec.Struct, frozen=True, array_like=True):
    """A GPU that an attempt has, as the store remembers it.

    Attributes:
        key: the GPU's UUID; its label where nothing is known of it but that somebody declared it.
        label: what people call it.
        is_instance: whether it is an instance of a partitioned GPU.
    """

    key: str
    label: str
    is_instance: bool = False


class GpuProcess(msgspec.Struct, frozen=True, kw_only=True):
    """A compute process on a GPU.

    Attributes:
        memory: bytes that it has there; None if the driver does not say.
        user, name: its owner and its name; empty if they are unknown.
        run: the run of the folder that has started it; None if none has.
    """

    pid: int
    memory: int | None = None
    user: str = ""
    name: str = ""
    run: int | None = None


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """One GPU, as a reading shows it. Memory is in bytes.

    Attributes:
        key: its UUID, by which it is the same GPU after every restart.
        index: its GPU's place in the order of PCI buses, from 0.
        instance: its own number among the instances of that GPU; None for a whole GPU.
        processes: the compute processes on it; None where they cannot be seen.
        distances: how far the other GPUs are, by their keys: 0 with NVLink in between, more the longer the way.
        error: why it cannot be used now.
        is_declared: whether all that is known of it is what `aqueue.yaml` says.
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
        """Return what people call it: `0`, and `0:1` for an instance."""
        return str(self.index) if self.instance is None else f"{self.index}:{self.instance}"

    @property
    def used(self) -> int | None:
        """Return the bytes in use; None if they are unknown."""
        return None if self.total is None or self.free is None else self.total - self.free

    @property
    def allocation(self) -> Allocation:
        """Return the GPU as it is given to a run."""
        return Allocation(self.key, self.label, self.instance is not None)

    def is_meant_by(self, id_: GpuId) -> bool:
        """Return True if a person who writes `id_` means this GPU."""
        written = str(id_)
        if self.instance is None and written == str(self.index):
            return True
        return written == self.label or (len(written) > 4 and self.key.startswith(written))


class GpuReading(msgspec.Struct, frozen=True, kw_only=True):
    """One reading of the machine's GPUs.

    Attributes:
        began_at, ended_at: seconds since the epoch.
        problem: why there is nothing to see; None if there is.
        is_without_driver: whether that is because there is no driver, so that nobody else can use a GPU either.
    """

    began_at: float
    ended_at: float
    gpus: tuple[Gpu, ...] = ()
    problem: str | None = None
    is_without_driver: bool = False


def text_of(demand: GpuRequest | None) -> str:
    """Return a request as text; equal requests give equal texts, and none gives an empty one."""
    return msgspec.json.encode(demand).decode() if demand else ""


def within(gpus: Iterable[Gpu], ids: Sequence[GpuId] | None) -> list[Gpu]:
    """Return those of the GPUs that one of `ids` means; all if `ids` is None."""
    return [gpu for gpu in gpus if ids is None or any(map(gpu.is_meant_by, ids))]


def check_ids(ids: Sequence[GpuId]) -> tuple[GpuId, ...]:
    """Return the GPUs that somebody lists.

    Raises:
        ValueError: there are none, one stands there twice, or is neither an index nor a UUID.
    """
    if not ids or len({str(id_) for id_ in ids}) < len(ids):
        raise ValueError(ids)
    for id_ in ids:
        if isinstance(id_, bool) or not _ID.fullmatch(str(id_)):
            raise ValueError(id_)
    return tuple(int(id_) if str(id_).isdigit() else id_ for id_ in ids)


def resolved(gpus: Sequence[Gpu], ids: Sequence[GpuId]) -> tuple[list[Gpu], list[GpuId]]:
    """Return a GPU for each of the ids, none twice, and the ids for which there is none left."""
    found: dict[GpuId, Gpu] = {}
    # One that means several is given what the others leave.
    for id_ in sorted(ids, key=lambda id_: sum(gpu.is_meant_by(id_) for gpu in gpus)):
        for gpu in gpus:
            if gpu.is_meant_by(id_) and gpu not in found.values():
                found[id_] = gpu
                break
    return [found[id_] for id_ in ids if id_ in found], [id_ for id_ in ids if id_ not in found]


def parse_ids(written: str) -> tuple[GpuId, ...]:
    """Return the GPUs of a text such as `CUDA_VISIBLE_DEVICES`: indices or UUIDs with commas between them.

    As in CUDA, everything from the first invalid entry on is ignored.
    """
    ids: list[GpuId] = []
    for word in written.split(","):
        word = word.strip()
        if not _ID.fullmatch(word):
            break
        ids.append(int(word) if word.isdigit() else word)
    return tuple(ids)


def owned(given: tuple[GpuId, ...] | None, environment: Mapping[str, str]) -> tuple[tuple[GpuId, ...], ...]:
    """Return the lists of GPUs that a server is limited to, by an option and by its environment."""
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    inherited = None if visible is None else parse_ids(visible)
    return tuple(ids for ids in (given, inherited) if ids is not None)
