"""Association: statistical tests of whether accuracy gains and grokking come with slingshots."""

from slingshot_analysis.association.contingency import Contingency, Proportion, contingency, proportion
from slingshot_analysis.association.gain import (
    GainAssociation,
    gain_association,
    gain_by_phase,
    pool_gain_associations,
)
from slingshot_analysis.association.jumps import (
    Association,
    association_test,
    near_window,
    pool_associations,
)
from slingshot_analysis.association.lags import Estimate, LagSummary, lag_summary
from slingshot_analysis.association.leads import Movement, SignalLead, signals_before
from slingshot_analysis.association.order import EventOrder, order_events
from slingshot_analysis.association.shifts import (
    LogTimeShift,
    log_time_shift_test,
    pool_shifts,
)
from slingshot_analysis.association.swaps import RunEvents, RunSwap, run_swap_test
from slingshot_analysis.association.triggered import TriggeredAverage, event_triggered_average

__all__ = [
    "Association",
    "Contingency",
    "Estimate",
    "EventOrder",
    "GainAssociation",
    "LagSummary",
    "LogTimeShift",
    "Movement",
    "Proportion",
    "RunEvents",
    "RunSwap",
    "SignalLead",
    "TriggeredAverage",
    "association_test",
    "contingency",
    "event_triggered_average",
    "gain_association",
    "gain_by_phase",
    "lag_summary",
    "log_time_shift_test",
    "near_window",
    "order_events",
    "pool_associations",
    "pool_gain_associations",
    "pool_shifts",
    "proportion",
    "run_swap_test",
    "signals_before",
]
