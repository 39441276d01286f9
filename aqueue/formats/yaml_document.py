"""YAML text → plain values that remember where they were written.

Stricter than YAML asks for: no tags, no duplicate keys, and only what looks like a number, a truth value or
null to a person is one; `1:30`, `007` and `2026-11-22` are text, as written.
"""

import codecs
import difflib
import math
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final, TypeVar

import msgspec
import yaml

from aqueue.errors import FileError
from aqueue.formats import other_words, secrecy, yaml_errors
from aqueue.formats.yaml_calls import PLAIN_TAGS, Calls, is_bare
from aqueue.formats.yaml_errors import LOADER, TOO_MUCH, DocumentError, place
from aqueue.formats.yaml_merge_keys import MergeKeys
from aqueue.model.values import Scalar, Spelled, Value, all_stand_for, empty_keys, fitting, spelled, stands_for

T = TypeVar("T", bound=msgspec.Struct)
Path = tuple[str | int, ...]

MAX_BYTES: Final = 1 << 20
"""The number of bytes a file may have."""

MAX_VALUES: Final = 50_000
"""The number of values a document may have once its aliases are expanded: those of the largest sweep, and more."""

SHARED: Final = "x-"
"""The prefix of keys at the top of a document that are ignored."""

_DEEPEST = 20
_SHALLOW = 200
"""The depth to which a text may be nested without doing harm."""

_NESTING = "[{-?:"
"""The characters of which each level of nesting takes one."""

_LONGEST = 60
"""The length of a line that a hint may repeat."""

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?")
_LITERALS = {
    "true": True, "True": True, "TRUE": True, "yes": True, "Yes": True, "on": True, "On": True,
    "false": False, "False": False, "FALSE": False, "no": False, "No": False, "off": False, "Off": False,
    "null": None, "Null": None, "NULL": None, "~": None, "": None,
}  # fmt: skip


