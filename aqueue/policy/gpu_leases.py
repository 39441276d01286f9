"""Slots of GPUs: those that running runs have, and those reserved for runs that wait. Pure."""

import msgspec

from aqueue.model.gpu import Gpu


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """One slot of a GPU that is taken.

    Attributes:
        memory: bytes that the run asked for.
        set_aside: whether the run still waits, and the slot is reserved for it.
    """

    run: int
    key: str
    label: str
    memory: int | None
    started_at: float
    set_aside: bool = False

    def is_on(self, gpu: Gpu) -> bool:
        """Return True if this is a slot of that GPU, also where only one side knows its UUID."""
        return self.key == gpu.key or (self.label == gpu.label and (gpu.is_declared or self.key == self.label))


class Reservation(msgspec.Struct, frozen=True, array_like=True):
    """A slot of a GPU that a server reserves for a run that waits."""

    priority: int
    run: int
    key: str
    label: str
    memory: int | None
