"""A fit as text that reads like a statistician's summary."""

from __future__ import annotations

import textwrap

from bayesgmm.analysis.facts import Facts

WIDTH = 110
WIDE = 5
"""With more columns than this, the table has a line for each column instead of one for each component."""


def number(value: float) -> str:
    """Four significant digits, without an exponent where that is readable."""
    if value == 0:
        return "0"
    magnitude = abs(value)
    if 1e-3 <= magnitude < 1e7:
        digits = max(0, 3 - len(str(int(magnitude))) + (1 if magnitude < 1 else 0)) if magnitude >= 1 else 3
        return f"{value:.{digits}f}"
    return f"{value:.3g}"


def heading(facts: Facts) -> str:
    """What was fitted to what."""
    columns = f"{facts.n_features} column{'s' * (facts.n_features > 1)}"
    shown = ", ".join(facts.columns[:8]) + (", ..." if facts.n_features > 8 else "")
    weighted = "" if facts.n_rows == facts.n_samples else f" (total weight {number(facts.n_rows)})"
    covariances = facts.covariance_type.replace("diag", "diagonal").replace("_", " ")
    return f"{facts.title}: {facts.n_samples} rows{weighted}, {columns} ({shown}). {facts.method}, {covariances} covariances."


def kept(facts: Facts) -> str:
    """How many components there are."""
    plural = "component" + "s" * (facts.n_components != 1)
    if facts.bound is None:
        return f"{facts.n_components} {plural}."
    return f"{facts.n_components} {plural} kept of {facts.n_asked}."


def table(facts: Facts) -> str:
    """Weights, means and standard deviations."""
    names = [f"{c} ({u})" if u else c for c, u in zip(facts.columns, facts.units, strict=True)]
    cells = [[f"{number(m)} ± {number(s)}" for m, s in zip(*pair, strict=True)] for pair in zip(facts.means, facts.spreads, strict=True)]
    weights, rows = [f"{w:.3f}" for w in facts.weights], [str(r) for r in facts.rows]
    if facts.n_features <= WIDE:
        head = ["", "weight", *names, "rows"]
        lines = [[str(k + 1), weights[k], *cells[k], rows[k]] for k in range(facts.n_components)]
        return aligned([head, *lines]) + "\n(mean ± standard deviation within the component)"
    head = ["component", *(str(k + 1) for k in range(facts.n_components))]
    lines = [["weight", *weights], ["rows", *rows]]
    lines += [[name, *(cells[k][j] for k in range(facts.n_components))] for j, name in enumerate(names)]
    return aligned([head, *lines]) + "\n(mean ± standard deviation within the component)"


def aligned(lines: list[list[str]]) -> str:
    """Columns of equal width, the first to the left and the others to the right."""
    widths = [max(len(line[j]) for line in lines) for j in range(len(lines[0]))]
    pad = [lambda s, w: s.ljust(w)] + [lambda s, w: s.rjust(w)] * (len(widths) - 1)
    return "\n".join("   ".join(f(s, w) for f, s, w in zip(pad, line, widths, strict=True)).rstrip() for line in lines)


def sentences(facts: Facts) -> list[str]:
    """Bound, criteria, k-means, doubt, convergence: one sentence or two each."""
    said = [bound(facts), likelihood(facts), beside_kmeans(facts), doubt(facts), ended(facts), *(f"Note: {note}" for note in facts.notes)]
    return [sentence for sentence in said if sentence]


def bound(facts: Facts) -> str:
    """The bound, what equivalent labellings and overlap add to it."""
    if facts.bound is None:
        return ""
    said = f"Evidence lower bound {facts.bound:.4f} nats (exact, all constants kept, in the units of the data)"
    said += f"; its relabelled copies add {facts.multiplicity:.2f}"
    if facts.evidence is None or facts.evidence.contraction <= 0:
        return f"{said}."
    return f"{said}, the overlap of components {facts.evidence.response:.2f}: evidence about {facts.evidence.total:.2f}."


def likelihood(facts: Facts) -> str:
    """Log-likelihood and criteria."""
    at = "At the posterior means: log-likelihood" if facts.bound is not None else "Log-likelihood"
    criteria = ", ".join(f"{name.upper()} {value:.2f}" for name, value in facts.criteria.items())
    return f"{at} {facts.log_likelihood:.4f} with {facts.n_parameters} parameters; {criteria} (smaller is better)."


def beside_kmeans(facts: Facts) -> str:
    """What k-means finds with as many clusters."""
    if facts.kmeans_agreement is None:
        return ""
    sizes = ", ".join(str(n) for n in facts.kmeans_rows or ())
    same = f"{facts.kmeans_agreement} of {facts.n_samples} rows"
    return f"k-means with {facts.n_components} clusters (standardised columns) finds {sizes} rows and agrees on {same}."


def ended(facts: Facts) -> str:
    """How the search ended."""
    how = "Converged" if facts.converged else "NOT converged"
    starts = f"best of {facts.n_starts} starts, reached by {facts.restart_agreement:.0%}" if facts.n_starts > 1 else "one start"
    seed = "" if facts.seed is None else f" Seed {facts.seed},"
    return f"{how} after {facts.n_iter} passes, {starts}.{seed} bayesgmm {facts.version}."


def doubt(facts: Facts, at_most: int = 5) -> str:
    """The rows least certain to belong where they were put."""
    if facts.n_components == 1 and not facts.doubtful:
        return "One component: no row is in doubt."
    if not facts.doubtful:
        return "No row is in doubt: under this fit each belongs where it was put with probability above 0.99."
    name = lambda k: str(k + 1) if k < facts.n_components else "noise"  # noqa: E731
    rows = [f"row {d.row} ({d.probability:.2f} in {name(d.first)} / {d.other:.2f} in {name(d.second)})" for d in facts.doubtful[:at_most]]
    return f"Least certain (rows count from 0): {', '.join(rows)}."


def summary(facts: Facts) -> str:
    """The whole text."""
    parts = [textwrap.fill(heading(facts), WIDTH), kept(facts), "", table(facts), ""]
    return "\n".join(parts + [textwrap.fill(s, WIDTH) for s in sentences(facts)])
