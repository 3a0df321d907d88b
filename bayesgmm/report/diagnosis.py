"""What speaks for and against a fit, in words. Components count from 1, rows from 0."""

from __future__ import annotations

import textwrap
from typing import Any, NamedTuple

import numpy as np

from bayesgmm.analysis.facts import notes
from bayesgmm.analysis.importance import TRUSTED
from bayesgmm.analysis.predictive_checks import LEVEL
from bayesgmm.analysis.response import SLOW
from bayesgmm.inference.restarts import SAME
from bayesgmm.report.combination import named
from bayesgmm.report.shape import few_rows, listed, not_gaussian, overlaps
from bayesgmm.report.text import WIDTH, number

FINE, ATTENTION, UNKNOWN = "fine", "attention", "unknown"

WORSE = 2.0
"""Nats by which a second search may end lower without being said to end elsewhere."""

LIKELY = 0.5
"""Probability of a single mode from which two components are said to be one cluster."""

MOST_NAMED = 5

NOT_JUDGED = "Not judged, because columns depend on one another or a component has collapsed: see convergence."


class Check(NamedTuple):
    """One thing that was looked at.

    Attributes
    ----------
    name : str
    verdict : str
        "fine", "attention" or "unknown".
    text : str
    """

    name: str
    verdict: str
    text: str


def checks(found: Any) -> tuple[Check, ...]:
    """All checks of a diagnosis."""
    said = [convergence(found), starts(found), told_apart(found), tails(found), shapes(found), sizes(found), clusters(found)]
    return tuple(check for check in [*said, predicted(found), driven(found)] if check is not None)


def printed(found: Any) -> str:
    """One page."""
    said = found.checks
    wide = max(len(check.name) for check in said)
    lines = [textwrap.fill(heading(found, said), WIDTH), ""]
    for check in said:
        lead = f"{check.verdict.upper() if check.verdict == ATTENTION else check.verdict:<11}{check.name:<{wide + 2}}"
        lines.append(textwrap.fill(check.text, WIDTH, initial_indent=lead, subsequent_indent=" " * len(lead)))
    return "\n".join(lines)


def heading(found: Any, said: tuple[Check, ...]) -> str:
    """What was looked at, and how many checks call for attention."""
    model, (n, d) = found.model, found._values.shape
    k = model.n_components_
    kind = model.covariance_type.replace("diag", "diagonal").replace("_", " ")
    what = f"{k} component{'s' * (k != 1)}, {kind} covariances, {n} rows, {d} column{'s' * (d != 1)}"
    return f"{what}: {verdict(said)}"


def verdict(said: tuple[Check, ...]) -> str:
    """How many checks call for attention, and which."""
    concerns = [check.name for check in said if check.verdict == ATTENTION]
    if not concerns:
        return f"None of the {len(said)} checks calls for attention."
    return f"{len(concerns)} of {len(said)} checks call{'s' * (len(concerns) == 1)} for attention ({', '.join(concerns)})."


def convergence(found: Any) -> Check:
    """Whether the loop ended, on a model that has components with a spread."""
    model = found.model
    said = notes(model, found.feature_names)
    ended = [f"Converged after {model.n_iter_} pass{'es' * (model.n_iter_ != 1)}."] if model.converged_ else []
    return Check("convergence", ATTENTION if said else FINE, " ".join([*ended, *said]))


def doubtful(found: Any) -> bool:
    """Whether the fit has a ridge or a collapsed component, so that its shape is not that of the rows."""
    return bool(len(found.model._dependent)) or bool(getattr(found.model, "collapsed_", ()))


def agreeing(model: Any) -> int:
    """Starts that reach the fit; 0 where components left after the starts, so that they say nothing of it."""
    if model.n_components_ < model.n_components or model.n_starts_ == 1:
        return 0
    return round(model.restart_agreement_ * model.n_starts_)