class Document:
    """One YAML document.

    Keys at its top that begin with `x-` are left out: they hold blocks for aliases and merge keys.

    Attributes:
        written: its dicts and lists of values, each of which knows how it is written.
        value: the same with what they stand for: str, int, float, bool and None.
        has_nothing: whether a value in it is missing, or is a word that stands for nothing.

    Args:
        file: what its errors call it.
        node: the root of what YAML found.
        text: in which it found that.
    """

    def __init__(self, file: str, node: yaml.Node, text: str) -> None:
        self.file = file
        self._node = node
        self._count = 0
        # Most documents have neither, and a task is to be read in no time.
        self._has_spellings = False
        self.has_nothing = False
        self._calls = Calls(text, self._unclosed)
        self._merge_keys = MergeKeys(self._error_at, self._calls.mend)
        self.written: Any = self._plain(node, 0)
        self.value: Any = all_stand_for(self.written) if self._has_spellings else self.written

    @property
    def is_only_shared(self) -> bool:
        """Return True if it has nothing but blocks for aliases and merge keys."""
        return self.value == {} and bool(self._node.value)

    def error(self, message: str, hint: str = "", *, at: Path = (), key: bool = False) -> DocumentError:
        """Return an error at the value that `at` leads to, at its key, or at what it is missing in."""
        node, is_absent = self._node_at(at, key=key)
        error = self._error_at(node, message, hint)
        error.at, error.is_absent = at, is_absent
        return error

    def is_quoted(self, at: Path) -> bool:
        """Return True for text in quotes, or in a block of its own."""
        node, _ = self._node_at(at)
        return isinstance(node, yaml.ScalarNode) and bool(node.style)

    def _node_at(self, at: Path, *, key: bool = False) -> tuple[yaml.Node, bool]:
        """Return the node that `at` leads to, as far as it does, and whether its last step is missing there."""
        node, is_absent = self._node, False
        for index, step in enumerate(at):
            for name, child, key_node in _children(node):
                if name == step:
                    node = key_node if key and index == len(at) - 1 else child
                    break
            else:
                is_absent = index == len(at) - 1
        return node, is_absent

    def convert(self, kind: type[T], expected: dict[str, str], home: Collection[str] = ()) -> T:
        """Return the value as a `kind`, a msgspec struct, in which what may be a `Value` knows how it is written.

        Args:
            kind: what to make of it; its fields are the keys there may be.
            expected: for each key, what its value should be, in words.
            home: the keys for which `~` is a directory.

        Raises:
            FileError: it is not of that kind, or a key has no value.
        """
        if not isinstance(self.value, dict):
            is_shown = not isinstance(self.value, str) or secrecy.is_command(
                self.value, self._node.start_mark.line
            )
            hint = _as_task(self.value, is_shown=is_shown) if "command" in kind.__struct_fields__ else ""
            raise self.error(f"expected keys and values, got {describe(self.value) if is_shown else 'text'}", hint)
        self.check_keys((), kind.__struct_fields__)
        for at in empty_keys(self.written, kind, home) if self.has_nothing else ():
            dotted = ".".join(step for step in at if isinstance(step, str))
            wanted = expected.get(dotted, "a value")
            raise self.error(f"{dotted}: expected {wanted}, got nothing", at=at)
        try:
            return msgspec.convert(fitting(self.written, kind) if self._has_spellings else self.value, kind)
        except msgspec.ValidationError as error:
            raise self._explain(str(error), kind, expected) from None

    def check_keys(self, at: Path, known: Sequence[str]) -> None:
        """Refuse keys of the mapping at `at` that are not known.

        Raises:
            FileError: at the first such key, with the one that was probably meant.
        """
        mapping = self._at(at)
        for key in mapping:
            if key not in known:
                near = other_words.ours(key, known) or difflib.get_close_matches(
                    secrecy.key_shown(key, known).rstrip("…"), known, 1, 0.6
                )
                hint = (
                    f"did you mean {' or '.join(map(repr, near))}?" if near else f"known keys: {', '.join(known)}"
                )
                if other_words.holds_tasks(key, known):
                    near, hint = (), "write each task as a document of its own, with --- between them"
                shown = secrecy.key_shown(key, known)
                message = f"unknown key '{shown}'" if shown else "unknown key: it is more than a word"
                error = self.error(message, hint, at=(*at, key), key=True)
                error.meant = near[0] if len(near) == 1 else ""
                raise error

    def _explain(self, message: str, kind: type[msgspec.Struct], expected: dict[str, str]) -> FileError:
        path = _path_of(message)
        if "[...]" in message:
            path = (*path, *self._first_nested(path))
        while len(path) > 1 and not self._has(path):
            path = path[:-1]
        if missing := re.search(r"missing required field `(\w+)`", message):
            return self.error(f"'{missing[1]}' is missing", f"add: {missing[1]}: …", at=(*path, missing[1]))
        if re.search(r"unknown field", message):
            return self._unknown_below(kind, path)
        dotted = secrecy.path_shown(path)
        keys = ".".join(step for step in path if isinstance(step, str)) + "."
        wanted = next((text for key, text in expected.items() if keys.startswith(key + ".")), "")
        got = _got(self._at(path), path, wanted)
        return self.error(f"{dotted}: expected {wanted or message}, got {got}", at=path)

    def _first_nested(self, path: Path) -> Path:
        """Return the key of the first value in a mapping that is not plain; msgspec does not say which it is."""
        return next(((key,) for key, value in self._at(path).items() if isinstance(value, dict | list)), ())

    def _unknown_below(self, kind: type[msgspec.Struct], path: Path) -> FileError:
        nested = kind
        for step in path:
            if isinstance(step, str):
                fields = {field.encode_name: field for field in msgspec.structs.fields(nested)}
                nested = _struct_in(fields[step].type)
        try:
            self.check_keys(path, nested.__struct_fields__)
        except FileError as error:
            return error
        return self.error("unknown key", at=path)

    def _has(self, path: Path) -> bool:
        try:
            self._at(path)
        except (KeyError, IndexError, TypeError):
            return False
        return True

    def _at(self, path: Path) -> Any:
        value = self.written
        for step in path:
            value = value[step]
        return value

    def _plain(self, node: yaml.Node, depth: int) -> Any:
        self._count += 1
        if self._count > MAX_VALUES or depth > _DEEPEST:
            raise self._error_at(node, *TOO_MUCH)
        if node.tag not in PLAIN_TAGS:
            raise self._error_at(node, "a tag (!…) is not allowed", "leave it out")
        if isinstance(node, yaml.ScalarNode):
            value = _scalar(node)
            self._has_spellings |= isinstance(value, Spelled)
            self.has_nothing |= stands_for(value) is None
            return value
        if isinstance(node, yaml.CollectionNode) and node.flow_style:
            self._calls.mend(node)
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(child, depth + 1) for child in node.value]
        if isinstance(node, yaml.MappingNode):
            self._count += self._merge_keys.resolve(node)
        mapping: dict[str, Any] = {}
        for key_node, child in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._error_at(key_node, "a key must be a word")
            if depth == 0 and key_node.value.startswith(SHARED):
                continue
            if key_node.value in mapping:
                shown = secrecy.key_shown(key_node.value)
                what = f"'{shown}'" if shown and not _is_empty(child) else "this key"
                raise self._error_at(key_node, f"{what} is given twice", "keep one of them")
            mapping[key_node.value] = self._plain(child, depth + 1)
        return mapping

    def _unclosed(self, call: yaml.ScalarNode, within: yaml.Node) -> DocumentError:
        hint = "write it as in range(1, 5), with plain values only, or put it in quotes"
        # Not what is in it: in `env`, that may be a secret.
        error = self._error_at(call, f"{call.value.partition('(')[0]}(… has no closing bracket", hint)
        # The rest of the call is in what it stands in.
        error.node = within
        return error

    def _error_at(self, node: yaml.Node, message: str, hint: str = "") -> DocumentError:
        mark = node.start_mark
        error = DocumentError(self.file, mark.line + 1, mark.column + 1, message, hint)
        error.node = None if (message, hint) == TOO_MUCH else node
        return error


