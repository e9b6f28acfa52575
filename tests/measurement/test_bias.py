from __future__ import annotations

import numpy as np
import pytest

from napari_micro_ktnet.measurement.bias import bias_scores, compared, d50


def test_median_diameters() -> None:
    ecd = np.array([3.0, 1.0, 2.0])
    assert d50(ecd) == 2
    # Areas 1, 4, 9 of 14: the middles lie at 1/28, 6/28 and 19/28.
    assert d50(ecd, ecd**2) == pytest.approx(2 + (14 - 6) / (19 - 6))
    assert np.isnan(d50(np.zeros(0)))


def test_bias_by_hand() -> None:
    found = bias_scores((np.array([1.0, 3.0]), 20, 100), (np.array([2.0]), 30, 100), area=0.5)
    assert (found.area_fraction.truth, found.area_fraction.predicted) == (0.2, 0.3)
    assert found.area_fraction.relative == pytest.approx(0.5)
    assert (found.d50_number.truth, found.d50_number.predicted) == (2, 2)
    # Areas 1 and 9 of 10: the middles lie at 1/20 and 11/20.
    d50_area = 1 + 2 * (10 - 1) / (11 - 1)
    assert (found.d50_area.truth, found.d50_area.bias) == pytest.approx((d50_area, 2 - d50_area))
    assert (found.density.truth, found.density.predicted) == (4, 2)


def test_nothing_to_compare_with() -> None:
    assert np.isnan(compared(0, 2).relative)
    empty = bias_scores((np.zeros(0), 0, 100), (np.array([2.0]), 5, 100), 1)
    assert np.isnan(empty.d50_number.bias)
    assert empty.density.predicted == 1
