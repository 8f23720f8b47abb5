"""Synthetic runs with known slingshots, and runs without any."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

STEPS = 100_000


@dataclass(frozen=True)
class Run:
    step: np.ndarray
    norm: np.ndarray
    loss: np.ndarray
    onsets: list[int]
    transitions: list[int]


def slingshot_run(seed: int, style: str = "paper", every: int = 1) -> Run:
    """Cycles of 2,000 to 20,000 updates: growth, transition with a spike of seven to nine decades, plateau or drift."""
    rng = np.random.default_rng(seed)
    step = np.arange(0, STEPS)
    log_norm = np.interp(step, [0, 600, STEPS], [0.0, 1.0, 1.0])
    if style == "nfi":
        log_norm += 0.05 * np.log1p(step / 1000)
    loss = np.exp(-step / 150) + 1e-8
    at, size, onsets, transitions = 3000.0, 0.35, [], []
    while True:
        cycle = float(np.clip(rng.lognormal(np.log(9000), 0.4), 2500, 20_000))
        growth = cycle * rng.uniform(0.15, 0.3)
        onset, transition = int(at + cycle - growth), int(at + cycle)
        if transition > 0.95 * STEPS:
            break
        share = np.clip((step - onset) / (transition - onset), 0, 1)
        bend = 2.0 if style == "paper" else 4.0
        log_norm += size * np.expm1(bend * share) / np.expm1(bend)
        log_norm -= np.where(step >= transition, rng.uniform(0, 0.2) * size, 0.0)
        after = np.maximum(step - transition, 0)
        loss += np.where(step >= transition, 10 ** rng.uniform(-1, 1) * np.exp(-after / rng.uniform(20, 200)), 0)
        onsets.append(onset)
        transitions.append(transition)
        at += cycle
        size *= rng.uniform(0.4, 0.7) if style == "nfi" else rng.uniform(0.8, 1.1)
    log_norm += 3e-5 * rng.standard_normal(STEPS)
    loss *= np.exp(0.3 * rng.standard_normal(STEPS))
    return Run(step[::every], np.exp(log_norm)[::every], loss[::every], onsets, transitions)


def negative_norms(seed: int) -> dict[str, np.ndarray]:
    """Norms that grow, fall or stay without a slingshot, at steps 0, 20, ..., 100,000."""
    rng = np.random.default_rng(seed)
    t = np.arange(0, STEPS, 20) / STEPS
    noise = np.exp(3e-5 * rng.standard_normal(len(t)))
    hump = 1 / (1 + np.exp(-(t - 0.5) / 0.06))
    return {
        "log": (3 + np.log1p(2000 * t)) * noise,
        "linear": (1 + 2 * t) * noise,
        "weight decay": (1 + 4 * np.exp(-3 * t)) * noise,
        "saturation": (5 - 4 * np.exp(-20 * t)) * noise,
        "constant": 5 * noise,
        "sigmoid": (1 + hump) * noise,
    }


def match(found: list[int], truth: list[int], margin: float) -> int:
    """Count the true steps that a found one lies near, each found one used once."""
    free, hits = sorted(found), 0
    for at in sorted(truth):
        near = [step for step in free if abs(step - at) <= margin]
        if near:
            free.remove(min(near, key=lambda step: abs(step - at)))
            hits += 1
    return hits
