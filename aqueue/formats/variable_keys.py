"""The mappings of a task file, and of `aqueue.yaml`, that become environment variables: `params` and `env`."""

from aqueue.formats.yaml_document import Document, Path
from aqueue.model.task import PARAM, VARIABLE, variable_of
from aqueue.model.values import Value, plain_text


def check_variables(document: Document, at: Path, mapping: dict[str, Value]) -> None:
    """Check that all entries can be environment variables. Errors show no names or values, which may be secrets.

    Args:
        at: the path of the mapping in the document.

    Raises:
        FileError: at the first of them.
    """
    what = ".".join(map(str, at))
    pattern = PARAM if at == ("params",) else VARIABLE
    for name, value in mapping.items():
        if not pattern.fullmatch(name):
            message, hint = "this cannot be the name of a variable", "use letters, digits and '_'"
        elif variable_of(name).startswith("AQUEUE_"):
            message, hint = "names that begin with AQUEUE_ are aqueue's own", "choose another name"
        elif "\0" in plain_text(value):
            message, hint = "a value cannot have a NUL character in it", "leave it out"
        else:
            continue
        raise document.error(f"{what}: {message}", hint, at=(*at, name), key=True)
