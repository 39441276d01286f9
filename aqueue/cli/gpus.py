"""GPUs as people and scripts are shown them, and the verb that does so."""

from collections.abc import Iterable, Sequence
from typing import Any

import click

from aqueue.cli import tables
from aqueue.cli.context import find_folder
from aqueue.cli.messages import say_warning
from aqueue.cli.options import directory_option
from aqueue.cli.output import say
from aqueue.client import views
from aqueue.client.session import config_or_default, now, reading
from aqueue.client.wait_reasons import limits_of, waits
from aqueue.model.config import Config
from aqueue.model.gpu import Gpu, GpuRequest, resolved, within
from aqueue.policy.gpu_placement import Allocator, with_doubts
from aqueue.policy.gpu_supply import lacks
from aqueue.store.store import Store
from aqueue.units import spell_size
from aqueue.visible import visible

_MAX_WAITING = 3

_Waiting = tuple[int, str, GpuRequest]


@click.command()
@directory_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def gpus(directory: str | None, as_json: bool) -> None:
    """Show the GPUs of this machine, what runs on them, and who waits for them."""
    from aqueue.gpus.probe import Gpus

    folder = find_folder(directory)
    looking = Gpus(folder)
    try:
        look = looking.look_now()
    finally:
        looking.close()
    config = config_or_default(folder, say_warning)
    with reading(folder) as store:
        board = store.gpus.allocator(look, limits_of(config), now())
        board = store.gpus.allocator(with_doubts(look, None, board), limits_of(config), now())
        waiting = store.gpus.waiting()
        first = [run for id_, _, _ in waiting[:_MAX_WAITING] if (run := store.runs.get(id_))]
        why = waits(store, folder, first, say_warning)
    cards = [card_as_json(card, board, waiting, config) for card in board.all_cards]
    if as_json:
        tables.print_json({"problem": look.problem, "gpus": cards})
        return
    if look.problem is not None:
        say(look.problem)
    for card in cards:
        _print(card)
    for run, reason in zip(first, why, strict=True):
        say(f"run {run.id} {run.name}: {reason or 'it is next'}")
    if len(waiting) > _MAX_WAITING:
        say(f"{len(waiting) - _MAX_WAITING} more runs wait for GPUs; `aqueue ls --queued` shows them")


def known_as_json(store: Store, config: Config) -> tuple[list[dict[str, Any]], float]:
    """The cards as a server saw them last, and when that was; none if none has looked."""
    look = store.gpus.reading()
    board = store.gpus.allocator(look, limits_of(config), now())
    if look is None or not board.all_cards:
        return [], 0.0
    waiting = store.gpus.waiting()
    return [card_as_json(card, board, waiting, config) for card in board.all_cards], look.began_at


def card_as_json(card: Gpu, board: Allocator, waiting: Iterable[_Waiting], config: Config) -> dict[str, Any]:
    """A card as `gpus --json` and `status --json` have it. Memory is in bytes."""
    runs = [lease.run for lease in board.leases_on(card)]
    return {
        "index": card.index,
        "instance": card.instance,
        "uuid": None if card.is_declared else card.key,
        "name": card.name or None,
        "memory_total": card.total,
        "memory_free": card.free,
        "state": _state(card, board, runs, config),
        "seen_at": views.iso(board.seen_at),
        "why": card.error or board.foreign(card),
        "slots": config.gpus.slots,
        "runs": runs,
        "processes": None
        if card.processes is None
        else [
            {
                "pid": process.pid,
                "memory": process.memory,
                "user": process.user or None,
                "name": process.name or None,
                "run": process.run,
            }
            for process in card.processes
        ],
        "waiting": [id_ for id_, queue, demand in waiting if _may_have(card, board, queue, demand, config)],
    }


def one_line(card: dict[str, Any]) -> str:
    """A card of `card_as_json` as one line."""
    memory = ""
    if card["memory_total"] is not None:
        memory = f", {spell_size(card['memory_free'])} of {spell_size(card['memory_total'])} free"
    label = card["index"] if card["instance"] is None else f"{card['index']}:{card['instance']}"
    name = "declared in aqueue.yaml" if card["uuid"] is None else card["name"] or "unknown"
    return f"GPU {label}: {name}{memory}, {_said(card)}"


def _state(card: Gpu, board: Allocator, runs: Sequence[int], config: Config) -> str:
    if card.error is not None:
        return "failed"
    if len(runs) >= config.gpus.slots:
        return "full"
    if board.foreign(card) and not config.gpus.share_with_others:
        return "foreign"
    return "shared" if runs else "free"


def _said(card: dict[str, Any]) -> str:
    runs = ", ".join(map(str, card["runs"]))
    ours = f"run{'s' if len(card['runs']) > 1 else ''} {runs}" if runs else ""
    waiting = f"{len(card['waiting'])} waiting" if card["waiting"] else ""
    return "; ".join(filter(None, (ours, card["why"], waiting))) or "free"


def _print(card: dict[str, Any]) -> None:
    colour = {"free": "green", "failed": "red", "foreign": "yellow"}.get(card["state"], "blue")
    head, colon, rest = one_line(card).partition(":") if card["instance"] is None else (one_line(card), "", "")
    say(colon + rest, head=click.style(visible(head), fg=colour))
    for process in card["processes"] or ():
        whose = f"run {process['run']}" if process["run"] is not None else process["user"] or "somebody"
        memory = "" if process["memory"] is None else f", {spell_size(process['memory'])}"
        say(f"  {process['pid']} {process['name'] or '?'} ({whose}){memory}")


def _may_have(card: Gpu, board: Allocator, queue: str, demand: GpuRequest, config: Config) -> bool:
    """Whether a run of that queue could be given this card one day."""
    confinement = limits_of(config).confinement(queue)
    allowed = board.all_cards if confinement is None else within(board.all_cards, confinement)
    if lacks(demand, allowed) is not None:
        return False
    wanted = resolved(allowed, demand.ids)[0] if demand.ids else allowed
    return card in wanted and (card.total is None or card.total >= (demand.memory or 0))
