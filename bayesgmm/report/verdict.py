"""What a selection says, in words: the answer, how sure it is, and where the criteria disagree."""

from __future__ import annotations

import numpy as np

from bayesgmm.analysis.selection import CRITERIA, Table, chosen_row, share_by
from bayesgmm.report.text import aligned, filled

SHOWN = ("elbo", "evidence", "held_out", "log_likelihood", "bic", "icl")
"""Columns of the printed table."""

CLEAR = 0.9
"""Probability above which a number of components is called clear."""

POSSIBLE = 0.005


def components(n: int) -> str:
    """``1 component``, ``2 components``."""
    return f"{n} component{'s' * (n != 1)}"


def verdict(table: Table, criterion: str, agreement: float | None, notes: list[str]) -> list[str]:
    """All sentences."""
    said = [answer(table, criterion)]
    if np.isfinite(table["probability"]).any():
        said.append(certainty(table))
    said.append(disagreement(table, criterion))
    said += [held_out(table), overlap(table), unjudged(table), reached(agreement), *notes]
    return [sentence for sentence in said if sentence]


def wrapped(sentences: list[str], width: int | None = None) -> str:
    """A paragraph for each."""
    return "\n".join(filled(sentence, width) for sentence in sentences)


def answer(table: Table, criterion: str) -> str:
    """The number of components and the structure, by which criterion and which prior."""
    row = chosen_row(table, criterion)
    if row is None:
        return f"No model could be judged by {criterion}."
    k, name = int(table["n_components"][row]), str(table["covariance_type"][row]).replace("_", " ")
    under = f" under the {table['prior'][row]} prior" if CRITERIA[criterion].bayesian else ""
    value = f"{CRITERIA[criterion].title.split(' (')[0]} {table[criterion][row]:.2f}"
    return f"{components(k)}, {name} covariances ({value}{under})."


def certainty(table: Table) -> str:
    """Posterior probabilities of numbers of components and of structures."""
    numbers = share_by(table["n_components"], table["probability"])
    likely = sorted((k for k in numbers if numbers[k] >= POSSIBLE), key=lambda k: -numbers[k])
    said = ", ".join(f"P(K = {k}) {_equal(numbers[k])}" for k in likely[:5])
    kinds = share_by(table["covariance_type"], table["probability"])
    names = sorted((n for n in kinds if kinds[n] >= POSSIBLE), key=lambda n: -kinds[n])
    structures = ", ".join(f"{n} {_rounded(kinds[n])}" for n in names)
    word = "" if numbers[likely[0]] >= CLEAR else " The data do not settle the number of components."
    if not several_priors(table):
        return f"From the evidence, averaged over structures: {said}; structures: {structures}.{word}"
    laws = share_by(table["prior"], table["probability"])
    priors = ", ".join(f"{name} {_rounded(laws[name])}" for name in sorted(laws, key=lambda name: -laws[name]))
    return f"From the evidence, averaged over structures and priors: {said}; structures: {structures}; priors: {priors}.{word}"


def several_priors(table: Table) -> bool:
    """Whether priors were compared."""
    return len(set(table["prior"])) > 1


def _rounded(p: float) -> str:
    return "> 0.99" if p > 0.995 else f"{p:.2f}"


def _equal(p: float) -> str:
    words = _rounded(p)
    return words if words.startswith(">") else f"= {words}"


def disagreement(table: Table, criterion: str) -> str:
    """What each criterion would take."""
    rows = {name: chosen_row(table, name) for name in CRITERIA}
    taken = {n: (int(table["n_components"][r]), str(table["covariance_type"][r])) for n, r in rows.items() if r is not None}
    groups: dict[tuple[int, str], list[str]] = {}
    for name, pair in taken.items():
        groups.setdefault(pair, []).append(CRITERIA[name].title.split(" (")[0])
    parts = [f"{', '.join(names)}: {k} {kind}" for (k, kind), names in groups.items()]
    if len(set(table["n_components"])) == 1:
        return f"Structure by criterion: {'; '.join(parts)}." if len(parts) > 1 else ""
    if len({k for k, _ in taken.values()}) == 1:
        return f"All criteria agree on the number of components ({'; '.join(parts)})."
    return f"Criteria disagree. {'; '.join(parts)}."