def starts(found: Any) -> Check:
    """Whether another search ends at the same place."""
    model, same = found.model, agreeing(found.model)
    if same > 1:
        return Check("starts", FINE, f"{same} of {model.n_starts_} starts reach this fit.")
    if not model.converged_:
        return Check("starts", UNKNOWN, "The fit has not converged, so that searches cannot be compared.")
    if found.search is None:
        return Check("starts", UNKNOWN, "The fit began where it was told to; whether other starts lead elsewhere is not known.")
    first = f"1 of {model.n_starts_} starts reaches this fit. " if same == 1 else ""
    k, gain = found.search
    kept = f"{k} component{'s' * (k != 1)}"
    if abs(gain) <= SAME and k == model.n_components_:
        return Check("starts", FINE, f"{first}A second search, from other starts, ends at the same {kept}.")
    where = f"{abs(gain):.1f} nats {'higher' if gain > 0 else 'lower'} with {kept}"
    if -WORSE <= gain <= SAME and k == model.n_components_:
        return Check("starts", FINE, f"{first}A second search, from other starts, ends only {where}.")
    advice = "Fit again with a larger n_init, or let bg.select search."
    return Check(
        "starts", ATTENTION, f"{first}A second search, from other starts, ends {where}: the answer depends on the starts. {advice}"
    )


def told_apart(found: Any) -> Check | None:
    """Contraction of the passes."""
    if found.model.n_components_ == 1:
        return None
    if found.uncertainty is None:
        return Check("contraction", UNKNOWN, f"Not known, for want of standard errors. {found.reason}")
    value = found.contraction
    left = f"A pass leaves {value:.0%} of an error (contraction {value:.3f}"
    if value > SLOW:
        hint = ' Compare intervals with method="gibbs".' if found.model._bayesian else " Compare intervals with a bootstrap."
        return Check("contraction", ATTENTION, f"{left}, above {SLOW}): some components can hardly be told apart.{hint}")
    return Check("contraction", FINE, f"{left}, below {SLOW}): components are told apart.")


def tails(found: Any) -> Check | None:
    """Importance weights."""
    if not found.model._bayesian or found.model.n_components_ == 1:
        return None
    if np.isnan(found.k_hat):
        why = "Some components are known (frozen)" if found.model.posterior_.n_known else "Too many parameters"
        return Check("posterior", UNKNOWN, f"{why}: no importance weights.")
    if found.k_hat > TRUSTED:
        advice = 'intervals around the fit are not to be trusted; use uncertainty(X, method="gibbs").'
        return Check(
            "posterior", ATTENTION, f"k-hat {found.k_hat:.2f}, above {TRUSTED}: the posterior is not shaped as the fit is, and {advice}"
        )
    return Check("posterior", FINE, f"k-hat {found.k_hat:.2f}, below {TRUSTED}: the posterior is shaped as the intervals take it to be.")


def shapes(found: Any) -> Check:
    """Third and fourth moments of each component."""
    if doubtful(found):
        return Check("shape", UNKNOWN, NOT_JUDGED)
    said, p = not_gaussian(found.shape), found.shape.p_value
    if said:
        return Check("shape", ATTENTION, said)
    tested = np.isfinite(p)
    if not tested.any():
        return Check("shape", UNKNOWN, "No component has rows enough to test its shape.")
    least = int(np.nanargmin(p))
    left = listed([str(k + 1) for k in np.flatnonzero(~tested)])
    rest = f" Too few rows to test: {left}." if left else ""
    return Check(
        "shape", FINE, f"Skewness and tails of all components are Gaussian (smallest p = {p[least]:.2f}, component {least + 1}).{rest}"
    )


def sizes(found: Any) -> Check:
    """Rows of each component beside its parameters."""
    said = few_rows(found.shape)
    if said:
        return Check("size", ATTENTION, said)
    if len(found._rows) == 1:
        return Check("size", FINE, "The component has at least as many rows as parameters.")
    said = f"Each component has at least as many rows as parameters of its own; the smallest has {found._rows.min():.4g}."
    return Check("size", FINE, said)


