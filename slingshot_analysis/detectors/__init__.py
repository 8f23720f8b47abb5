"""Detectors of one signal each: arrays of a training run to the events in it, as pure functions."""

from slingshot_analysis.detectors._norm_levels import NormOptions
from slingshot_analysis.detectors.accuracy import detect_accuracy_jumps, grokking_sensitivity, grokking_step
from slingshot_analysis.detectors.breaks import NormBreak, norm_breaks
from slingshot_analysis.detectors.climbs import detect_accuracy_climbs
from slingshot_analysis.detectors.divergence import detect_divergence, detect_instability, detect_lasting_rise
from slingshot_analysis.detectors.growth_law import fit_log_growth
from slingshot_analysis.detectors.misclassification import (
    MisclassificationBurst,
    detect_misclassification,
    terminal_phase_start,
)
from slingshot_analysis.detectors.not_finite import detect_not_finite
from slingshot_analysis.detectors.peaks import detect_curvature_peaks, detect_feature_bursts
from slingshot_analysis.detectors.phases import segment_norm
from slingshot_analysis.detectors.spike_score import series_spike_score, spike_score
from slingshot_analysis.detectors.spikes import detect_gradient_spikes, detect_loss_spikes, detect_two_levels

__all__ = [
    "MisclassificationBurst",
    "NormBreak",
    "NormOptions",
    "detect_accuracy_climbs",
    "detect_accuracy_jumps",
    "detect_curvature_peaks",
    "detect_divergence",
    "detect_feature_bursts",
    "detect_gradient_spikes",
    "detect_instability",
    "detect_lasting_rise",
    "detect_loss_spikes",
    "detect_misclassification",
    "detect_not_finite",
    "detect_two_levels",
    "fit_log_growth",
    "grokking_sensitivity",
    "grokking_step",
    "norm_breaks",
    "segment_norm",
    "series_spike_score",
    "spike_score",
    "terminal_phase_start",
]
