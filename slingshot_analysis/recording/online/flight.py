"""The flight recorder, which measures the curvature at each update around a transition."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording.curvature import (
    EigenvalueTracker,
    HessianOperator,
    PreconditionedOperator,
    preconditioner,
    sharpness,
    stability_threshold,
)
from slingshot_analysis.recording.curvature.shared import Curvatures
from slingshot_analysis.recording.online._window import UPDATES, EventWindow
from slingshot_analysis.recording.probes._base import Moment
from slingshot_analysis.recording.schedule import Budget
from slingshot_analysis.recording.subject import Subject
from slingshot_analysis.recording.subject.optimizer_state import AdaptiveState, adaptive_states, has_threshold
from slingshot_analysis.recording.torch_internals import foreach
from slingshot_analysis.signal import Axis
from slingshot_analysis.trace import Group, Quantity, TraceWriter

FLIGHT_GROUP = "events"
"""Group of a trace that holds the rows of the flight recorder."""
MEAN = ":mean"
"""Suffix of a parameter's name under which the mean of its gradient is kept, for centered RMSprop."""
MOST_BYTES = 256 * 2**20
"""Bytes. Maximum size of the states kept; a network that needs more has no flight recorder."""
SAMPLES = 256
"""Maximum number of training samples; it is small as training waits while 128 states are measured."""
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
NAN = float("nan")


