"""Bundles of probes by cost, and the choice of a recorder's probes from the names that it is given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache

from slingshot_analysis.errors import InputError, unknown_name
from slingshot_analysis.recording.curvature import LARGEST_SET
from slingshot_analysis.recording.curvature.shared import second_derivative_flops
from slingshot_analysis.recording.probes import PROBES
from slingshot_analysis.recording.probes._base import Probe
from slingshot_analysis.recording.probes._batch_probe import BatchProbe
from slingshot_analysis.recording.probes._curvature_probe import CurvatureProbe
from slingshot_analysis.recording.probes.batch import Batch
from slingshot_analysis.recording.schedule import Budget, Every
from slingshot_analysis.recording.subject import Subject

LIGHT = ("batch", "norms:10", "evaluation:1000")
ALWAYS = ("batch", "norms", "update_norm", "feature_change", "cosine_distance", "evaluation", "precision")
OPTIMIZER = ("effective_step", "effective_step_quantiles", "below_epsilon_fraction", "gradient_weight_cosine")
LAYERS = ("logit_margin", "mean_shares", "spectral_norm")
CURVATURE = ("hessian", "preconditioned", "update_sharpness")
STABILITY = ("update_ratio", "moments", "moment_lag", "gradient_spikes", "log_z", "non_finite")
CLIPPING = ("clip_coefficient", "loss_scale")
FORWARD = ("activation_kurtosis", "attention")

BUNDLES: dict[str, tuple[str, ...]] = {
    "light": LIGHT,
    "standard": (*ALWAYS, "features:1000", "hessian", "update_sharpness"),
    "full": (*ALWAYS, *OPTIMIZER, *LAYERS, *CURVATURE, "features:1000"),
    "stability": ("batch", "norms", "update_norm", "evaluation:1000", *STABILITY, *CLIPPING, *FORWARD),
}
"""Names of probes by the name of their bundle; ``NAME:N`` measures every N updates."""

EARLIER_BUNDLES = BUNDLES | {"standard": ALWAYS, "full": BUNDLES["full"][:-1]}
"""The bundles before features and curvature were part of the standard one; runs begun with them go on with them."""

BUDGETS = {"standard": 0.03, "full": 0.12}
"""Largest share of a run's time that the curvature of a bundle may take."""

LARGE = 10**6
"""Number of parameters above which bundles measure the change of the features every 20 updates: its two forward passes
would take more than a twentieth of the time of a large network that is trained on small batches."""

LARGEST_CURVATURE = 12 * 10**10
"""Floating-point operations of a product with the Hessian over all samples, up to which the standard bundle has
curvature. More takes several seconds of a core, and much memory."""


def choose_probes(
    wanted: str | Iterable[str | Probe],
    subject: Subject | None = None,
    curvature_budget: float | None = None,
    bundles: Mapping[str, tuple[str, ...]] = BUNDLES,
    budgets: Mapping[str, float] = BUDGETS,
) -> list[Probe]:
    """Return the probes of a recorder.

    Parameters
    ----------
    wanted : str, or iterable of str or Probe
        Names of bundles, names of probes, and probes; a string may have several names between commas.
        ``"hessian:50"`` measures every 50 updates. Probes of a bundle that do not fit the run are left out. A probe
        that is named twice is recorded as it was named last.
    subject : Subject, optional
        The run. Without it, bundles are complete.
    curvature_budget : float, optional
        Largest share of the run's time for curvature probes that are named without a number of updates. By default it
        is 0.03 for those of the standard bundle and 0.12 for those of the full one; others keep their own schedule.
    bundles : mapping, optional
        The bundles by name.
    budgets : mapping, optional
        The default share of each bundle that has one.

    Returns
    -------
    list of Probe
        One for each name, with its schedule.

    Raises
    ------
    InputError
        If a name is unknown, or no probe is named.
    """
    items = wanted.split(",") if isinstance(wanted, str) else list(wanted)
    shares = [budgets[item] for item in items if isinstance(item, str) and item in budgets]
    budget = Budget(curvature_budget if curvature_budget is not None else max(shares, default=budgets["standard"]))

    @cache
    def curvature_is_cheap() -> bool:
        return subject is None or _is_cheap(subject)

    def belongs(kind: type[Probe], bundle: str) -> bool:
        fits = subject is None or kind.fits(subject)
        return fits and (bundle != "standard" or not issubclass(kind, CurvatureProbe) or curvature_is_cheap())

    chosen: dict[str, Probe] = {}
    for item in items:
        if isinstance(item, Probe):
            chosen[f"{item.name} {item.every}"] = item
            continue
        bundle = bundles.get(item)
        for entry in bundle or (item,):
            name, _, every = entry.partition(":")
            if name not in PROBES:
                raise unknown_name("probe", name, [*PROBES, *BUNDLES])
            kind = PROBES[name]
            if bundle and not belongs(kind, item):
                continue
            if bundle and name == "feature_change" and subject is not None and _is_large(subject):
                every = "20"
            if every:
                chosen[name] = kind(every=Every(_whole_number(every, entry)))
            elif issubclass(kind, CurvatureProbe) and (bundle or curvature_budget is not None):
                chosen[name] = kind(every=budget)
            else:
                chosen[name] = kind()
    if not chosen:
        raise InputError("probes= is empty: name at least one")
    return list(chosen.values())


def without_logits(probes: Sequence[Probe]) -> list[Probe]:
    """Return the probes that need no logits, and the loss of the batch in place of those that do."""
    kept = [probe for probe in probes if not isinstance(probe, BatchProbe)]
    return kept if len(kept) == len(probes) else [Batch(loss_only=True), *kept]


def names_curvature(wanted: str | Iterable[str | Probe]) -> bool:
    """Return whether curvature is named, by itself or by the full bundle; the standard bundle does not name it."""
    kinds: list[type[Probe]] = []
    for item in wanted.split(",") if isinstance(wanted, str) else wanted:
        if isinstance(item, Probe):
            kinds.append(type(item))
        elif item != "standard":
            kinds += [PROBES[entry.partition(":")[0]] for entry in BUNDLES.get(item, (item,))]
    return any(issubclass(kind, CurvatureProbe) for kind in kinds)


def _is_large(subject: Subject) -> bool:
    return sum(parameter.numel() for parameter in subject.parameters.values()) > LARGE


def _is_cheap(subject: Subject) -> bool:
    """Return whether the curvature of a run is cheap enough for the standard bundle."""
    operations, data = second_derivative_flops(subject), subject.train_data
    # other sets than lists of batches are not counted, as this would read them once
    samples = sum(len(targets) for _, targets in data) if isinstance(data, list) else LARGEST_SET
    return operations is not None and operations * min(samples, LARGEST_SET) <= LARGEST_CURVATURE


def _whole_number(text: str, entry: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"probe {entry!r}: a number of updates must follow the colon, as in hessian:50")
    return int(text)
