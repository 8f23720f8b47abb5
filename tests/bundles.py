"""What tests of recording share."""

from slingshot_analysis.recording.probes._bundles import BUNDLES, CURVATURE

AT_FIXED_STEPS = [entry for entry in BUNDLES["standard"] if entry not in CURVATURE]
"""The standard bundle without curvature, whose steps within a budget depend on the speed of the machine."""
