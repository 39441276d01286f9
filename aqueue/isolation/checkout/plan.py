"""The plan of an attempt, as the program reads it; `aqueue.isolation.plan` writes it."""

import json
import os

from aqueue.isolation.checkout.errors import CheckoutError


class Plan:
    """The work to do before and after a command, read from the attempt's file; all directories are absolute paths.

    Attributes:
        source: the working directory that the user knows.
        checkout: the directory of the checkout; None where the command runs in `source` itself.
        repository: git's directory of the user's repository.
        commit: the code.
        prefix: the working directory within the checkout.
        copy, link: paths from `source` that the checkout gets besides the code.
        outputs: paths and patterns, from the working directory.
        keep: when the checkout is kept: `always`, `failed` or `never`.
        run_dir: the directory that the outputs are copied to.

    Raises:
        CheckoutError: the file cannot be read.
    """

    def __init__(self, attempt: str) -> None:
        try:
            with open(attempt + ".plan", "rb") as file:
                written = json.load(file)
            self.source: str = written["source"]
            self.checkout: str | None = written["checkout"]
            self.repository: str = written["repository"]
            self.commit: str = written["commit"]
            self.prefix: str = written["prefix"]
            self.copy: list[str] = written["copy"]
            self.link: list[str] = written["link"]
            self.outputs: list[str] = written["outputs"]
            self.keep: str = written["keep"]
            self.run_dir: str = written["run_dir"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckoutError(f"{attempt}.plan cannot be read: {error}") from error

    @property
    def working_dir(self) -> str:
        """Return the directory in which the command runs."""
        return self.source if self.checkout is None else os.path.join(self.checkout, self.prefix)
