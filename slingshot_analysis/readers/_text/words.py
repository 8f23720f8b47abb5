"""The vocabulary of training logs: which words name a counter, a side of the data, a loss or an accuracy."""

from __future__ import annotations

import re

SIDES = {
    "train": ("train", "training", "trn", "learn"),
    "val": ("val", "valid", "validation", "validate", "validating", "dev", "development"),
    "eval": ("eval", "evaluation", "evaluate", "evaluating"),
    "test": ("test", "testing", "tst"),
}
"""For each split of the data, the words that name it."""

BARE_SIDES = ("train", "training", "val", "valid", "validation", "dev", "test", "learn")
"""Names of a split that do not say what is measured."""

EPOCHS = ("epoch", "epochs", "ep", "epoch_id", "epoch_num", "epoch_no", "epoch_idx", "epoch_number", "round")

ITERATIONS = (
    "global_step", "global_steps", "globalstep", "global_iter", "global_iteration", "num_updates", "total_timesteps",
    "num_timesteps", "timesteps", "total_steps", "current_steps", "step", "steps", "iteration", "iterations", "iter",
    "iters", "it", "itr", "ite", "n_iter", "niter", "iter_num", "update", "updates", "n_updates", "optimizer_step",
    "opt_step", "step_num", "step_idx", "kimg", "tick", "episode", "episodes", "s", "lead", "of", "batch", "batches",
    "batch_id", "batch_idx", "batch_no", "batch_num", "batch_index", "batchid", "minibatch", "mini_batch", "mb", "i",
)  # fmt: skip
"""Names of counters of updates, first those that never restart; ``lead`` and ``of`` are numbers without a name."""

AROUND_COUNTERS = (
    "train", "training", "val", "valid", "validation", "test", "eval", "current", "cur", "end", "of", "the", "at",
    "after", "start", "starting", "finished", "begin", "this", "in", "on", "now", "done", "total", "global", "trainer",
)  # fmt: skip
"""Words that may stand around the name of a counter."""

LOSS = (
    "loss", "losses", "cost", "nll", "xent", "crossentropy", "logloss", "mlogloss", "bce", "ce", "mse", "objective",
    "objf", "elbo", "trl", "tel",
)  # fmt: skip
ACCURACY = ("acc", "accs", "accuracy", "accuracies", "top1", "prec@1", "acc@1", "aacc")
NO_LOSS = (
    "ppl", "perplexity", "scale", "scaler", "weight", "weights", "coef", "coefficient", "time", "ratio", "lr", "std",
    "var", "count", "function", "type", "fn",
)  # fmt: skip
"""Words beside which a name with loss is no loss."""

SUMMARY = (
    "best", "min", "max", "minimum", "maximum", "lowest", "highest", "improved", "improve", "decreased", "increased",
    "previous", "prev", "patience", "threshold", "target", "final", "from", "until", "since", "estimated", "expected",
)  # fmt: skip
"""Words of summaries, such as a best value."""

WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
SIDE_OF_WORD = {word: side for side, words in SIDES.items() for word in words}


def plain(name: str) -> str:
    """Return a name in lower case, with every other character than letters and digits as ``_``."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _words(text: str) -> list[str]:
    return [word.lower() for word in WORD.findall(text)]


def side_of(name: str) -> str | None:
    """Return the split that a name contains.

    Examples
    --------
    >>> side_of("valLoss"), side_of("TEST_ACC"), side_of("loss")
    ('val', 'test', None)
    """
    return next((SIDE_OF_WORD[word] for word in _words(name) if word in SIDE_OF_WORD), None)


SIDE = "|".join(SIDE_OF_WORD)
WHOLE = re.compile(rf"(?<![\w./-])({SIDE})(?![\w/-]|\.\w)|[\"']({SIDE})_[a-z]+[\"'](?!\s*:)", re.IGNORECASE)


def sides_in(text: str) -> list[str]:
    """Return the splits that are named by whole words of a text, not within paths and names."""
    return list(dict.fromkeys(SIDE_OF_WORD[(word or value).lower()] for word, value in WHOLE.findall(text)))


def counter_of(name: str) -> tuple[str, str] | None:
    """Return the kind of counter that a name is, ``epoch`` or ``iteration``, and its bare name.

    Examples
    --------
    >>> counter_of("Train Epoch"), counter_of("global_step"), counter_of("batch size")
    (('epoch', 'epoch'), ('iteration', 'global_step'), None)
    """
    whole = plain(name)
    short = "_".join(word for word in whole.split("_") if word not in AROUND_COUNTERS)
    for bare in (whole, short):
        if bare in EPOCHS:
            return "epoch", bare
        if bare in ITERATIONS and bare not in ("lead", "of"):
            return "iteration", bare
    return None


def is_loss(name: str) -> bool:
    """Return whether a name is that of a loss.

    Examples
    --------
    >>> is_loss("train/CrossEntropyLoss"), is_loss("loss_scale"), is_loss("ppl")
    (True, False, False)
    """
    words = _words(name)
    whole = plain(name)
    return (
        (any(word in LOSS for word in words) or "cross_entropy" in "_".join(words))
        and not any(word in NO_LOSS for word in words)
        and not whole.endswith(("batch_cost", "reader_cost", "data_cost"))
        and not is_summary(name)
    )


def is_accuracy(name: str) -> bool:
    """Return whether a name is that of an accuracy."""
    words = _words(name)
    return any(word in ACCURACY for word in words) or name.lower().endswith(("top1", "prec@1", "acc@1"))


def is_summary(name: str) -> bool:
    """Return whether a name is that of a summary, such as a best value."""
    return any(word in SUMMARY for word in _words(name))
