"""How sure a fit is: intervals of its parameters, rows in doubt, and the clusterings that the draws allow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bayesgmm.analysis import partitions
from bayesgmm.analysis.comparison import names_of
from bayesgmm.frames import to_rows
from bayesgmm.plots.style import MARKERS, on_axes, plain, quantity_column, style
from bayesgmm.validation import brief, check_number, check_option

QUANTITIES = {"weights": "weight", "means": "mean of {}", "standard_deviations": "standard deviation of {}"}
"""Quantities that `plot_intervals` draws, with the words on the axis."""

LETTER = 8.3
"""Size of letters in legends, in points."""

BESIDE = 3
"""Components beside each other in a legend."""

MOST_ROWS = 2000
"""Rows that `plot_similarity` shows; of more, so many evenly spread ones."""

NARROW = 0.035
"""Share of the heat map below which a cluster is too narrow for its name."""

BOUNDS = ("upper", "lower", "horizontal")


def plot_intervals(
    uncertainty: Any,
    quantity: str = "means",
    prob: float = 0.94,
    others: Mapping[str, Any] | None = None,
    column: int | str | None = None,
    ax: Any = None,
):
    """Mean and interval of a parameter, a line for each component; other methods beside it.

    Parameters
    ----------
    uncertainty : Uncertainty
    quantity : {"means", "weights", "standard_deviations"}
    prob : float, default 0.94
        Share of the draws in each interval.
    others : dict of str to Uncertainty, optional
        More draws for the same components, from other methods say, by the name for the legend.
    column : int or str, optional
        Column of the data whose means or standard deviations are drawn, by number (from 0) or name; the first by default.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
        Colours tell components, markers tell methods.

    Raises
    ------
    ValueError
        An option that does not exist; ``others`` with other components or columns.
    """
    check_option("quantity", quantity, QUANTITIES)
    j, name = quantity_column(uncertainty.feature_names, quantity, column)
    sources = [(uncertainty.method.replace("_", " ").replace("gibbs", "Gibbs"), uncertainty), *_checked_others(uncertainty, others)]
    found = [each.intervals(prob)[quantity] for _, each in sources]
    if len({each.mean.shape for each in found}) > 1:
        raise ValueError(f"others must have as many {quantity.replace('_', ' ')} as uncertainty: one structure of covariances for all.")
    count, tied = len(found[0].mean), len(found[0].mean) < uncertainty.draws["weights"].shape[1]
    ax = on_axes(ax, (6.0, 1.1 + 0.2 * len(found) + (0.2 + 0.22 * len(found)) * count))
    for i, each in enumerate(found):
        _rungs(each, j, i, len(found), tied, ax)
    for i, (label, _) in enumerate(sources):
        ax.plot([], [], color="black", label=label, **_method_style(i))
    ax.set_yticks(range(count), ["all components" if tied else f"component {k + 1}" for k in range(count)])
    ax.set(xlabel=QUANTITIES[quantity].format(name), ylim=(count - 0.5, -0.5 - _room(ax, len(found) + 1, count)))
    ax.tick_params(axis="y", length=0)
    ax.legend(title=f"mean and {100 * prob:.3g}% interval", title_fontsize=LETTER, fontsize=LETTER, frameon=False, loc="upper right")
    return _plain(ax)


def _checked_others(uncertainty: Any, others: Mapping[str, Any] | None) -> list[tuple[str, Any]]:
    if others is None:
        return []
    if not isinstance(others, Mapping) or not all(hasattr(each, "intervals") for each in others.values()):
        raise ValueError(f"others must be a dictionary of names and answers of model.uncertainty; got {brief(others)}.")
    k, d = uncertainty.draws["means"].shape[1:]
    for label, each in others.items():
        if each.draws["means"].shape[1:] != (k, d):
            other = each.draws["means"].shape[1:]
            raise ValueError(
                f"others must have the components and columns of uncertainty, {k} and {d}; {label!r} has {other[0]} and {other[1]}."
            )
    return [(str(label), each) for label, each in others.items()]


def _method_style(i: int) -> dict[str, Any]:
    return {"marker": MARKERS[i % len(MARKERS)], "linewidth": 1.8, "markersize": 6}


def _rungs(found: Any, j: int | None, i: int, n: int, tied: bool, ax) -> None:
    """Intervals of one of n methods: for each component a line from lower to upper, with a marker at the mean."""
    for k in range(len(found.mean)):
        at = k if j is None else (k, j)
        height = k + (i - (n - 1) / 2) * 0.7 / max(n, 2)
        span = [found.lower[at], found.mean[at], found.upper[at]]
        ax.plot(span, [height] * 3, color="black" if tied else style(k)[0], markevery=[1], solid_capstyle="butt", **_method_style(i))


def _room(ax, lines: int, count: int) -> float:
    """Height that a legend of so many lines takes above ``count`` items that share the rest of an axes, in items."""
    share = LETTER * (1.45 * lines + 1.2) / _points_high(ax)
    return count * share / (1 - min(share, 0.6))


def _points_high(ax) -> float:
    return ax.get_window_extent().height / ax.figure.dpi * 72


def _plain(ax):
    """Faint lines at the ticks of the values, and no frame."""
    ax.grid(axis="x", color="#e6e6e6", linewidth=0.7)
    ax.set_axisbelow(True)
    ax.spines[["top", "right", "left"]].set_visible(False)
    return ax


def plot_memberships(uncertainty: Any, ax: Any = None, prob: float = 0.94, n_rows: int = 40):
    """The rows least surely placed: probability of the most probable component, with its interval, the least certain row on top.

    Parameters
    ----------
    uncertainty : Uncertainty
    ax : matplotlib Axes, optional
    prob : float, default 0.94
        Share of the draws in each interval.
    n_rows : int, default 40
        Rows to show; all, where there are fewer.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        A number out of its range.
    """
    check_number("n_rows", n_rows, 1, integer=True)
    check_number("prob", prob, 0, high=1, strict=True)
    found = uncertainty.memberships(prob)
    best = found.mean.argmax(1)
    chance, lower, upper = (np.take_along_axis(each, best[:, None], 1)[:, 0] for each in (found.mean, found.lower, found.upper))
    rows = np.argsort(chance, kind="stable")[:n_rows]
    ax = on_axes(ax, (6.0, 1.2 + 0.17 * max(len(rows), 8)))
    height = np.arange(len(rows))
    for k in np.unique(best[rows]):
        mine, (colour, marker) = best[rows] == k, style(k)
        some = rows[mine]
        ax.hlines(height[mine], lower[some], upper[some], color=colour, linewidth=1.8)
        ax.plot(chance[some], height[mine], marker, color=colour, markersize=5, label=f"component {k + 1}")
    room = _room(ax, -(-len(np.unique(best[rows])) // BESIDE), len(rows))
    letters = float(np.clip(0.85 * _points_high(ax) / (len(rows) + room), 4, 9))
    ax.set_yticks(height, [str(row) for row in rows], fontsize=letters)
    ax.tick_params(axis="y", length=0)
    ax.set(xlim=(0, 1.01), ylim=(len(rows) - 0.4, -0.6 - room), ylabel="row, counted from 0")
    ax.set_xlabel(f"probability of the most probable component, {100 * prob:.3g}% interval")
    ax.legend(frameon=False, fontsize=LETTER, loc="upper left", ncols=BESIDE)
    return _plain(ax)


def plot_similarity(uncertainty: Any, ax: Any = None):
    """Heat map of the probability that two rows are in one cluster, rows in the order of `uncertainty.partition()`.

    Parameters
    ----------
    uncertainty : Uncertainty
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
        Lines part the clusters of the partition; within a cluster the surest row, that with the greatest mean probability of being with
        the others, stands first. Of more than 2000 rows an evenly spread part is shown.
    """
    n = uncertainty.labels.shape[1]
    chosen = np.unique(np.linspace(0, n - 1, min(n, MOST_ROWS)).round().astype(int))
    together = uncertainty.similarity if len(chosen) == n else partitions.similarity(uncertainty.labels[:, chosen])
    cluster = uncertainty.partition().labels[chosen]
    order = _by_cluster(together, cluster)
    ax = on_axes(ax, (6.0, 5.0))
    picture = ax.imshow(together[np.ix_(order, order)], cmap="Greys", vmin=0, vmax=1, aspect="equal")
    ax.figure.colorbar(picture, ax=ax, label="probability of one cluster", shrink=0.85)
    names, sizes = np.unique(cluster, return_counts=True)
    edges = np.concatenate([[0], np.cumsum(sizes)]) - 0.5
    for edge in edges[1:-1]:
        ax.axhline(edge, color=style(1)[0], linewidth=1.2)
        ax.axvline(edge, color=style(1)[0], linewidth=1.2)
    wide = sizes >= NARROW * len(chosen)
    middle = (edges[:-1] + edges[1:])[wide] / 2
    ax.set_yticks(middle, [f"cluster {k + 1}\n{size:,} rows" for k, size in zip(names[wide], sizes[wide], strict=True)])
    ax.set_xticks(middle, [str(k + 1) for k in names[wide]])
    ax.tick_params(length=0)
    part = "" if len(chosen) == n else f": {len(chosen):,} of {n:,}, evenly spread"
    ax.set_xlabel(f"rows by cluster, surest first{part}")
    return ax


def _by_cluster(together: np.ndarray, cluster: np.ndarray) -> np.ndarray:
    """Rows by cluster, and within it by falling mean similarity to its rows."""
    sure = np.array([together[i, cluster == k].mean() for i, k in enumerate(cluster)])
    return np.lexsort((-sure, cluster))


def plot_credible_ball(
    uncertainty: Any,
    X: Any = None,
    prob: float = 0.95,
    loss: str = "vi",
    columns: tuple[int | str, int | str] = (0, 1),
    axes: Any = None,
):
    """The point partition and the extremes of its credible ball side by side; rows placed otherwise have a ring.

    Parameters
    ----------
    uncertainty : Uncertainty
    X : array or data frame, shape (N, D), optional
        What to draw the rows by; by default the data.
    prob : float, default 0.95
        Share of the draws in the ball.
    loss : {"vi", "binder"}, default "vi"
    columns : (int, int) or (str, str)
        The two columns to show. A single column is drawn against the number of the row.
    axes : sequence of four matplotlib Axes, optional
        Those that are not needed are hidden.

    Returns
    -------
    ndarray of matplotlib Axes
        One for the point partition, and one for each of the upper bound (fewest clusters), the lower bound (most) and the horizontal
        bound (farthest); where these are the same partition, one for all. Of several partitions equally far the first is drawn.

    Raises
    ------
    ValueError
        An option that does not exist; ``X`` of other length; fewer axes than partitions to draw.

    References
    ----------
    Wade & Ghahramani (2018), Bayesian Analysis 13.
    """
    check_number("prob", prob, 0, high=1, strict=True)
    check_option("loss", loss, partitions.LOSSES)
    points, names = _points(uncertainty, X, columns)
    centre = uncertainty.partition(loss).labels
    drawn = _partitions(centre, uncertainty.credible_ball(prob, loss), loss)
    panels = _panels(axes, len(drawn))
    for ax, (title, labels) in zip(panels, drawn.items(), strict=True):
        _clusters(points, labels, labels != centre, ax)
        ax.set_title(title, fontsize="medium")
        ax.set(xlabel=names[0], ylabel=names[1] if axes is not None or ax is panels[0] else "")
    return panels


def _points(uncertainty: Any, X: Any, columns: tuple) -> tuple[np.ndarray, list[str]]:
    """The two columns (N, 2) to draw, with their names."""
    values, names = uncertainty._values, list(uncertainty.feature_names)
    if X is not None:
        n, (values, given) = len(values), to_rows(X)
        if values.ndim != 2 or len(values) != n:
            raise ValueError(f"X must have the {n} rows of the fit; got shape {values.shape}.")
        same = values.shape[1] == len(names)
        names = list(given or (names if same else [f"x{j}" for j in range(values.shape[1])]))
    if len(names) == 1:
        return np.column_stack([values[:, 0], np.arange(len(values))]), [plain(names[0]), "row, counted from 0"]
    if not isinstance(columns, (tuple, list)) or len(columns) != 2:
        raise ValueError(f"columns must be a pair of columns, by number or name; got {brief(columns)}.")
    places = [
        names.index(check_option("columns", c, names))
        if isinstance(c, str)
        else int(check_number("columns", c, 0, high=len(names) - 1, integer=True))
        for c in columns
    ]
    return values[:, places], [plain(names[j]) for j in places]


def _partitions(centre: np.ndarray, ball: Any, loss: str) -> dict[str, np.ndarray]:
    """Title and labels of what is to be drawn: labels are those of the centre wherever the clusters match."""
    bounds: dict[bytes, tuple[list[str], np.ndarray]] = {}
    for name in BOUNDS:
        labels = getattr(ball, name)[0]
        bounds.setdefault(labels.tobytes(), ([], labels))[0].append(name)
    drawn = {f"point partition\n{_clusters_of(centre)}": centre}
    for words, labels in bounds.values():
        away = partitions.distance(centre, labels, loss)
        far = f"{away:.2g} nats away" if loss == "vi" else f"{100 * away:.2g}% of pairs differ"
        title = f"{', '.join(words[:-1])}{' and ' if len(words) > 1 else ''}{words[-1]} bound{'s' * (len(words) > 1)}"
        drawn[f"{title}\n{_clusters_of(labels)}, {far}"] = _matched(centre, labels)
    return drawn


def _clusters_of(labels: np.ndarray) -> str:
    k = len(np.unique(labels))
    return f"{k} cluster{'s' * (k != 1)}"


def _matched(centre: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Labels renamed after the clusters of the centre with which they share most rows; clusters left over get new names."""
    shared = np.zeros((labels.max() + 1, centre.max() + 1))
    np.add.at(shared, (labels, centre), 1)
    return names_of(shared)[labels]


