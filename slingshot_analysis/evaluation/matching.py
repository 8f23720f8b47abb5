"""Match detected events with true events, one to one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from slingshot_analysis.errors import InputError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]


def match_events(found: npt.ArrayLike, true: npt.ArrayLike, margin: npt.ArrayLike) -> IntArray:
    """Match detected with true events, one to one: as many pairs as possible, and of these matchings the nearest.

    Parameters
    ----------
    found : (n,) array_like, updates
        Detected steps, in any order.
    true : (k,) array_like, updates
        True steps, in any order.
    margin : float or (k,) array_like, updates
        Largest distance of a pair, for all true events or for each.

    Returns
    -------
    (p, 2) int array
        Index into `found` and index into `true` of each pair, in the order of `true`. Of all matchings with the
        largest number of pairs, this one has the smallest sum of distances.

    Raises
    ------
    InputError
        If steps are not finite, or margins negative or of another length.

    References
    ----------
    .. [1] H. W. Kuhn, The Hungarian method for the assignment problem, 1955, doi:10.1002/nav.3800020109.

    Examples
    --------
    >>> match_events([12, 19, 50], [10, 20, 80], margin=15).tolist()
    [[0, 0], [1, 1]]
    >>> match_events([10, 14], [10, 7], margin=[4, 3]).tolist()
    [[1, 0], [0, 1]]
    """
    founds, trues = numbers(found, "found"), numbers(true, "true")
    margins = _margins(margin, len(trues))
    distance = np.abs(trues[:, None] - founds[None, :])
    allowed = distance <= margins[:, None]
    rows, columns = np.flatnonzero(allowed.any(axis=1)), np.flatnonzero(allowed.any(axis=0))
    if not len(rows):
        return np.empty((0, 2), dtype=np.intp)
    distance, allowed = distance[np.ix_(rows, columns)], allowed[np.ix_(rows, columns)]

    # A true event may also stay alone, in a column of its own. That costs more than any sum of distances, so that as
    # many pairs as possible are made, and a pair beyond its margin costs even more.
    alone = 1 + 2 * len(rows) * distance[allowed].max()
    cost = np.full((len(rows), len(columns) + len(rows)), alone)
    cost[:, : len(columns)] = np.where(allowed, distance, 3 * alone)
    chosen = _assign(cost)
    paired = chosen < len(columns)
    return np.stack([columns[chosen[paired]], rows[paired]], axis=1)


def _assign(cost: FloatArray) -> IntArray:
    """Assign each row a different column at the least total cost: the Hungarian method with shortest augmenting paths.

    `owner` holds the row of each column, or -1. A further column stands for "no column", where each path starts. The
    potentials `of_row` and `of_column` keep all reduced costs at 0 or more, and those of assigned pairs at 0.
    """
    rows, columns = cost.shape
    of_row, of_column = np.zeros(rows), np.zeros(columns + 1)
    owner = np.full(columns + 1, -1)
    for row in range(rows):
        owner[columns], at = row, columns
        least, before = np.full(columns, np.inf), np.full(columns, columns)
        visited = np.zeros(columns + 1, dtype=bool)
        # Extend the tree of shortest paths, column by column, until it reaches a column without a row.
        while owner[at] >= 0:
            visited[at] = True
            reduced = cost[owner[at]] - of_row[owner[at]] - of_column[:-1]
            shorter = ~visited[:-1] & (reduced < least)
            least[shorter], before[shorter] = reduced[shorter], at
            following = int(np.argmin(np.where(visited[:-1], np.inf, least)))
            step = least[following]
            of_row[owner[visited]] += step
            of_column[visited] -= step
            least[~visited[:-1]] -= step
            at = following
        # Along the path each row moves to the next column.
        while at != columns:
            owner[at] = owner[before[at]]
            at = before[at]
        owner[columns] = -1
    chosen = np.empty(rows, dtype=np.intp)
    taken = np.flatnonzero(owner >= 0)
    chosen[owner[taken]] = taken
    return chosen


def numbers(given: npt.ArrayLike, name: str) -> FloatArray:
    """Return a float64 array of one dimension.

    Parameters
    ----------
    given : (n,) array_like
        Finite numbers.
    name : str
        Name of the argument, for the error.

    Returns
    -------
    (n,) float array
        The numbers as float64.

    Raises
    ------
    InputError
        If `given` is anything else.
    """
    try:
        values = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: could not be read as an array of numbers ({error})") from error
    if values.ndim != 1 or not np.isfinite(values).all():
        raise InputError(f"{name}: give one finite number for each event, in one dimension")
    return values


def _margins(given: npt.ArrayLike, n: int) -> FloatArray:
    margins = np.asarray(given, dtype=np.float64)
    if margins.shape not in ((), (n,)) or not (margins >= 0).all():
        raise InputError(f"margin: give one number, 0 or more, or one for each of the {n} true events")
    return np.broadcast_to(margins, (n,))
