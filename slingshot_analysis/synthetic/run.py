"""A synthetic run, made from a smooth norm and loss by adding noise, rounding, errors and accuracies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slingshot_analysis.errors import InputError
from slingshot_analysis.events import Shape
from slingshot_analysis.signal import Signal

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

NOISE_RANGE = 3e-6, 2e-4
"""Relative noise of the norm. It exceeds the 1e-7 of real float32 runs, so that no detector
relies on silence."""
NOISE_TIME = 200.0
"""Correlation time of the slow part of the noise, in updates."""
BATCH, VALIDATION = 32, 2000
"""Samples of a batch and of the validation set."""
BATCH_NOISE, SET_NOISE = 0.35, 0.03
"""Standard deviation of the natural logarithm of the loss of batches, and of the whole training set."""
FLICKER = 1.5
"""Mean of the exponential number that is subtracted from the logarithm of a batch's loss. Some batches have a low loss
even in a spike."""
LOSS_UNIT = 2.0**-23 / BATCH
"""Losses of single samples in float32 are multiples of the spacing at 1, so batch means are multiples of this."""
WRONG_LOSS = 0.05
"""Loss below which no sample of a batch is misclassified. Above it the share grows up to a half."""
EVALUATIONS = 500
"""Maximum number of evaluations of whole sets in a run."""
MINIMUM_STEPS, MINIMUM_ROWS = 10_000, 100


@dataclass(frozen=True, eq=False)
class SyntheticRun:
    """A run whose events are known.

    Parameters
    ----------
    signals : dict of str to Signal
        ``last_layer_norm``, ``batch_loss`` and ``batch_errors`` at every row; ``train_loss``, ``train_accuracy`` and
        ``val_accuracy`` at up to 500 evaluations.
    onsets : (k,) int array, updates
        Where the norm starts to grow in each cycle.
    transitions : (k,) int array, updates
        First step of each cycle's spike.
    plateau_ends : (k,) int array, updates
        The next onset; for the last cycle the end of the run.
    jumps : (j,) int array, updates
        Where the validation accuracy starts to rise steeply.
    kind : str
        ``"slingshots"``, or the kind of the negative.
    shape : {"staircase", "sawtooth", "inverse"} or None
        How the norm answers; None for a negative.
    """

    signals: dict[str, Signal]
    onsets: IntArray
    transitions: IntArray
    plateau_ends: IntArray
    jumps: IntArray
    kind: str
    shape: Shape | None


def row_steps(rows: int, steps: int) -> IntArray:
    """Return the steps of evenly spaced rows, ``steps / rows`` updates apart.

    Parameters
    ----------
    rows : int
        From 100 to `steps`.
    steps : int, updates
        Length of the run, 10,000 or more.

    Returns
    -------
    (rows,) int array, updates
        From 0, strictly increasing.

    Raises
    ------
    InputError
        If there would be more rows than updates, or too few of either.

    Examples
    --------
    >>> row_steps(4000, 10_000)[:4]
    array([0, 2, 5, 7])
    """
    if steps < MINIMUM_STEPS or not MINIMUM_ROWS <= rows <= steps:
        raise InputError(
            f"rows={rows}, steps={steps}: give {MINIMUM_STEPS} steps or more, and {MINIMUM_ROWS} rows to one row a step"
        )
    return np.arange(rows, dtype=np.int64) * steps // rows


def random_streams(*seed: int) -> list[np.random.Generator]:
    """Return generators for the course of a run, its norm, its loss and its accuracies.

    The first one makes the truth, which therefore depends on the seed alone and not on the number of rows.
    """
    return [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(4)]


def log_uniform(random: np.random.Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform."""
    return float(np.exp(random.uniform(np.log(low), np.log(high))))


def signals_of(
    step: IntArray,
    log_norm: FloatArray,
    loss: FloatArray,
    accuracy: FloatArray,
    streams: list[np.random.Generator],
    *,
    noise: float | None,
    quantize: bool,
    underflow: bool,
) -> dict[str, Signal]:
    """Add noise to a run's smooth course and measure it.

    Parameters
    ----------
    step : (n,) int array, updates
        Of the rows.
    log_norm : (n,) float array
        Natural logarithm of the norm.
    loss : (n,) float array, nats
        Mean loss.
    accuracy : (n,) float array, fraction in [0, 1]
        Validation accuracy.
    streams : list of Generator
        Of `random_streams`.
    noise : float or None
        Relative standard deviation of the white and of the slow noise of the norm; None draws both.
    quantize : bool
        Round norm and losses to float32.
    underflow : bool
        Round the batch loss to multiples of 2**-23/32, so that small ones are exactly 0.

    Returns
    -------
    dict of str to Signal
        By canonical name.
    """
    _, for_norm, for_loss, for_accuracy = streams
    stride = step[-1] / (len(step) - 1)
    white, slow = (log_uniform(for_norm, *NOISE_RANGE) for _ in range(2)) if noise is None else (noise, noise)
    decay = float(np.exp(-stride / NOISE_TIME))
    wander = autoregression(for_norm.standard_normal(len(step)), decay) * np.sqrt(1 - decay**2)
    norm = np.exp(log_norm + white * for_norm.standard_normal(len(step)) + slow * wander)

    flicker = FLICKER * for_loss.standard_exponential(len(step))
    batch_loss = loss * np.exp(BATCH_NOISE * for_loss.standard_normal(len(step)) - flicker)
    errors = for_loss.binomial(BATCH, _wrong_share(batch_loss))
    evaluated = slice(None, None, -(-len(step) // EVALUATIONS))
    at = step[evaluated]
    train_loss = loss[evaluated] * np.exp(SET_NOISE * for_loss.standard_normal(len(at)))
    measured = accuracy[evaluated] + 0.002 * autoregression(for_accuracy.standard_normal(len(at)), 0.5)
    val_accuracy = np.round(np.clip(measured, 0, 1) * VALIDATION) / VALIDATION
    if underflow:
        batch_loss = np.round(batch_loss / LOSS_UNIT) * LOSS_UNIT
    if quantize:
        norm, batch_loss, train_loss = (_rounded(values) for values in (norm, batch_loss, train_loss))
    made = [
        Signal(step, norm, "last_layer_norm"),
        Signal(step, batch_loss, "batch_loss", "nat"),
        Signal(step, errors, "batch_errors", "samples"),
        Signal(at, train_loss, "train_loss", "nat"),
        Signal(at, 1 - np.round(_wrong_share(train_loss) * VALIDATION) / VALIDATION, "train_accuracy"),
        Signal(at, val_accuracy, "val_accuracy"),
    ]
    return {signal.name: signal for signal in made}


def _wrong_share(loss: FloatArray) -> FloatArray:
    return np.asarray(np.where(loss < WRONG_LOSS, 0.0, np.minimum(0.5, loss / 2)))


def _rounded(values: FloatArray) -> FloatArray:
    return values.astype(np.float32).astype(np.float64)


def autoregression(shocks: FloatArray, decay: float) -> FloatArray:
    """Return noise that decays: the sum of decay**j times the shock j rows before, over all j.

    Each pass doubles the rows that are summed.
    """
    total, width = shocks.copy(), 1
    while width < len(total) and decay**width > 1e-17:
        total[width:] += decay**width * total[:-width].copy()
        width *= 2
    return total
