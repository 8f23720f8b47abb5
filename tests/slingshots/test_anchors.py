"""Spikes and bursts of misclassification, joined to transitions."""

import pytest

from slingshot_analysis.events import LossSpike
from slingshot_analysis.slingshots import merge_anchors


@pytest.mark.parametrize(("second", "starts"), [(5e3, [100, 160]), (2.5e3, [100])])
def test_only_a_spike_lower_than_a_third_is_an_aftershock(second, starts):
    spikes = [("train_loss", LossSpike(100, 102, 150, 1e4)), ("train_loss", LossSpike(160, 162, 180, second))]
    assert [anchor.start for anchor in merge_anchors(spikes, [], 20)] == starts


def test_another_signal_joins_whatever_its_height():
    spikes = [("train_loss", LossSpike(100, 102, 150, 1e4)), ("batch_loss", LossSpike(160, 162, 180, 1e5))]
    (anchor,) = merge_anchors(spikes, [], 20)
    assert (anchor.start, anchor.end, anchor.decades) == (100, 180, 5.0)
    assert anchor.evidence == ("batch_loss rises 1e+05-fold",)
