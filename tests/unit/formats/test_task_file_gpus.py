"""Task files with keys about GPUs."""

import pytest

from aqueue.errors import FileError
from aqueue.formats.task_file import parse
from aqueue.model.config import Defaults
from aqueue.model.gpu import GpuRequest
from aqueue.model.task import Task

DEFAULTS = Defaults(name="train", working_dir="/home/me", base="/srv/base")
GPUS = "expected a number of GPUs, or a list of indices or UUIDs, such as [0, 2] or [GPU-5d0c2a41], got"
SIZE = "expected a size such as 20GiB or 500MiB, got"
LEAVE_IT_OUT = "leave it out: aqueue sets it to the GPUs that the run is given"


def one(lines: str, defaults: Defaults = DEFAULTS) -> Task:
    (task,) = parse(f"command: x\n{lines}\n", "train.yaml", defaults).tasks
    return task


def error_in(lines: str) -> tuple[str, str]:
    with pytest.raises(FileError) as caught:
        parse(f"command: x\n{lines}\n", "train.yaml", DEFAULTS)
    return caught.value.message, caught.value.hint


@pytest.mark.parametrize(
    ("lines", "gpu_request"),
    [
        ("", None),
        ("gpus: 0", None),
        ("gpu_memory: 0", None),
        ("gpus: 0\ngpu_memory: 0", None),
        ("gpus: 1", GpuRequest(1)),
        ("gpus: 4", GpuRequest(4)),
        ("gpus: 1024", GpuRequest(1024)),
        ("gpus: [2]", GpuRequest(1, (2,))),
        ("gpus: [2, 0]", GpuRequest(2, (2, 0))),
        ("gpus: ['2', 0]", GpuRequest(2, (2, 0))),
        ("gpus: [0:1, 1:0]", GpuRequest(2, ("0:1", "1:0"))),
        ("gpus:\n- GPU-5d0c2a41\n- MIG-77\n- 3", GpuRequest(3, ("GPU-5d0c2a41", "MIG-77", 3))),
        ("gpu_memory: 20GiB", GpuRequest(1, memory=20 << 30)),
        ("gpu_memory: 1.5G", GpuRequest(1, memory=3 << 29)),
        ("gpu_memory: 500 MiB", GpuRequest(1, memory=500 << 20)),
        ("gpu_memory: '1048576'", GpuRequest(1, memory=1 << 20)),
        ("gpu_memory: 1048576", GpuRequest(1, memory=1 << 20)),
        ("gpus: 2\ngpu_memory: 20GiB", GpuRequest(2, memory=20 << 30)),
        ("gpus: [1]\ngpu_memory: 20GiB", GpuRequest(1, (1,), 20 << 30)),
        ("gpus: 2\ngpu_memory: 0", GpuRequest(2)),
    ],
)
def test_a_task_asks_for_so_many_cards_or_for_these_and_for_so_much_memory_on_each(
    lines: str, gpu_request: GpuRequest | None
) -> None:
    assert one(lines).gpu_request == gpu_request


def test_a_task_that_wants_no_gpu_is_another_than_one_that_says_nothing_of_gpus() -> None:
    assert one("gpus: 0").gpus == 0
    assert one("").gpus is None


# Each is the second line of a task whose first is its command.
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("gpus: -1", f"7: gpus: {GPUS} -1"),
        ("gpus: 1025", f"7: gpus: {GPUS} 1025"),
        ("gpus: true", f"7: gpus: {GPUS} true"),
        ("gpus: 2.0", f"7: gpus: {GPUS} 2.0"),
        ("gpus: 1.5", f"7: gpus: {GPUS} 1.5"),
        ("gpus: all", f"7: gpus: {GPUS} 'all'"),
        ("gpus: '2'", f"7: gpus: {GPUS} '2'"),
        ("gpus: 0,1", f"7: gpus: {GPUS} '0,1'"),
        ("gpus: {count: 2}", f"7: gpus: {GPUS} keys and values"),
        ("gpus: []", f"7: gpus: {GPUS} []"),
        ("gpus: [0, 0]", f"7: gpus: {GPUS} [0, 0]"),
        ("gpus: [0, '0']", f"7: gpus: {GPUS} [0, '0']"),
        ("gpus: [-1]", f"7: gpus: {GPUS} [-1]"),
        ("gpus: [all]", f"7: gpus: {GPUS} ['all']"),
        ("gpus: [GPU-]", f"7: gpus: {GPUS} ['GPU-']"),
        ("gpu_memory: -1", f"13: gpu_memory: {SIZE} -1"),
        ("gpu_memory: -1GiB", f"13: gpu_memory: {SIZE} '-1GiB'"),
        ("gpu_memory: lots", f"13: gpu_memory: {SIZE} 'lots'"),
        ("gpu_memory: 20 apples", f"13: gpu_memory: {SIZE} '20 apples'"),
        ("gpu_memory: ''", f"13: gpu_memory: {SIZE} ''"),
        ("gpu_memory: 1.5", f"13: gpu_memory: {SIZE} 1.5"),
        ("gpu_memory: true", f"13: gpu_memory: {SIZE} true"),
        ("gpu_memory: [20GiB]", f"13: gpu_memory: {SIZE} a list"),
        ("gpu_memory: {min: 1}", f"13: gpu_memory: {SIZE} keys and values"),
    ],
)
def test_a_wrong_line_is_refused(line: str, message: str) -> None:
    assert error_in(line) == (f"train.yaml:2:{message}", "")


