"""Whether ``update()`` is called once for each step of the optimizer."""

from __future__ import annotations

import warnings
from pathlib import Path

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording._gradient_check import GradientCheck
from slingshot_analysis.recording._steps import Steps

MOST_SKIPPED = 50
"""Number of updates in a row whose step a gradient scaler may skip; it halves its scale each time."""


class UpdateCalls:
    """Counts the calls of ``update()`` beside the steps that the optimizers make.

    Parameters
    ----------
    path : Path
        The trace, which messages name.
    steps : Steps
        The steps of the optimizers.
    gradients : GradientCheck
        Compares the gradients at the first call with those that the optimizer gets.
    checks : bool
        Whether they are compared, and steps that are not seen are told.
    """

    def __init__(self, path: Path, steps: Steps, gradients: GradientCheck, checks: bool) -> None:
        self._path, self._steps, self._gradients, self._checks = path, steps, gradients, checks
        self._skipped = 0
        self.made = 0
        """Number of calls, those for steps that were not made not included."""

    def take(self) -> bool:
        """Take a call; return whether the one before it was for a step that was not made.

        Raises
        ------
        InputError
            If a step was made without a call, or the steps are recorded by themselves.
        """
        steps = self._steps
        if steps.is_closed:
            return False
        if steps.before is not None and steps.before != self._gradients.compare:
            raise InputError(f"{self._path}: attach() records each step; give its batches to batch(), not to update()")
        if steps.begun > self.made:
            raise InputError(
                f"{self._path}: the optimizer has made {steps.begun - self.made} more steps than update() was "
                "called: call it once for each step, between loss.backward() and optimizer.step(); or call attach() "
                "once, and batch() for each batch"
            )
        takes_back = steps.begun < self.made
        if takes_back and not self._may_be_skipped():
            steps.close()
            return False
        self._skipped = self._skipped + 1 if takes_back else 0
        self.made += not takes_back
        if not steps.begun and self._checks:
            steps.before = self._gradients.compare
            self._gradients.note()
        elif steps.before is not None:
            steps.before = None
        return takes_back

    def take_back(self) -> bool:
        """Take back the last call, if its step is known not to have been made; return whether that is so."""
        was_skipped = not self._steps.is_closed and 0 < self._steps.begun < self.made
        self.made -= was_skipped
        return was_skipped

    def _may_be_skipped(self) -> bool:
        """Return whether a gradient scaler may have skipped the step; if not, say what else is likely."""
        if not self._steps.begun and not self._checks:
            return False
        if not self._steps.begun and self._gradients.were_finite:
            warnings.warn(
                f"{self._path}: no step of the optimizer was seen between two updates, so steps that are skipped "
                "are recorded too; give the recorder the optimizer whose step() is called",
                stacklevel=4,
            )
            return False
        if self._skipped == MOST_SKIPPED:
            warnings.warn(
                f"{self._path}: no step of the optimizer was seen in {self._skipped + 1} updates, whose rows are lost, "
                "so steps are not followed any more; is the optimizer another object by now?",
                stacklevel=4,
            )
            return False
        return True