def held_out(table: Table) -> str:
    """The smallest model that predicts as well as the best, to one standard error of the difference."""
    best = table.best("held_out")
    if best is None:
        return ""
    near = table["held_out"][best] - table["held_out"] <= table["held_out_se_difference"]
    row = int(np.where(near, table["n_parameters"], np.inf).argmin())
    if table["n_parameters"][row] >= table["n_parameters"][best]:
        return "No smaller model predicts held-out rows as well, to one standard error of the difference."
    k, name = int(table["n_components"][row]), str(table["covariance_type"][row]).replace("_", " ")
    return f"The smallest model that predicts held-out rows as well, to one standard error of the difference: {components(k)}, {name}."


def overlap(table: Table) -> str:
    """Whether components that the evidence wants overlap too much to be clusters."""
    rows = [chosen_row(table, name) for name in ("evidence", "icl")]
    if rows[0] is None or rows[1] is None or not np.isfinite(table["icl"][rows[0]]):
        return ""
    wanted, separate = (int(table["n_components"][r]) for r in rows)
    if separate >= wanted:
        return ""
    return (
        f"ICL, which counts well-separated clusters rather than components, sees {separate}: some of the {wanted} components overlap "
        "and may be parts of one cluster that is not Gaussian."
    )


def unjudged(table: Table) -> str:
    """How many models the criteria of maximum likelihood say nothing of."""
    lost = ~np.isfinite(table["log_likelihood"])
    if not lost.any():
        return ""
    row = int(np.where(lost, table["n_parameters"], np.inf).argmin())
    first = f"{components(int(table['n_components'][row]))}, {str(table['covariance_type'][row]).replace('_', ' ')}"
    return (
        f"BIC and the other criteria of maximum likelihood say nothing of {lost.sum()} of the {table.n_rows} models, in which a component "
        f"collapsed (the smallest: {first})."
    )


def reached(agreement: float | None) -> str:
    """How many starts found the fit."""
    return "" if agreement is None else f"{agreement:.0%} of the starts reach the fit of the model chosen here."


SIGNS = "(ELBO, evidence and held-out density: larger is better; BIC and ICL: smaller is better)"


def lines(table: Table, rows: int = 10) -> list[list[str]]:
    """Titles, and the best rows of the table, by probability or, without it, by BIC."""
    probable = bool(np.isfinite(table["probability"]).any())
    order = np.argsort(-table["probability"] if probable else np.nan_to_num(table["bic"], nan=np.inf))
    shown = [name for name in SHOWN if np.isfinite(table[name]).any()]
    named = ["prior"] * several_priors(table) + ["covariance_type", "n_components", "n_parameters"]
    titles = {"covariance_type": "covariance", "n_components": "K", "n_parameters": "parameters", "log_likelihood": "log-likelihood"}
    titles.update({name: criterion.title.split(" (")[0] for name, criterion in CRITERIA.items()})
    found = [[titles.get(name, name) for name in named + shown] + ["probability"] * probable]
    for i in order[:rows]:
        cells = ["-" if np.isnan(table[n][i]) else f"{table[n][i]:.2f}" for n in shown]
        found.append([*(str(table[n][i]) for n in named), *cells] + [f"{table['probability'][i]:.3f}"] * probable)
    return found


def printed(table: Table, rows: int = 10, width: int | None = None) -> str:
    """`lines`, aligned."""
    more = f"\n({table.n_rows - rows} more models in .table)" if table.n_rows > rows else ""
    return f"{aligned(lines(table, rows), width, 2 + several_priors(table))}\n{filled(SIGNS, width)}{more}"
