"""Slots of GPUs: those in use by runs, and those reserved for waiting runs. Pure."""

import msgspec

from aqueue.model.gpu import Gpu


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """One taken slot of a GPU.

    Attributes:
        memory: bytes the run requests.
        is_reserved: whether the run still waits for other GPUs or for a reading.
    """

    run: int
    key: str
    label: str
    memory: int | None
    started_at: float
    is_reserved: bool = False

    def is_on(self, gpu: Gpu) -> bool:
        """Return True if this is a slot of `gpu`; the label decides if only one side knows the UUID."""
        return self.key == gpu.key or (self.label == gpu.label and (gpu.is_declared or self.key == self.label))


class Reservation(msgspec.Struct, frozen=True, array_like=True):
    """A slot of a GPU that a server reserves for a waiting run."""

    priority: int
    turn: float
    run: int
    key: str
    label: str
    memory: int | None
