"""The bounds that save the search for rises its exact work hide no rise, and change none."""

from __future__ import annotations

import numpy as np
import pytest

from slingshot_analysis.detectors import _extremes, _find_rises
from slingshot_analysis.detectors._find_rises import find_rises


def series(seed: int) -> np.ndarray:
    """Return a loss or norm with noise of any size, spikes of any height, steps, growth and a floor."""
    random = np.random.default_rng(seed)
    n = int(random.integers(200, 4000))
    step = np.arange(n)
    values = 10.0 ** random.uniform(-7, 1) + random.choice([0.0, 2.0]) * np.exp(-step / random.uniform(20, n))
    for start in random.integers(0, n, random.integers(0, 8)):
        height, decay = 10.0 ** random.uniform(-7, 1), 10.0 ** random.uniform(0, 3)
        values = values + np.where(step >= start, height * np.exp(-np.maximum(step - start, 0) / decay), 0.0)
    if random.random() < 0.4:
        values = values * np.exp(random.uniform(-1, 3) * (step % max(n // 5, 1)) / n)
    if random.random() < 0.3:
        values = values + random.choice([-1.0, 1.0]) * (step > n // 2)
    noise = 10.0 ** random.uniform(-5, -0.3) * random.standard_normal(n)
    return values * np.exp(noise) if random.random() < 0.6 else values + noise * values.mean()


def found(values: np.ndarray) -> list[object]:
    return [rise for gradient in (False, True) for rise in find_rises(values, gradient=gradient)]


@pytest.mark.parametrize("seed", range(60))
def test_rows_that_are_passed_over_begin_no_rise(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    values = series(seed)
    with_bounds = found(values)
    monkeypatch.setattr(_find_rises, "_hopeless", lambda quick, *_, **__: np.zeros(len(quick.top), dtype=np.bool_))
    assert found(values) == with_bounds


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("blocks", [1, 1000])
def test_the_size_of_the_blocks_changes_no_rise(seed: int, blocks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    values = series(seed)
    usual = found(values)
    monkeypatch.setattr(_extremes, "BLOCKS_IN_REACH", blocks)
    assert found(values) == usual


def test_most_rows_of_a_noisy_floor_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    values = 1e-7 * np.exp(0.3 * np.random.default_rng(0).standard_normal(20_000))
    values[10_000:10_200] += np.exp(-np.arange(200) / 40)
    followed: list[int] = []
    exact = _find_rises._rise_at

    def counted(*given: object) -> object:
        followed.append(int(given[3]))  # type: ignore[call-overload]
        return exact(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(_find_rises, "_rise_at", counted)
    (rise,) = find_rises(values, gradient=False)
    assert rise.start == 10_000
    assert len(followed) < 500
