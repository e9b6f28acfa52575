from __future__ import annotations

import numpy as np
import pytest

from napari_micro_ktnet.errors import InputError
from napari_micro_ktnet.predict.tiles import BUDGET, plan_tiles

SHAPES = [(1, 1), (32, 32), (33, 500), (512, 512), (943, 1024), (960, 1280), (700, 2111), (20, 3000)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(
    "options", [{}, {"tile": 64}, {"tile": 256, "overlap": 0.5}, {"overlap": 0.0}], ids=str
)
def test_weights_sum_to_one_everywhere(shape: tuple[int, int], options: dict[str, float]) -> None:
    total = np.zeros(shape)
    plan = plan_tiles(shape, **options)
    tiles = list(plan)
    assert len(tiles) == len(plan)
    for tile in tiles:
        total[tile.rows, tile.columns] += tile.window[0][:, None] * tile.window[1]
    np.testing.assert_allclose(total, 1, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("tile", [None, 96, 512])
def test_tiles_are_equal_and_fit_the_network(shape: tuple[int, int], tile: int | None) -> None:
    plan = plan_tiles(shape, tile=tile)
    assert plan.y.tile % 32 == plan.x.tile % 32 == 0
    for t in plan:
        for span, pad, axis in ((t.rows, t.padding[0], plan.y), (t.columns, t.padding[1], plan.x)):
            assert span.stop - span.start + sum(pad) == axis.tile
            assert min(pad) >= 0
            assert 0 <= span.start < span.stop <= axis.length


@pytest.mark.parametrize("overlap", [0.0, 0.0625, 0.5, 0.75])
def test_neighbours_share_what_was_asked_for(overlap: float) -> None:
    axis = plan_tiles((2000, 64), tile=256, overlap=overlap).y
    shared = axis.tile - np.diff(axis.starts)
    assert shared.min() >= overlap * axis.tile - 1


def test_chosen_tiles_waste_little() -> None:
    for shape in ((960, 1280), (2048, 3072), (8000, 8000), (20000, 20000)):
        plan = plan_tiles(shape)
        assert plan.y.tile * plan.x.tile <= BUDGET
        assert len(plan) * plan.y.tile * plan.x.tile <= 1.31 * shape[0] * shape[1]
    # As many pixels as in two tiles of 960 x 672, in smaller tiles.
    assert [len(plan_tiles((960, 1280))), plan_tiles((960, 1280)).x.tile] == [3, 448]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": (0, 5)}, "empty"),
        ({"shape": (64, 64), "tile": 16}, "at least 32"),
        ({"shape": (64, 64), "overlap": 0.9}, "overlap"),
        ({"shape": (64, 64), "overlap": -0.1}, "overlap"),
    ],
)
def test_bad_input(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        plan_tiles(**arguments)