class FlightRecorder(EventWindow):
    """Keeps the last states of a run, and measures the curvature at each of them when a transition begins.

    A slingshot's onset lasts 4 to 6 updates. So the weights and second moments of the last 64 updates are kept on the
    device. When a transition begins, the `event_*` quantities are measured at each of these states and at the 64 states
    that follow: the loss and the largest eigenvalue of its Hessian, update sharpness, the preconditioned eigenvalue and
    its ratio to the threshold, and quantiles of the effective step. Training waits meanwhile. They are defined like the
    quantities of the probes, but over at most 256 fixed training samples, and have a group of their own in the trace.
    Buffers, such as the statistics of batch normalisation, have their values at the time of measuring.

    Parameters
    ----------
    subject : Subject
        The run.
    curvatures : Curvatures, optional
        Curvatures of the run, shared with probes.
    budget : Budget, optional
        Budget of the run's curvature, to which an event is charged: curvature probes pause until it is paid.
        Transitions are skipped while the budget owes more than the last event took.

    Raises
    ------
    InputError
        If the states take more than `MOST_BYTES`, or there is no training data.

    References
    ----------
    Thilak et al. 2022, Figures 3 and 16, arXiv 2206.04817; Cohen et al. 2022, arXiv 2207.14484.
    """

    def __init__(self, subject: Subject, curvatures: Curvatures | None = None, budget: Budget | None = None) -> None:
        super().__init__()
        assert subject.optimizer is not None
        if _bytes(subject) > MOST_BYTES:
            raise InputError(
                f"the states of a flight recorder would take {_bytes(subject) / 2**20:,.0f} MiB, more than "
                f"{MOST_BYTES / 2**20:,.0f}: leave out flight_recorder="
            )
        self._optimizer, self._parameters = subject.optimizer, subject.parameters
        self._curvature = (curvatures or Curvatures(subject)).over(SAMPLES)
        self._weights = {name: _ring(p) for name, p in subject.parameters.items()}
        self._moments: dict[str, Tensor] = {}
        self._rates: list[list[float | Tensor]] = [[] for _ in range(UPDATES + 1)]
        self._slots = _slots(list(self._weights.values()))
        self._find_live_tensors()
        self._top, self._preconditioned = EigenvalueTracker(), EigenvalueTracker()
        self._budget = budget
        self._cost = math.inf
        unit = "loss per squared norm"
        axis = Axis("overall_quantile", [f"{q:g}" for q in QUANTILES])
        quantities = [
            Quantity("event_loss", "nat", "training loss in float64"),
            Quantity("event_hessian_top_eigenvalue", unit, "largest eigenvalue of the training loss's Hessian"),
            Quantity("event_hessian_residual", unit, "norm of H x - lambda x of the eigenpair found"),
            Quantity("event_max_stable_step", "learning rate", "2 / largest eigenvalue"),
            Quantity("event_update_sharpness", unit, "curvature of the training loss along the update from this step"),
            Quantity("event_preconditioned_top_eigenvalue", "1 / learning rate", "largest eigenvalue of P^-1 H"),
            Quantity("event_preconditioned_ratio", "", "of that eigenvalue to the optimizer's stability threshold"),
            Quantity("event_effective_step", "learning rate", "quantiles of lr / (sqrt(v) + eps)", (axis,)),
        ]
        self.group = Group(FLIGHT_GROUP, quantities, "at each update around a transition")

    @staticmethod
    def fits(subject: Subject) -> bool:
        """Return whether there is training data and the states take no more than `MOST_BYTES`."""
        return subject.train_data is not None and subject.optimizer is not None and _bytes(subject) <= MOST_BYTES

    def _copy(self, moment: Moment) -> None:
        """Copy the state before the update."""
        slot = moment.step % (UPDATES + 1)
        if slot == 0 or not self._moments:
            self._find_live_tensors()
        foreach("copy_", self._slots[slot], self._live)
        self._rates[slot] = [_copied(group["lr"]) for group in self._optimizer.param_groups]

    def _find_live_tensors(self) -> None:
        """Find the tensors to be copied; the optimizer makes its own at the first update and may replace them."""
        live: dict[str, Tensor] = {}
        for name, state in adaptive_states(self._optimizer, self._parameters).items():
            if state is not None:
                live[name] = state.second_moment
                live |= {} if state.mean_gradient is None else {f"{name}{MEAN}": state.mean_gradient}
        if live.keys() != self._moments.keys():
            kept = self._moments
            self._moments = {n: kept[n] if n in kept else _ring(moment).fill_(NAN) for n, moment in live.items()}
            self._slots = _slots([*self._weights.values(), *self._moments.values()])
        self._live = [*self._parameters.values(), *live.values()]

    def transition(self, writer: TraceWriter) -> None:
        """Measure the states kept, as a transition has begun, unless the budget does not allow it."""
        if self._end is None and self._is_affordable():
            self._cost = 0.0
            super().transition(writer)

    def _is_affordable(self) -> bool:
        """Return whether the budget owes no more than the last event took."""
        return self._budget is None or self._budget.debt(time.perf_counter()) <= self._cost

    def state_dict(self) -> dict[str, Any]:
        """Return the states kept, and which of them have been measured."""
        return {
            "weights": self._weights,
            "moments": self._moments,
            "rates": self._rates,
            "numbers": self._numbers,
            "trackers": [self._top.state_dict(), self._preconditioned.state_dict()],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that :meth:`state_dict` returned."""
        device = next(iter(self._weights.values())).device
        self._weights = {name: kept.to(device) for name, kept in state["weights"].items()}
        self._moments = {name: kept.to(device) for name, kept in state["moments"].items()}
        self._rates = list(state["rates"])
        self._slots = _slots([*self._weights.values(), *self._moments.values()])
        self._find_live_tensors()
        self._oldest, self._newest, self._written, self._end = state["numbers"]
        for tracker, saved in zip((self._top, self._preconditioned), state["trackers"], strict=True):
            tracker.load_state_dict(saved)

    def _write(self, writer: TraceWriter, steps: range) -> None:
        start = time.perf_counter()
        now = adaptive_states(self._optimizer, self._parameters)
        rows = [self._row(step, now) for step in steps]
        names = [quantity.name for quantity in self.group.quantities]
        columns = {name: np.array([row[i] for row in rows]) for i, name in enumerate(names)}
        writer.append(self.group.name, np.array(steps), **columns)
        seconds = time.perf_counter() - start
        self._cost += seconds
        if self._budget is not None:
            self._budget.spend(seconds)

    def _states_at(self, step: int, now: Mapping[str, AdaptiveState | None]) -> list[AdaptiveState | None]:
        """Return the optimizer's state at one of the steps kept."""
        slot, states = step % (UPDATES + 1), list[AdaptiveState | None]()
        groups = {id(p): i for i, group in enumerate(self._optimizer.param_groups) for p in group["params"]}
        for name, state in now.items():
            updates = 0 if state is None else int(state.step) - (self._newest - step)
            if state is None or name not in self._moments or (state.bias_correction and updates < 1):
                states.append(None)
                continue
            mean = None if state.mean_gradient is None else self._moments[f"{name}{MEAN}"][slot]
            rate = self._rates[slot][groups[id(self._parameters[name])]]
            moment = self._moments[name][slot]
            states.append(replace(state, second_moment=moment, mean_gradient=mean, step=updates, lr=rate))
        return states

    def _row(self, step: int, now: Mapping[str, AdaptiveState | None]) -> tuple[Any, ...]:
        slot, after = step % (UPDATES + 1), (step + 1) % (UPDATES + 1)
        hessian: HessianOperator = self._curvature.hessian({name: kept[slot] for name, kept in self._weights.items()})
        top = self._top.follow(hessian)
        value = float(top.values[0])
        update = hessian.mean_loss.flatten({name: kept[after] for name, kept in self._weights.items()}) - hessian.point
        eigenvalue = ratio = NAN
        effective = [NAN] * len(QUANTILES)
        states = self._states_at(step, now)
        if any(state is not None for state in states):
            effective = _effective_steps(states)
            if has_threshold(self._optimizer):
                operator = PreconditionedOperator(hessian, preconditioner(states, hessian.mean_loss.sizes))
                eigenvalue = float(self._preconditioned.follow(operator).values[0])
                ratio = eigenvalue / stability_threshold(states)
        stable = 2 / value if value > 0 else float("inf")
        along = float(sharpness(hessian, update))
        residual = float(top.residuals[0])
        return float(hessian.loss), value, residual, stable, along, eigenvalue, ratio, effective


def _bytes(subject: Subject) -> int:
    """Return the size of weights and second moments of all states kept."""
    return 2 * (UPDATES + 1) * sum(p.nbytes for p in subject.parameters.values())


def _ring(tensor: Tensor) -> Tensor:
    return torch.zeros((UPDATES + 1, *tensor.shape), dtype=tensor.dtype, device=tensor.device)


def _slots(rings: Sequence[Tensor]) -> list[list[Tensor]]:
    return [list(slot) for slot in zip(*(ring.unbind(0) for ring in rings), strict=True)]


def _copied(rate: float | Tensor) -> float | Tensor:
    """Return a copy of the present learning rate; one on the device stays there."""
    return rate.clone() if isinstance(rate, Tensor) else rate


def _effective_steps(states: Sequence[AdaptiveState | None]) -> list[float]:
    """Return quantiles of η/(√v̂ + ε) over all elements of the parameters that are updated."""
    parts = [state.at().effective_step.flatten() for state in states if state is not None]
    values = torch.cat(parts)
    values = values[~values.isnan()].sort().values
    if not len(values):
        return [NAN] * len(QUANTILES)
    at = [round(q * (len(values) - 1)) for q in QUANTILES]
    return [float(values[i]) for i in at]
