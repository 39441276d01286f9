import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aqueue.model.basics import check_tags, is_name, parse_tags
from aqueue.model.run import ENDED, TRANSITIONS, State
from aqueue.model.task import PARAM, Priority, Retries, Task
from aqueue.model.values import plain_text

words = st.text(st.characters(codec="utf-8"), max_size=20)
scalars = words | st.integers(-(10**17), 10**17) | st.floats(allow_nan=False, allow_infinity=False)
seconds = st.floats(min_value=0, max_value=1e6)
retries = st.builds(
    Retries,
    limit=st.integers(0, 100),
    delay=seconds,
    backoff=st.floats(min_value=1, max_value=1e3),
    max_delay=st.none() | seconds,
    exit_codes=st.lists(st.integers(0, 255), max_size=3).map(tuple),
)
tasks = st.builds(
    Task,
    name=words,
    command=words | st.lists(words, min_size=1, max_size=4).map(tuple),
    working_dir=words,
    queue=st.none() | words,
    priority=st.sampled_from(Priority),
    params=st.dictionaries(words, scalars | st.booleans() | st.none(), max_size=3),
    arguments=st.lists(words, max_size=3).map(tuple),
    env=st.dictionaries(words, words, max_size=3),
    shell=st.none() | words,
    timeout=st.none() | seconds,
    retries=retries,
    requeue=st.booleans(),
    tags=st.lists(words, max_size=3).map(tuple),
    hold=st.booleans(),
)


def test_every_state_has_its_followers() -> None:
    assert set(TRANSITIONS) == set(State)


def test_no_state_follows_itself() -> None:
    assert not [state for state, followers in TRANSITIONS.items() if state in followers]


@pytest.mark.parametrize("state", sorted(ENDED))
def test_a_run_that_is_over_can_only_be_queued_again(state: State) -> None:
    assert TRANSITIONS[state] == {State.QUEUED}


def test_only_a_queued_run_starts_and_only_one_that_ran_succeeds_or_fails() -> None:
    def before(state: State) -> set[State]:
        return {earlier for earlier, followers in TRANSITIONS.items() if state in followers}

    assert before(State.RUNNING) == {State.QUEUED}
    # Or a retry was taken back before it began.
    assert before(State.SUCCEEDED) == before(State.FAILED) == {State.RUNNING, State.QUEUED, State.HELD}
    assert before(State.ABORTED) == set(State) - ENDED


@pytest.mark.parametrize("first", sorted(State))
def test_from_every_state_there_is_a_way_to_every_other(first: State) -> None:
    reached = {first}
    while (further := reached.union(*(TRANSITIONS[state] for state in reached))) != reached:
        reached = further
    assert reached == set(State)


def test_the_states_that_are_over_are_the_three_ends() -> None:
    assert {State.SUCCEEDED, State.FAILED, State.ABORTED} == ENDED


@pytest.mark.parametrize("priority", [Priority.HIGH, Priority.LOW])
def test_a_priority_is_written_and_read_alike(priority: Priority) -> None:
    assert Priority.of(priority.word) is priority


def test_catchup_is_low_and_goes_behind_what_is_low() -> None:
    assert Priority.CATCHUP.word == "low"
    assert max(Priority) is Priority.CATCHUP


def test_high_goes_before_low() -> None:
    assert sorted([Priority.of("low"), Priority.of("high")])[0].word == "high"


@pytest.mark.parametrize("name", ["a", "train", "0.1-b_C", "...", "x" * 64])
def test_a_name_may_have_letters_digits_and_a_few_signs(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize("name", ["", ".", "..", "a b", "a/b", "a:b", "é", "٣", "a\n", "x" * 65, "~", "a,b"])
def test_other_names_are_none(name: str) -> None:
    assert not is_name(name)


@pytest.mark.parametrize(
    ("name", "fits"), [("lr", True), ("_x1", True), ("1x", False), ("a-b", False), ("é", False)]
)
def test_a_param_is_called_like_a_variable(name: str, fits: bool) -> None:
    assert bool(PARAM.fullmatch(name)) is fits


@given(retries, st.integers(1, 10**6))
def test_the_delay_stays_within_its_limit_and_never_shrinks(retries: Retries, retry: int) -> None:
    now, later = retries.seconds_before(retry), retries.seconds_before(retry + 1)
    assert 0 <= now <= later <= (366 * 86400 if retries.max_delay is None else retries.max_delay)


@pytest.mark.parametrize(("retry", "delay"), [(1, 10.0), (2, 20.0), (3, 40.0), (4, 60.0), (10**6, 60.0)])
def test_the_delay_grows_by_the_backoff(retry: int, delay: float) -> None:
    assert Retries(limit=9, delay=10.0, backoff=2.0, max_delay=60.0).seconds_before(retry) == delay


@given(tasks)
def test_a_task_comes_out_of_the_store_as_it_went_in(task: Task) -> None:
    assert msgspec.json.decode(msgspec.json.encode(task), type=Task) == task


@pytest.mark.parametrize(("written", "tags"), [("a", ("a",)), (" a , b=1 ,, a", ("a", "b=1")), ("", ())])
def test_tags_may_be_one_text(written: str, tags: tuple[str, ...]) -> None:
    assert parse_tags(written) == tags


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (True, "true"), (False, "false"), (5, "5"), (0.5, "0.5"), ("a b", "a b")]
)
def test_a_value_reads_as_it_was_written(value: str | float | None, text: str) -> None:
    assert plain_text(value) == text


@pytest.mark.parametrize("tag", ["", "=x", " =x", "a,b", "a\nb", "a\x1b[0m"])
def test_what_is_neither_a_key_nor_a_key_and_its_value_is_no_tag(tag: str) -> None:
    with pytest.raises(ValueError):
        check_tags(["good", tag])
