"""Rows are quarantined for their content alone: what stands around them and fails is told apart here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from medim_forge.generator.errors import ShardError, StoreError, environment_fault, is_environment


@contextmanager
def blameless(what: str) -> Iterator[None]:
    """What stands around the rows and fails inside is an error that blames no row and says what to mend.

    Args:
        what: cannot be done then, e.g. `shard 3: its inputs cannot be read`.

    Raises:
        EnvironmentFault: in place of such an error.
    """
    try:
        yield
    except (ShardError, StoreError):
        raise
    except Exception as error:
        if is_environment(error):
            raise environment_fault(error, what) from error
        raise