def clusters(found: Any) -> Check | None:
    """Whether components are clusters."""
    k = found.model.n_components_
    if k == 1:
        return None
    i, j = np.triu_indices(k, 1)
    p = found.one_mode[i, j]
    pairs = [f"{i[n] + 1} and {j[n] + 1} (probability {p[n]:.2f})" for n in np.argsort(-p, kind="stable") if p[n] >= LIKELY]
    top = int(p.argmax())
    most = f"at most {p[top]:.2f} ({i[top] + 1} and {j[top] + 1})" if p[top] >= 0.005 else "below 0.01 for any two"
    said = [f"Probability that two components have a single mode together: {most}."]
    if pairs:
        said = [f"Components with a single mode together, so one cluster in this sense: {listed(pairs)}."]
    if len(found.groups) < k and (pairs or found.shape.overlaps):
        groups = ", ".join(named(group) for group in found.groups)
        said.append(f"Combining by entropy up to the elbow would give {len(found.groups)} clusters: {groups} (bg.combine).")
    return Check("clusters", ATTENTION if pairs else FINE, " ".join([*said, overlaps(found.shape)]).strip())


def predicted(found: Any) -> Check:
    """Data drawn from the fit beside the data."""
    if doubtful(found):
        return Check("prediction", UNKNOWN, NOT_JUDGED)
    checked, names, said = found.predictive, found.feature_names, []
    if len(checked.columns):
        parts = [f"{names[j]} (p = {checked.column_p[j]:.3f}, distance {checked.column_distance[j]:.2f})" for j in checked.columns]
        said.append(f"Data drawn from the fit have another distribution of {listed(parts)}.")
    if checked.density_p <= LEVEL:
        lower = checked.density < 0
        gap = f"{abs(checked.density):.2f} nats a row {'below' if lower else 'above'} that of drawn data (p = {checked.density_p:.3f})"
        lie = "beside the components" if lower else "nearer to the centres than those of a Gaussian"
        said.append(f"The mean log density of the rows is {gap}: they lie {lie}.")
    if checked.outlier_p <= LEVEL:
        many, rows = len(checked.outliers) > 1, listed([str(int(row)) for row in checked.outliers])
        which = f"Row{'s' * many} {rows} {'are' if many else 'is'}"
        said.append(f"{which} less likely than any row of nearly all data sets drawn from the fit (p = {number(checked.outlier_p)}).")
    if said:
        return Check("prediction", ATTENTION, " ".join(said))
    worst, n = int(checked.column_p.argmin()), len(found._values)
    part = f" Columns and density by {checked.n_rows} rows drawn at random." if checked.n_rows < n else ""
    return Check(
        "prediction",
        FINE,
        f"Data drawn from the fit look like these: distribution of columns (smallest p = {checked.column_p[worst]:.2f}, {names[worst]}), "
        f"mean log density (p = {checked.density_p:.2f}), least likely row (p = {checked.outlier_p:.2f}).{part}",
    )


def driven(found: Any) -> Check:
    """Rows without which an estimate would be another."""
    if found.influence is None:
        return Check("single rows", UNKNOWN, "Without standard errors it cannot be said what moving an estimate far is.")
    some = found.influence
    parts = [_moved(found, r) for r in range(len(some.rows)) if some.rows[r] in some.driving][:MOST_NAMED]
    if parts:
        more = len(some.driving) - len(parts)
        rest = f" And {more} more row{'s' * (more > 1)}." if more else ""
        return Check("single rows", ATTENTION, f"Left out, single rows move estimates far: {'; '.join(parts)}.{rest}")
    return Check("single rows", FINE, f"No single row, left out, moves an estimate farther than usual. The most: {_moved(found, 0)}.")


def _moved(found: Any, r: int) -> str:
    """What leaving out one row moves most."""
    some, names = found.influence, found.feature_names
    if not np.isfinite(some.moved[r]).all():
        return f"without row {some.rows[r]} a component collapses"
    k, p = np.unravel_index((np.abs(some.moved[r]) / some.bars[:, None]).argmax(), some.moved[r].shape)
    d = len(names)
    what = "weight" if p == 0 else f"mean of {names[p - 1]}" if p <= d else f"standard deviation of {names[p - 1 - d]}"
    of = "all components" if p > d and found.model.covariance_type.startswith("tied") else f"component {k + 1}"
    return f"row {some.rows[r]} the {what} of {of} by {some.moved[r][k, p]:+.2f} standard errors (usual: up to {some.bars[k]:.2f})"
