"""A bootstrap likelihood-ratio test in words."""

from __future__ import annotations

import textwrap
from typing import Any

from bayesgmm.report.text import WIDTH, aligned
from bayesgmm.report.verdict import components


def report(test: Any) -> str:
    """The answer, a line for each test, and what has to be told."""
    t, n_sets = test.table, max(len(values) for values in test.samples.values())
    kind = test.covariance_type.replace("_", " ")
    how = f"bootstrap likelihood-ratio test at level {test.level:g}, {n_sets} sets drawn"
    head = f"{components(test.n_components)}, {kind} covariances ({how})."
    lines = [["K", "against", "log-likelihood", "statistic 2 (ln L' - ln L)", "p"]]
    for k, value, statistic, p in zip(t["n_components"], t["log_likelihood"], t["statistic"], t["p_value"], strict=True):
        lines.append([str(k), str(k + 1), f"{value:.3f}", f"{statistic:.3f}", f"{p:.3f}"])
    said = [textwrap.fill(note, WIDTH) for note in test.notes]
    return "\n".join([head, "", aligned(lines), *said])


def remarks(k: int, n_missing: int, fitted: bool) -> list[str]:
    """What went wrong in one test."""
    said = []
    if not fitted:
        said.append(f"No fit of the data with {k + 1} components was without a collapsed component: its statistic counts as 0.")
    if n_missing:
        said.append(f"{n_missing} of the sets drawn from {components(k)} had no fit without a collapsed component and were left out.")
    return said


def ended(k: int, most: int, significant: bool) -> list[str]:
    """Whether the tests ended because no more were allowed."""
    return [f"Every test up to {k} against {k + 1} components is significant; raise max_components to go on."] if significant else []
