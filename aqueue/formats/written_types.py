"""Types of values as they are written, with their constraints, for the reader and the JSON Schema.

msgspec checks a constraint such as `ge`. Those in `extra_json_schema` are for the schema only: the reader checks
them with errors of its own. The schema may accept more than the reader, but never less.
"""

from typing import Annotated, Any, Final

from msgspec import Meta

from aqueue import units
from aqueue.model.basics import NAME_PATTERN
from aqueue.model.gpu import GPU_ID
from aqueue.model.task import PARAM, VARIABLE
from aqueue.model.values import Value


def matching(pattern: str, **more: Any) -> Meta:
    """Return a constraint for the whole of a text, and further keywords of JSON Schema."""
    return Meta(extra_json_schema={"pattern": f"^(?:{pattern})$", **more})


Name = Annotated[Value, matching(NAME_PATTERN)]
Text = Annotated[Value, Meta(extra_json_schema={"minLength": 1})]
Texts = Text | list[Text]
Tag = Annotated[Value, matching(r"(?!\s*(?:=|$))[^,]+")]
ShellPath = Annotated[Value, matching(r"/[\s\S]*")]
Within = Annotated[Value, matching(r"(?!/|~(?:/|$)|(?:[\s\S]*/)?\.\.(?:/|$))[\s\S]+")]
"""A path within the working directory."""

Command = (
    Annotated[Value, matching(r"[\s\S]*\S[\s\S]*")]
    | Annotated[list[Value], Meta(extra_json_schema={"minItems": 1})]
)

Duration = Annotated[int | float | str, matching(units.DURATION_PATTERN, minimum=0)]
OptionalDuration = Annotated[int | float | str, matching(f"never|{units.DURATION_PATTERN}", minimum=0)]
Size = Annotated[int | str, matching(units.SIZE_PATTERN, minimum=0)]

FromZero = Annotated[int, Meta(ge=0)]
FromOne = Annotated[int, Meta(ge=1)]

ParamName = Annotated[str, matching(rf"(?!AQUEUE[_.]){PARAM.pattern}")]
VariableName = Annotated[str, matching(rf"(?!AQUEUE_){VARIABLE.pattern}")]
Params = dict[ParamName, Value]

_REST_OF_A_CALL: Final = {"type": "null"}
"""The schema of the `5)` in `{seed: range(1, 5)}`, which YAML takes for a key without a value."""

Environment = Annotated[
    dict[VariableName, Value], Meta(extra_json_schema={"additionalProperties": _REST_OF_A_CALL})
]

GpuIds = Annotated[
    list[Annotated[int | str, matching(GPU_ID.pattern, minimum=0, maximum=9999)]],
    Meta(extra_json_schema={"minItems": 1, "uniqueItems": True}),
]

Progress = Annotated[str, Meta(extra_json_schema={"maxLength": 200, "pattern": r"\([\s\S]*\)"})]

Cron = Annotated[str, matching(r"\s*(?:@[A-Za-z]+|\S+(?:\s+\S+){4})\s*")]
Crons = Cron | Annotated[list[Cron], Meta(extra_json_schema={"minItems": 1, "maxItems": 100})]
Moment = Annotated[str, matching(r"\d{4}-?[\dW][\s\S]*")]

_PLAIN: Final = {"type": ["string", "number", "boolean", "null"]}
_COMBINATIONS: Final = {
    "type": "array",
    "items": {
        "type": "object",
        "patternProperties": {f"^(?:{PARAM.pattern})$": _PLAIN},
        "additionalProperties": _REST_OF_A_CALL,
    },
}
ONE_LEVEL_UP: Final = ("samples", "after", "needs", "after_any", "isolate", "outputs")
"""Keys that are often written in a matrix, and belong beside it."""

Matrix = Annotated[
    dict[str, Any],
    Meta(
        extra_json_schema={
            "properties": {
                "include": _COMBINATIONS | {"description": "Params of further runs, or of those that fit."},
                "exclude": _COMBINATIONS | {"description": "Combinations to leave out."},
                **dict.fromkeys(ONE_LEVEL_UP, False),
            },
            "patternProperties": {
                f"^(?:(?!(?:{'|'.join(('include', 'exclude', *ONE_LEVEL_UP))})$|AQUEUE[_.]){PARAM.pattern})$": {
                    "anyOf": [_PLAIN, {"type": "array", "minItems": 1, "items": _PLAIN}]
                }
            },
            "additionalProperties": _REST_OF_A_CALL,
        }
    ),
]
