"""What tests of recording share."""

from slingshot_analysis.recording.probes._bundles import BUNDLES, CURVATURE

AT_FIXED_STEPS = [entry for entry in BUNDLES["standard"] if entry not in CURVATURE]
"""The standard bundle without curvature, whose steps within a budget depend on the speed of the machine."""


def at_fixed_steps(setup):
    """`AT_FIXED_STEPS` as far as the probes fit the setup; None for a setup without classes."""
    if setup.loss == "output":
        return None
    return [entry for entry in AT_FIXED_STEPS if entry != "precision" or setup.loss == "cross_entropy"]
