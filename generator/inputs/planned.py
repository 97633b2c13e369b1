"""A job plans its inputs once, and workers obey: every row is read where it was planned and compared with its digest.

So a file that comes later shifts no row, and what vanished or was changed stops the job, named by its row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medim_forge.generator.errors import EnvironmentFault
from medim_forge.generator.inputs.given import GivenRows
from medim_forge.generator.inputs.manifest import InputManifest, RowNames, read_names, read_rows
from medim_forge.generator.store import Store

MEND = (
    "Put the inputs back as they were when the job began and run the same command again, or begin anew with --out in a "
    "folder of its own."
)


class ChangedInputsFault(EnvironmentFault):
    """The inputs are not those that the job was planned with; no row is to blame.

    Args:
        message: that names rows by number.
        came: files that have no row, for the one who looks.
    """

    def __init__(self, message: str, came: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.came = tuple(came)


@dataclass(frozen=True, eq=False)
class PlannedInputs:
    """The inputs of a job, as they were planned.

    Attributes:
        manifest: size and digest of every row.
        names: where the rows lie; None where that is looked for again.
    """

    manifest: InputManifest
    names: RowNames | None

    def check(self, rows: GivenRows, row: int) -> None:
        """The row is as it was planned, to the last bit.

        Raises:
            ChangedInputsFault: it was changed, or is gone; no row is to blame.
            InputError: it cannot be read now, whatever it holds.
        """
        if row >= len(self.manifest) or not self.manifest.holds(row, rows.fingerprint(row)):
            raise ChangedInputsFault(f"row {row} was changed since the job was planned. {MEND}")


def planned_inputs(store: Store, record: Mapping[str, Any] | None) -> PlannedInputs | None:
    """The inputs that a dataset was planned with; None where the spec determines them.

    Args:
        store: of the dataset.
        record: what `plan.json` says of them.

    Raises:
        StoreError: their manifest is missing or damaged.
    """
    return None if record is None else PlannedInputs(read_rows(store, record["sha256"]), read_names(store))
