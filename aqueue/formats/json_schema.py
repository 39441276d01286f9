"""JSON Schemas of task files and of `aqueue.yaml`, for editors. Pure.

They are made of the records that the reader uses, and accept all that the reader accepts, as an editor sees it: by
YAML 1.2, where `yes` is text, and where a comma ends the value `range(1` in `{seed: range(1, 5)}`.
"""

from collections.abc import Collection, Container, Iterable
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import msgspec

from aqueue.formats import config_keys, task_keys
from aqueue.formats.yaml_document import SHARED
from aqueue.formats.yaml_records import texts_of
from aqueue.formats.yaml_values import LITERALS
from aqueue.model.values import Spelled

Schema = dict[str, Any]

DRAFT: Final = "http://json-schema.org/draft-07/schema#"
"""The version of JSON Schema that all editors understand."""

_NAMES: Final = {str: "string", int: "integer", float: "number", type(None): "null"}
_TRUTHS = "|".join(
    word for word, value in LITERALS.items() if isinstance(value, bool) and word.lower() != str(value).lower()
)
_TRUTH: Final = ({"type": "boolean"}, {"type": "string", "pattern": f"^(?:{_TRUTHS})$"})
_SHARED: Final[Schema] = {f"^{SHARED}": {"description": "Ignored: a place for blocks with an anchor."}}


def task() -> Schema:
    """Return the schema of one document of a task file."""
    keys = _record(task_keys.Keys, task_keys.HOME)
    required = keys.pop("required")
    return {
        "$schema": DRAFT,
        "title": "A task of aqueue",
        **keys,
        "patternProperties": _SHARED,
        # A document of nothing but shared blocks is no task.
        "if": {"minProperties": 1, "propertyNames": {"pattern": f"^{SHARED}"}},
        "else": {"required": required},
        "not": {"required": ["at", "schedule"]},
        "dependencies": {key: _any_of(others) for key, others in task_keys.GOES_WITH.items()},
    }


def config() -> Schema:
    """Return the schema of `aqueue.yaml`."""
    return {
        "$schema": DRAFT,
        "title": "The configuration of an aqueue folder",
        **_record(config_keys.Keys),
        "patternProperties": _SHARED,
    }


def _any_of(keys: Iterable[str]) -> Schema:
    return {"anyOf": [{"required": [key]} for key in keys]}


def _record(kind: type[msgspec.Struct], home: Container[str] = ()) -> Schema:
    """Return the schema of a record.

    Args:
        home: the keys for which `~`, YAML's null, is a value.
    """
    fields = msgspec.structs.fields(kind)
    schema: Schema = {
        "type": "object",
        "properties": {field.name: _field(field, may_be_null=field.name in home) for field in fields},
        "additionalProperties": False,
    }
    if required := [field.name for field in fields if field.required]:
        schema["required"] = required
    return schema


def _field(field: msgspec.structs.FieldInfo, *, may_be_null: bool) -> Schema:
    expected, *purpose = texts_of(field.type)
    schema = _schema(field.type, may_be_null=may_be_null)
    _explain_patterns(schema, f"Expected {expected}.")
    schema["description"] = "\n\n".join([*purpose, f"Expected: {expected}"])
    if isinstance(field.default, bool | int | float | str) and field.default != "":
        schema["default"] = field.default
    return schema


def _explain_patterns(schema: Schema, message: str) -> None:
    """Give the message to each pattern of a field; editors would show the pattern itself."""
    if "pattern" in schema:
        schema["patternErrorMessage"] = message
    for inner in (*schema.get("anyOf", ()), *filter(None, [schema.get("items")])):
        if "properties" not in inner:
            _explain_patterns(inner, message)


def _schema(kind: Any, *, may_be_null: bool = True) -> Schema:
    """Return the schema of a type.

    Args:
        may_be_null: whether YAML's null, which is also what `~` and `null` are in lists and mappings, is a value.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        schema = _schema(arguments[0], may_be_null=may_be_null)
        for constraint in arguments[1:]:
            schema |= _keywords(constraint)
        return schema
    if origin in (Union, UnionType):
        return _union(
            [each for each in arguments if may_be_null or each is not type(None)], may_be_null=may_be_null
        )
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is list:
        return {"type": "array", "items": _schema(arguments[0])}
    if origin is dict:
        return {"type": "object", **_entries(*arguments)}
    if kind is bool:
        return {"anyOf": [dict(way) for way in _TRUTH]}
    return {"type": _NAMES[kind]} if kind in _NAMES else {} if kind is Any else _record(kind)


def _union(kinds: Collection[Any], *, may_be_null: bool) -> Schema:
    plain = [_NAMES[kind] for kind in kinds if kind in _NAMES and not (kind is int and float in kinds)]
    if bool in kinds and str in kinds:
        plain.append("boolean")
    schemas: list[Schema] = [{"type": plain[0] if len(plain) == 1 else plain}] if plain else []
    schemas += [
        _schema(kind, may_be_null=may_be_null)
        for kind in kinds
        if kind not in (*_NAMES, Spelled) and not (kind is bool and str in kinds)
    ]
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _entries(key: Any, value: Any) -> Schema:
    """Return the keywords for the entries of a mapping. The names that there may be are a pattern of its keys."""
    entry = _schema(value)
    pattern = _schema(key).get("pattern")
    if pattern is None:
        return {"additionalProperties": entry}
    return {"patternProperties": {pattern: entry}, "additionalProperties": False}


def _keywords(constraint: object) -> Schema:
    """Return the keywords for what is said of a type."""
    if not isinstance(constraint, msgspec.Meta):
        return {}
    bounds = {"minimum": constraint.ge, "maximum": constraint.le}
    return {key: bound for key, bound in bounds.items() if bound is not None} | (
        constraint.extra_json_schema or {}
    )
