"""Stylised H&E patches: what a patch contains, where it lies, and the image of it.

Light is absorbed by two stains: optical density ``OD = H * s_H + E * s_E``, pixel ``= I0 * 10 ** -OD``.
Everything stands on a lattice of 12 x 12 cells of 8 px, the grid of the image tokens, and most of the apparent
irregularity (orientation, texture) is a fixed function of the cell: a patch costs few bits, so a small model can
learn the whole domain. Only the presence of nuclei, the seven findings and their places are random.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medim_forge.generator.phantoms import pathology_stamps as stamps
from medim_forge.generator.phantoms.pathology_stamps import CELL, CELLS, SIZE, Field, Stamp

Cell = tuple[int, int]

# Rows: hematoxylin and eosin (Macenko reference vectors, RGB), and a neutral absorber for ghosts and black chromatin.
STAINS = np.array([[0.5626, 0.7201, 0.4062], [0.2159, 0.8012, 0.5581], [0.5774, 0.5774, 0.5774]], np.float32)
STRENGTHS = ((1.0, 1.0), (0.9, 0.84))
WHITE = 246.0
COLLAGEN_DEGREES = (0, 45, 135)
NECROSIS_CELLS, LYMPHOCYTE_CELLS, MAX_MITOSES = 6, 4, 4

PREVALENCE = {
    "glands": 0.36,
    "hypercellular": 0.30,
    "pleomorphism": 0.30,
    "mitoses": 0.30,
    "necrosis": 0.30,
    "lymphocytes": 0.30,
    "fibrosis": 0.30,
}
# A patch with every finding of one of these sets, whatever else it shows, is never drawn for training.
HELD_OUT = (
    frozenset({"glands", "necrosis", "lymphocytes"}),
    frozenset({"mitoses", "fibrosis", "hypercellular"}),
    frozenset({"pleomorphism", "lymphocytes", "fibrosis"}),
)

# Which of the nucleus variants stands in a cell is the same in every patch.
_VARIANT = np.random.default_rng(20).integers(0, 24, (CELLS, CELLS))
_GIANT = np.random.default_rng(21).integers(0, 3, (CELLS // 2, CELLS // 2))


@dataclass(frozen=True)
class Gland:
    """One gland: the top-left cell (row, column) of its square and the side of that square in cells (3 or 4)."""

    cell: Cell
    cells: int


@dataclass(frozen=True, kw_only=True)
class TissueParams:
    """Everything a patch shows, in lattice cells; an absent finding is an empty tuple, None, False or 0.

    Attributes:
        glands: The glands, up to three.
        hypercellular: Whether nearly every free cell holds a nucleus.
        pleomorphism: Whether nuclei are large, dark and irregular.
        mitoses: The cells that hold a dividing cell, none or two to four.
        necrosis: Top-left cell of the 6 x 6 cells of dead tissue, or None.
        necrosis_shape: Which of the two outlines it has.
        lymphocytes: Top-left cell of the 4 x 4 cells of the lymphocyte aggregate, or None.
        lymphocyte_shape: Which of the two aggregates it is.
        collagen: 0 for loose stroma, 1 to 3 for dense bands at 0, 45 and 135 degrees.
        stain: Index into the two staining strengths.
    """

    glands: tuple[Gland, ...]
    hypercellular: bool
    pleomorphism: bool
    mitoses: tuple[Cell, ...]
    necrosis: Cell | None
    necrosis_shape: int
    lymphocytes: Cell | None
    lymphocyte_shape: int
    collagen: int
    stain: int


def sample(rng: np.random.Generator) -> TissueParams:
    """Draws the content of one patch: seven independent findings, placed so that none covers another."""
    has = {name: bool(rng.random() < chance) for name, chance in PREVALENCE.items()}
    free = np.ones((CELLS, CELLS), bool)
    necrosis = lymphocytes = None
    if has["necrosis"]:
        near = (0, 1, CELLS - NECROSIS_CELLS - 1, CELLS - NECROSIS_CELLS)
        necrosis = _place(rng, free, NECROSIS_CELLS, near)
    if has["lymphocytes"]:
        lymphocytes = _place(rng, free, LYMPHOCYTE_CELLS, range(0, CELLS - LYMPHOCYTE_CELLS + 1, 2))
    glands = tuple(_glands(rng, free)) if has["glands"] else ()
    mitoses: tuple[Cell, ...] = ()
    if has["mitoses"]:
        rows, columns = np.nonzero(free)
        chosen = rng.choice(len(rows), size=int(rng.integers(2, MAX_MITOSES + 1)), replace=False)
        mitoses = tuple(sorted((int(rows[i]), int(columns[i])) for i in chosen))
    return TissueParams(
        glands=glands,
        hypercellular=has["hypercellular"],
        pleomorphism=has["pleomorphism"],
        mitoses=mitoses,
        necrosis=necrosis,
        necrosis_shape=int(rng.integers(2)),
        lymphocytes=lymphocytes,
        lymphocyte_shape=int(rng.integers(2)),
        collagen=1 + int(rng.integers(3)) if has["fibrosis"] else 0,
        stain=int(rng.integers(len(STRENGTHS))),
    )


def _place(rng: np.random.Generator, free: NDArray[np.bool_], cells: int, starts: Sequence[int]) -> Cell | None:
    """Takes a free square of `cells` x `cells` cells out of `free`, or returns None where none is left."""
    open_cells = [(r, c) for r in starts for c in starts if free[r : r + cells, c : c + cells].all()]
    if not open_cells:
        return None
    row, column = open_cells[int(rng.integers(len(open_cells)))]
    free[row : row + cells, column : column + cells] = False
    return row, column


def _glands(rng: np.random.Generator, free: NDArray[np.bool_]) -> Iterator[Gland]:
    """Places one to three glands of one size; a patch too full for the large size gets small ones."""
    wanted, large = int(rng.integers(1, 4)), bool(rng.random() < 0.5)
    for _ in range(wanted):
        for cells in (4, 3) if large else (3,):
            cell = _place(rng, free, cells, range(0, CELLS - cells + 1, 2 if cells == 4 else 1))
            if cell is not None:
                yield Gland(cell, cells)
                break


def findings(params: TissueParams) -> frozenset[str]:
    """The names of the findings the patch shows."""
    shown = {
        "glands": bool(params.glands),
        "hypercellular": params.hypercellular,
        "pleomorphism": params.pleomorphism,
        "mitoses": bool(params.mitoses),
        "necrosis": params.necrosis is not None,
        "lymphocytes": params.lymphocytes is not None,
        "fibrosis": params.collagen > 0,
    }
    return frozenset(name for name, present in shown.items() if present)


def is_held_out(found: frozenset[str]) -> bool:
    """Whether the combination is kept out of training."""
    return any(combination <= found for combination in HELD_OUT)


def render(params: TissueParams, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The patch as seen, uint8 [96, 96, 3] RGB; `rng` only decides which cells hold a nucleus."""
    hematoxylin, eosin = _ground(params, _presence(params, rng))
    grey, clear = np.zeros((SIZE, SIZE), np.float32), np.zeros((SIZE, SIZE), np.float32)
    for cell, stamp in _stamps(params):
        window = _window(cell, stamp.alpha.shape[0])
        keep = 1 - stamp.alpha
        for field, value in ((hematoxylin, stamp.hematoxylin), (eosin, stamp.eosin), (grey, stamp.grey)):
            field[window] = field[window] * keep + value * stamp.alpha
        clear[window] = np.maximum(clear[window], stamp.clear * stamp.alpha)
    strength = STRENGTHS[params.stain]
    amounts = np.stack([hematoxylin * strength[0], eosin * strength[1], grey], axis=-1)
    density = (amounts * (1 - clear)[..., None]) @ STAINS
    light = np.exp(density * np.float32(-np.log(10.0)))
    image: NDArray[np.uint8] = np.rint(WHITE * light).astype(np.uint8)
    return image