def decode(content: bytes, file: str) -> str:
    """Return the text of a file.

    Raises:
        FileError: it is too large, or not UTF-8.
    """
    if len(content) > MAX_BYTES:
        raise FileError(file, 0, 0, "is larger than 1 MiB", "keep data elsewhere and name it in the command")
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise FileError(file, *place(content, error.start), "is not UTF-8", "save it as UTF-8") from None


def read(text: str, file: str) -> Iterator[Document]:
    """Yield the documents in `text` that are not empty.

    Args:
        text: of the whole file.
        file: what errors call it.

    Raises:
        FileError: it is not YAML, or not of the kind that is allowed here.
    """
    documents = (Document(file, node, text) for node in compose(text, file))
    yield from (document for document in documents if not document.is_only_shared)


def compose(text: str, file: str) -> Iterator[yaml.Node]:
    """Return the nodes of the documents in `text` that are not empty.

    Raises:
        FileError: it is not YAML.
    """
    try:
        if sum(map(text.count, _NESTING)) > _SHALLOW:
            _check_depth(text, file)
        for node in yaml.compose_all(text, LOADER):
            if node.tag != "tag:yaml.org,2002:null" or node.value:
                yield node
    except yaml.YAMLError as error:
        raise yaml_errors.located(error, text, file) from None
    except RecursionError:
        raise FileError(file, 1, 1, *TOO_MUCH) from None


def _check_depth(text: str, file: str) -> None:
    """Refuse what is nested without end; the composer, which is recursive and in C, would end the process."""
    depth = 0
    for event in yaml.parse(text, LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST:
            mark: Any = event.start_mark
            raise FileError(file, mark.line + 1, mark.column + 1, *TOO_MUCH)


def _scalar(node: yaml.ScalarNode) -> Value:
    text: str = node.value
    if node.style:
        return text
    if node.tag == "tag:yaml.org,2002:str" and not _FLOAT.fullmatch(text):
        return text
    return parse_value(text)


def quoted(text: str) -> str | None:
    """Return the text that is in quotes; None if those are not around the whole of it."""
    if len(text) < 2 or text[0] not in "'\"" or text[-1] != text[0]:
        return None
    try:
        (document,) = read(text, "")
    except (FileError, UnicodeEncodeError, ValueError):
        return None
    return document.value if isinstance(document.value, str) and document.is_quoted(()) else None


def parse_value(text: str) -> Value:
    """Return the value that plain text, without quotes, is written for."""
    return spelled(text, parse_scalar(text))


def parse_scalar(text: str) -> Scalar:
    """Return what plain text, without quotes, stands for."""
    if text in _LITERALS:
        return _LITERALS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    number = float(text) if _FLOAT.fullmatch(text) else math.inf
    return number if math.isfinite(number) else text


def _children(node: yaml.Node) -> Iterator[tuple[str | int, yaml.Node, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        for key, child in node.value:
            yield key.value, child, key
    elif isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            yield index, child, child


def _struct_in(annotation: Any) -> Any:
    """Return the struct among the alternatives of a type, or of which it is a list."""
    for option in getattr(annotation, "__args__", (annotation,)):
        if isinstance(option, type) and issubclass(option, msgspec.Struct):
            return option
    raise TypeError(annotation)


def _path_of(message: str) -> Path:
    """Return what msgspec's "… - at `$.retries.exit_codes[0]`" points to; a key of a free mapping is `[...]`."""
    _, _, path = message.rpartition("`$")
    steps = re.findall(r"\.(\w+)|\[(\d+)\]", path)
    return tuple(name or int(index) for name, index in steps)


def _is_empty(node: yaml.Node) -> bool:
    """Return True for a key's missing value, as what YAML takes for a key in `{T: a, b}` has."""
    return is_bare(node) and not node.value


def _as_task(value: Any, *, is_shown: bool) -> str:
    """Return how something that is no mapping is written as a task, or several."""
    if isinstance(value, list):
        return "write each task as a document of its own, with --- between them"
    is_line = isinstance(value, str) and is_shown and len(value) <= _LONGEST and "\n" not in value
    return f"write `command: {value}`" if is_line else "write `command: …`"


def _got(value: Any, path: Path, expected: str) -> str:
    return describe(value) if secrecy.may_be_shown(value, path, expected) else "text"


def describe(value: Any) -> str:
    """Return what somebody has written, in an error; long text is cut."""
    match value:
        case Spelled():
            return value.text
        case None:
            return "nothing"
        case dict():
            return "keys and values"
        case list():
            return "a list"
        case bool():
            return str(value).lower()
        case str():
            return repr(value if len(value) <= 40 else value[:37] + "...")
    return str(value)
