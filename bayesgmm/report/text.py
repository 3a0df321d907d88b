"""A fit as text that reads like a statistician's summary."""

from __future__ import annotations

import textwrap

from bayesgmm.analysis.facts import Facts

WIDTH = 110
"""Characters of a line of sentences, or fewer on a narrow terminal."""

GAP = "   "
"""Between columns of a table."""

SHORTEST = 9
"""Characters to which a name is cut at most."""

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


def table(facts: Facts, width: int | None = None, sign: str = "±") -> str:
    """Weights, means and standard deviations."""
    names = [f"{c} ({u})" if u else c for c, u in zip(facts.columns, facts.units, strict=True)]
    cells = [
        [f"{number(m)} {sign} {number(s)}" for m, s in zip(*pair, strict=True)] for pair in zip(facts.means, facts.spreads, strict=True)
    ]
    key = filled(f"(mean {sign} standard deviation within the component)", width)
    weights, rows = [f"{w:.3f}" for w in facts.weights], [str(r) for r in facts.rows]
    if facts.n_features <= WIDE:
        head = ["", "weight", *names, "rows"]
        lines = [[str(k + 1), weights[k], *cells[k], rows[k]] for k in range(facts.n_components)]
        return f"{aligned([head, *lines], width)}\n{key}"
    head = ["component", *(str(k + 1) for k in range(facts.n_components))]
    lines = [["weight", *weights], ["rows", *rows]]
    lines += [[name, *(cells[k][j] for k in range(facts.n_components))] for j, name in enumerate(names)]
    return f"{aligned([head, *lines], width)}\n{key}"


def filled(sentence: str, width: int | None = None) -> str:
    """Lines of at most 110 characters, or ``width`` if that is less."""
    return textwrap.fill(sentence, min(WIDTH, width or WIDTH))


def aligned(lines: list[list[str]], width: int | None = None, keys: int = 1) -> str:
    """Columns of equal width, the first to the left and the others to the right.

    Columns beyond ``width`` follow below, beside the first ``keys`` once more.
    """
    lines = lines if width is None else narrowed(lines, width)
    widths = [max(len(line[j]) for line in lines) for j in range(len(lines[0]))]
    padded = [[line[0].ljust(widths[0]), *(s.rjust(w) for s, w in zip(line[1:], widths[1:], strict=True))] for line in lines]
    pieces = blocks(widths, width, keys)
    return "\n\n".join("\n".join(GAP.join(line[j] for j in piece).rstrip() for line in padded) for piece in pieces)


def narrowed(lines: list[list[str]], width: int) -> list[list[str]]:
    """Names to the left, and titles, cut so that a column of numbers fits beside the first column; numbers are never cut."""
    longest = max((len(cell) for line in lines[1:] for cell in line[1:]), default=0)
    most = max(width - longest - len(GAP), SHORTEST)
    named = [[shortened(line[0], most), *line[1:]] for line in lines]
    first = max(len(line[0]) for line in named)
    titles = [shortened(title, max(width - first - len(GAP), SHORTEST)) for title in named[0]]
    return [titles, *named[1:]]


def shortened(cell: str, most: int) -> str:
    """Beginning and end of what is too long: names of columns often differ at the end."""
    end = (most - 3) // 3
    return cell if len(cell) <= most else f"{cell[: most - 3 - end]}...{cell[len(cell) - end :]}"


def blocks(widths: list[int], width: int | None, keys: int) -> list[list[int]]:
    """Columns that stand side by side: all, or as many as fit beside the keys."""
    if width is None:
        return [list(range(len(widths)))]
    step = [w + len(GAP) for w in widths]
    while keys > 1 and sum(step[:keys]) + max(widths[keys:], default=0) > width:
        keys -= 1
    found: list[list[int]] = []
    for j in range(keys, len(widths)):
        if not found or sum(step[i] for i in found[-1]) + widths[j] > width:
            found.append(list(range(keys)))
        found[-1].append(j)
    return found or [list(range(keys))]


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


def summary(facts: Facts, width: int | None = None, sign: str = "±") -> str:
    """The whole text; ``width`` is that of a terminal, and ``sign`` what stands between mean and standard deviation."""
    parts = [filled(heading(facts), width), filled(kept(facts), width), "", table(facts, width, sign), ""]
    return "\n".join(parts + [filled(s, width) for s in sentences(facts)])