def _presence(params: TissueParams, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which cells hold an ordinary nucleus, [12, 12]: none within the square of another structure."""
    present = rng.random((CELLS, CELLS)) < (0.94 if params.hypercellular else 0.3)
    for (row, column), stamp in _stamps(params):
        cells = stamp.alpha.shape[0] // CELL
        present[row : row + cells, column : column + cells] = False
    return present


def _ground(params: TissueParams, present: NDArray[np.bool_]) -> tuple[Field, Field]:
    """Matrix and ordinary nuclei, as hematoxylin and eosin maps [96, 96]."""
    hematoxylin = np.full((SIZE, SIZE), 0.015, np.float32)
    taken = np.zeros((CELLS, CELLS), bool)
    if params.pleomorphism:
        _giants(params, present, hematoxylin, taken)
    small = stamps.odd_nuclei() if params.pleomorphism else stamps.small_nuclei()
    if params.collagen and not params.pleomorphism:
        small = stamps.spindle_nuclei(COLLAGEN_DEGREES[params.collagen - 1])
    for row, column in np.argwhere(present & ~taken).tolist():
        nucleus = small[_VARIANT[row, column] % len(small)]
        hematoxylin[_window((row, column), CELL)] += nucleus
    eosin = stamps.stroma(params.collagen) * (1 - np.float32(0.5) * np.minimum(hematoxylin, 1))
    return hematoxylin, eosin


def _giants(params: TissueParams, present: NDArray[np.bool_], hematoxylin: Field, taken: NDArray[np.bool_]) -> None:
    """Puts giant nuclei into blocks of 2 x 2 cells that hold enough nuclei, and marks those blocks in `taken`."""
    for row in range(0, CELLS, 2):
        for column in range(0, CELLS, 2):
            count = int(present[row : row + 2, column : column + 2].sum())
            wide = count >= 3 and (row + column) % 4 == 0 if params.hypercellular else count >= 2
            if wide and not _touches_structure(params, row, column):
                giant = stamps.giant_nuclei()[_GIANT[row // 2, column // 2]]
                hematoxylin[_window((row, column), 2 * CELL)] += giant
                taken[row : row + 2, column : column + 2] = True


def _touches_structure(params: TissueParams, row: int, column: int) -> bool:
    """Whether the block of 2 x 2 cells at (row, column) shares a cell with another structure."""
    return any(
        top - 2 < row < top + stamp.alpha.shape[0] // CELL and left - 2 < column < left + stamp.alpha.shape[1] // CELL
        for (top, left), stamp in _stamps(params)
    )


def _stamps(params: TissueParams) -> Iterator[tuple[Cell, Stamp]]:
    """The structures that replace the ground, with their top-left cells, in the order they are laid down."""
    if params.necrosis is not None:
        yield params.necrosis, stamps.necrosis(params.necrosis_shape)
    if params.lymphocytes is not None:
        yield params.lymphocytes, stamps.lymphocytes(params.lymphocyte_shape)
    for gland in params.glands:
        yield gland.cell, stamps.gland(gland.cells)
    for index, cell in enumerate(params.mitoses):
        yield cell, stamps.mitosis((45, 135)[index % 2])


def _window(cell: Cell, size: int) -> tuple[slice, slice]:
    """The pixels of the square of `size` px whose top-left corner is that of `cell`."""
    row, column = cell[0] * CELL, cell[1] * CELL
    return slice(row, row + size), slice(column, column + size)