def _panels(axes: Any, n: int) -> np.ndarray:
    if axes is None:
        import matplotlib.pyplot as plt

        return plt.subplots(1, n, figsize=(3.6 * n + 0.4, 3.9), sharex=True, sharey=True, layout="constrained", squeeze=False)[1][0]
    given = np.ravel(np.array(axes, dtype=object))
    if len(given) < n:
        raise ValueError(f"axes must be four Axes, or as many as there are partitions to draw, {n}; got {len(given)}.")
    for ax in given[n:]:
        ax.set_visible(False)
    return given[:n]


def _clusters(points: np.ndarray, labels: np.ndarray, differs: np.ndarray, ax) -> None:
    for k in np.unique(labels):
        colour, marker = style(k)
        mine = labels == k
        label = f"cluster {k + 1}: {mine.sum()} rows"
        ax.scatter(*points[mine].T, s=16, c=colour, marker=marker, alpha=0.7, linewidths=0, label=label)
    if differs.any():
        label = f"placed otherwise: {differs.sum()}"
        ax.scatter(*points[differs].T, s=46, facecolors="none", edgecolors="black", linewidths=0.9, label=label)
    ax.legend(framealpha=0.85, edgecolor="none", fontsize="small")
    ax.spines[["top", "right"]].set_visible(False)
