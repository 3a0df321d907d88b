"""The report: one page that says what was asked, what was found, how sure it is, and how to get it again."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bayesgmm.analysis.facts import Facts, notes
from bayesgmm.observations import Observations
from bayesgmm.plots.diagnosis import plot_predictive_check
from bayesgmm.plots.memberships import plot_doubt
from bayesgmm.plots.selection import plot_selection
from bayesgmm.plots.uncertainty import plot_memberships
from bayesgmm.plots.views import plot_model
from bayesgmm.report import diagnosis as checked
from bayesgmm.report import elements, html, sensitivity, text, uncertainty, verdict
from bayesgmm.report.account import Account
from bayesgmm.storage import replacing

MOST_DESCRIBED = 8
"""Components, and columns, that the answer describes one by one."""

MARKS = {checked.FINE: "✓ fine", checked.ATTENTION: "! attention", checked.UNKNOWN: "? not known"}

COMPARED = (
    "These are fits of the same rows, structure and prior of the components with exactly so many components and Dirichlet weights, so that "
    "the one with as many components as the fit of this report need not be that fit."
)
"""What stands beside a comparison that was made for the report."""

ALWAYS = (
    "Intervals and probabilities of rows take the number of components and the covariance structure as given.",
    "Rows count as independent of one another.",
    "A component is one Gaussian (or Student t) of the density; a cluster that has another shape may need several.",
)
"""What holds of every mixture."""


def write(account: Account, path: Path) -> None:
    """The page into a file."""
    with replacing(path) as file:
        file.write_text(laid_out(account), encoding="utf-8", errors="backslashreplace")  # names of files may be no text


def laid_out(account: Account) -> str:
    """All sections that have something to say, under a table of contents."""
    parts = {
        "answer": ("Answer", answer(account)),
        "data": ("Data", data(account)),
        "components": ("Components", components(account)),
        "selection": ("How many components", selection(account)),
        "certainty": ("How sure", certainty(account)),
        "checks": ("Checks", checks(account)),
        "prior": ("Prior", prior(account)),
        "caveats": ("Caveats", caveats(account)),
        "again": ("How to get it again", again(account)),
    }
    kept = {name: part for name, part in parts.items() if any(part[1])}
    question = elements.paragraph(account.question)
    menu = elements.contents({name: title for name, (title, _) in kept.items()})
    body = [elements.section(name, title, *inner) for name, (title, inner) in kept.items()]
    facts = account.facts
    title = f"{facts.title}: {facts.n_components} component{'s' * (facts.n_components != 1)}"
    return elements.page(title, "\n".join([question, menu, *body]))


def named(facts: Facts) -> list[str]:
    """Columns with their units."""
    return [f"{column} ({unit})" if unit else column for column, unit in zip(facts.columns, facts.units, strict=True)]


def answer(account: Account) -> list[str]:
    """The result in words, and its picture."""
    facts, said = account.facts, []
    if account.selection is not None and np.isfinite(account.selection.table["probability"]).any():
        said.append(verdict.certainty(account.selection.table))
    if account.intervals is not None and facts.n_components <= MOST_DESCRIBED and facts.n_features <= MOST_DESCRIBED:
        said += [described(account, k) for k in range(facts.n_components)]
    said.append(text.doubt(facts))
    if account.diagnosis is not None:
        said.append(checked.verdict(account.diagnosis.checks))
    if account.sensitivity is not None and account.sensitivity.refits:
        said.append(sensitivity.sentence(account.sensitivity))
    return [elements.paragraph(text.kept(facts), strong=True), elements.bullets(said), drawn(account)]


def described(account: Account, k: int) -> str:
    """One component: its share of the rows and its means, with intervals."""
    facts, found = account.facts, account.intervals
    share = ", ".join(f"{100 * float(part[k]):.1f}" for part in found["weights"][2:4])
    means = [f"{name} {uncertainty.cell(found['means'], (k, j))}" for j, name in enumerate(named(facts))]
    share = f"{100 * facts.weights[k]:.1f} % of the rows [{share}]" if facts.n_components > 1 else "all rows"
    n = facts.rows[k]
    of_it = f"{n} row{'s' * (n != 1)} {'is' if n == 1 else 'are'} most probably of it"
    return f"Component {k + 1}: {share}, on average {'; '.join(means)}. {of_it}."


def drawn(account: Account) -> str:
    """Rows and components."""
    facts = account.facts
    if account.X is None or isinstance(account.X, Observations):  # pictures need plain rows
        return ""
    fitted = "the fitted component" if facts.n_components == 1 else f"the {facts.n_components} fitted components"
    alt = f"The {facts.n_samples} rows and {fitted}, by {', '.join(facts.columns[:MOST_DESCRIBED])}."
    caption = "Rows, and components at two standard deviations."
    if facts.n_features == 1:
        caption = "Rows as a histogram, and the densities of the mixture and of its components."
    return elements.picture(lambda: plot_model(account.model, account.X), alt, caption)


def data(account: Account) -> list[str]:
    """What the rows are."""
    parts = [elements.paragraph(text.heading(account.facts))]
    if account.columns:
        weighted = "" if account.facts.n_rows == account.facts.n_samples else ", without their weights"
        parts.append(elements.table(account.columns, f"Columns of the data, numbers that are there{weighted}"))
        parts.append(elements.paragraph(f"SHA-256 of the rows (64-bit floating point, row by row): {account.fingerprint}"))
    return parts


def components(account: Account) -> list[str]:
    """Weights, means and standard deviations, with intervals where there are any."""
    found = account.intervals
    if found is None:
        return [html.components(account.facts)]
    caption = f"Estimates of the fit [{100 * found.prob:g} % interval, {found.heading}]."
    spread = uncertainty.SPREAD[found.heavy]
    more = [f"{title}: {uncertainty.listed(found[name])}" for name, title in uncertainty.MORE.items() if name in found]
    rows = elements.paragraph(f"Rows most probably of each component: {', '.join(map(str, account.facts.rows))}.")
    tables = [("means", "mean", f"Weights and means. {caption}"), ("standard_deviations", spread, f"Spread within components. {caption}")]
    names = named(account.facts)
    shown = [elements.table(uncertainty.lines(found, quantity, cell, names), title) for quantity, cell, title in tables]
    return [*shown, rows, elements.bullets(more)]


def selection(account: Account) -> list[str]:
    """The table of models and the verdict."""
    found = account.selection
    if found is None:
        return []
    lines = verdict.lines(found.table)
    which = "The models" if len(lines) > found.table.n_rows else f"The best of {found.table.n_rows} models"
    best = elements.table(lines, f"{which} {verdict.SIGNS}")
    alt = f"{found.criterion} of every model against the number of components; {found.n_components} is chosen."
    caption = f"The criterion that decided ({found.criterion}) against the number of components."
    other = disagreement(account)
    compared = elements.paragraph(COMPARED) if account.compared else ""
    return [elements.bullets(found.sentences), other, compared, best, elements.picture(lambda: plot_selection(found), alt, caption)]


def disagreement(account: Account) -> str:
    """A word where the report is of another model than the one that was chosen."""
    chosen, facts = account.selection, account.facts
    if (chosen.n_components, chosen.covariance_type) == (facts.n_components, facts.covariance_type):
        return ""
    mine = f"{facts.n_components} component{'s' * (facts.n_components != 1)}, {facts.covariance_type} covariances"
    said = f"This report is of another fit than the one chosen here: {mine}."
    return elements.paragraph(said, strong=True)


def certainty(account: Account) -> list[str]:
    """Rows in doubt."""
    facts, sure = account.facts, account.uncertainty
    said = [text.doubt(facts, at_most=10), text.beside_kmeans(facts), text.bound(facts), text.likelihood(facts)]
    parts = [elements.bullets([sentence for sentence in said if sentence])]
    if account.X is None or facts.n_components == 1 or isinstance(account.X, Observations):
        return parts
    if sure is not None:
        caption = "The rows least surely placed: probability of the most probable component, with its 94 % interval."
        parts.append(elements.picture(lambda: plot_memberships(sure, n_rows=20), caption, caption))
    if facts.n_features > 1:
        caption = "Rows in two columns, the larger the less certain."
        parts.append(elements.picture(lambda: plot_doubt(account.model, account.X), caption, caption))
    return parts


def checks(account: Account) -> list[str]:
    """What speaks for and against the fit."""
    found = account.diagnosis
    if found is None:
        return []
    lines = [["check", "verdict", "what was seen"], *([check.name, MARKS[check.verdict], check.text] for check in found.checks)]
    caption = "A column of the data beside data drawn from the fit."
    return [
        elements.table(lines, checked.verdict(found.checks), words=True),
        elements.picture(lambda: plot_predictive_check(found), caption, caption),
    ]


def prior(account: Account) -> list[str]:
    """What was assumed, and what depends on it."""
    if not account.prior:
        return []
    parts = [elements.table(account.prior, "Prior, in the units of the data", words=True)]
    found = account.sensitivity
    if found is not None:
        said = [sensitivity.sentence(found)] if found.refits else []
        key = " ".join(sensitivity.key(found).strip("()").split())
        parts += [*map(elements.paragraph, said), elements.table(sensitivity.lines(found), f"Sensitivity: {key}")]
    return parts


def caveats(account: Account) -> list[str]:
    """What a careful reader has to be told."""
    concerns = [f"{c.name}: {c.text}" for c in account.diagnosis.concerns] if account.diagnosis is not None else []
    said = notes(account.model, account.facts.columns) if not concerns else []
    return [elements.bullets([*said, *concerns, *account.warned, *account.omitted, *ALWAYS])]


def again(account: Account) -> list[str]:
    """Command, seed, versions, convergence."""
    facts = account.facts
    seed = [] if facts.seed is not None else ["The fit had no seed (random_state is not a number): another run may end elsewhere."]
    lines = [["package", "version"], *map(list, account.versions.items())]
    return [elements.preformatted(account.command), elements.bullets([text.ended(facts), *seed]), elements.table(lines, "Versions")]
