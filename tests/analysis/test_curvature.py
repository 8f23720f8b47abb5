"""Curvature peaks, whose rows come from a probe and from the flight recorder."""

import numpy as np
import pytest

from slingshot_analysis import analyze

PAIRS = [
    ("hessian_top_eigenvalues", "event_hessian_top_eigenvalue"),
    ("update_sharpness", "event_update_sharpness"),
]


@pytest.mark.parametrize(("probe", "event"), PAIRS)
def test_the_peak_between_two_rows_of_the_probe_is_found_in_the_rows_of_the_flight_recorder(probe, event):
    sparse, dense = np.arange(0, 10_000, 1000), np.arange(4436, 4564)
    run = {probe: (sparse, np.exp(-sparse / 3000)), "train_loss": (sparse, np.exp(-sparse / 3000))}
    assert analyze(run).curvature_peaks == ()
    run[event] = dense, 0.2 + 50 * np.exp(-(((dense - 4500) / 3) ** 2))
    assert [peak.peak for peak in analyze(run).curvature_peaks] == [4500]


def test_at_a_step_of_both_the_row_of_the_flight_recorder_counts():
    step = np.arange(200)
    flat = np.ones(200)
    spiked = 1 + 50 * np.exp(-(((step[90:110] - 100) / 3) ** 2))
    run = {"update_sharpness": (step, flat), "event_update_sharpness": (step[90:110], spiked)}
    assert [peak.peak for peak in analyze(run).curvature_peaks] == [100]