@pytest.mark.parametrize(
    ("line", "column", "got"),
    [("gpus: [true]", 8, "true"), ("gpus: [0, 1.5]", 11, "1.5"), ("gpus: [0, 1, [2]]", 14, "a list")],
)
def test_in_a_list_of_cards_the_place_is_that_of_the_very_one(line: str, column: int, got: str) -> None:
    message, _ = error_in(line)
    assert message.startswith(f"train.yaml:2:{column}: gpus")
    assert message.endswith(f"{GPUS} {got}")


@pytest.mark.parametrize("value", ["9" * 400, "9" * 400 + "G", "'" + "9" * 400 + "'"])
def test_a_size_beyond_all_numbers_is_refused(value: str) -> None:
    message, _ = error_in(f"gpu_memory: {value}")
    assert message.startswith(f"train.yaml:2:13: gpu_memory: {SIZE}")


@pytest.mark.parametrize("value", ["[01, 1]", "['01', 1]"])
def test_a_card_is_not_listed_twice_by_writing_its_index_in_two_ways(value: str) -> None:
    assert error_in(f"gpus: {value}")[0].startswith(f"train.yaml:2:7: gpus: {GPUS}")


def test_memory_without_a_gpu_is_refused_where_it_is_written() -> None:
    error = ("train.yaml:3:1: gpu_memory: gpus is 0", "leave one of them out")
    assert error_in("gpus: 0\ngpu_memory: 20GiB") == error
    assert error_in("gpu_memory: 20GiB\ngpus: 0")[0] == "train.yaml:2:1: gpu_memory: gpus is 0"


@pytest.mark.parametrize("variable", ["CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"])
@pytest.mark.parametrize("line", ["gpus: 2", "gpus: 0", "gpus: [1]", "gpu_memory: 20GiB"])
def test_a_task_that_asks_for_gpus_cannot_say_itself_which_it_sees(line: str, variable: str) -> None:
    message = f"env.{variable} and gpus exclude each other"
    assert error_in(f"{line}\nenv: {{A: 1, {variable}: 3}}") == (f"train.yaml:3:13: {message}", LEAVE_IT_OUT)
    assert error_in(f"env:\n  {variable}: 3\n{line}") == (f"train.yaml:3:3: {message}", LEAVE_IT_OUT)


@pytest.mark.parametrize("lines", ["", "gpu_memory: 0\n"])
def test_a_task_that_says_nothing_of_gpus_may_say_which_it_sees(lines: str) -> None:
    assert one(lines + "env: {CUDA_VISIBLE_DEVICES: 3}").env == {"CUDA_VISIBLE_DEVICES": "3"}


def test_what_all_tasks_see_gives_way_to_what_one_asks_for() -> None:
    defaults = Defaults(name="train", working_dir="/", base="/", env={"CUDA_VISIBLE_DEVICES": "3"})
    assert one("gpus: 1", defaults).gpu_request == GpuRequest(1)


def test_the_error_is_that_of_the_document_in_which_it_is() -> None:
    assert error_in("gpus: 2\n---\ncommand: y\nname: b\ngpus: -2")[0].startswith("train.yaml:6:7: gpus: ")


def test_a_likely_slip_of_the_pen_is_understood() -> None:
    assert error_in("gpu: 1") == ("train.yaml:2:1: unknown key 'gpu'", "did you mean 'gpus'?")
    assert error_in("gpu-memory: 1") == ("train.yaml:2:1: unknown key 'gpu-memory'", "did you mean 'gpu_memory'?")
