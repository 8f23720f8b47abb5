"""Features move at transitions, and hardly during norm growth: division, as in Figures 2e and 2f."""

from trainers.claims._claim import Claim
from trainers.claims.features import decide, ratios

CLAIM = Claim(
    title="Features move from growth to plateau, at the transition, and not during norm growth: division.",
    figures="2",
    sweeps={"small": ("division_epsilon",), "paper": ("division",)},
    rule="As for parity: the ratio exceeds 3 at 80% or more of at least 5 transitions.",
    measure=ratios,
    decide=decide,
    draws="features",
    core_hours=3.3,
)
