"""What looks like spikes and is none."""

import numpy as np

from slingshot_analysis.detectors._no_spikes import without_restarts
from slingshot_analysis.detectors._rise import Rise


def test_two_rises_may_begin_at_the_same_row():
    values = np.full(200, 0.01)
    values[100:106] = 0.7, 0.01, 0.5, 0.6, 0.4, 0.01
    rises = [Rise(100, peak, back, 0.004, 1e-7, 4e-6, 0.7) for peak, back in ((100, 101), (103, 105))]
    assert without_restarts(values, rises) == rises
