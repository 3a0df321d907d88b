"""How near the corrected bound comes to the evidence: importance sampling for larger data, enumeration for nine rows.

Run: python benchmarks/evidence.py [--draws 4000] [--starts 30] [--only sampled|exact]

Prints two tables in Markdown, in nats. The first: bound, bound with relabelled copies, the same with the response under the floor of
`select` (0.3), and `log_evidence`, all less the importance value; this, its standard error and k-hat; the contraction. The second,
for sets of eight or nine rows, where the evidence is summed over all assignments: `log_evidence` of the best fit and summed over optima,
importance values from one fit and from all, all less the exact value. Data: equidistant unit Gaussians, on a line where columns are few.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

import jax
import numpy as np

import bayesgmm as bg
from bayesgmm.analysis.evidence import response

SAMPLED = [
    *((150, 2, 2, separation, "full") for separation in (3.0, 4.0, 6.0)),
    *((500, 2, 2, separation, "full") for separation in (2.0, 2.5, 3.0)),
    (2000, 2, 2, 2.0, "full"),
    (500, 1, 3, 4.0, "full"),
    (500, 2, 3, 3.0, "full"),
    (500, 5, 2, 4.0, "full"),
    (2000, 4, 4, 5.0, "full"),
    *((150, 2, 2, separation, "tied") for separation in (3.0, 4.0)),
    (500, 3, 4, 3.0, "tied"),
    (2000, 1, 2, 3.0, "tied"),
    *((150, 3, 3, separation, "diag") for separation in (3.0, 4.0)),
    (500, 2, 3, 4.0, "diag"),
    (2000, 5, 4, 3.0, "diag"),
    *((150, 3, 2, separation, "spherical") for separation in (2.5, 3.0)),
    *((500, 5, 4, separation, "spherical") for separation in (2.5, 3.0)),
    (1000, 3, 3, 2.0, "spherical"),
]
EXACT = [
    (9, 2, 2, 3.0, "full"),
    (9, 2, 2, 6.0, "full"),
    (9, 1, 2, 3.0, "full"),
    (9, 2, 2, 4.0, "tied"),
    (9, 2, 2, 4.0, "diag"),
    (9, 1, 2, 6.0, "spherical"),
    (9, 2, 3, 4.0, "spherical"),
    (8, 1, 3, 4.0, "diag"),
    (8, 2, 3, 6.0, "tied"),
]


def groups(n: int, d: int, k: int, separation: float, seed: int) -> np.ndarray:
    """Rows of k unit Gaussians whose neighbouring centres are ``separation`` apart."""
    rng = np.random.default_rng(seed)
    if k <= d + 1:
        left, values, _ = np.linalg.svd(np.eye(k) - 1 / k)
        centres = np.zeros((k, d))
        centres[:, : k - 1] = (left * values)[:, : k - 1] * separation / np.sqrt(2)
    else:
        centres = np.arange(k)[:, None] * np.ones(d) / np.sqrt(d) * separation
    return centres[rng.integers(k, size=n)] + rng.normal(size=(n, d))


def model(k: int, kind: str, **settings):
    law = {"weight_concentration_prior_type": "dirichlet_distribution", "weight_concentration_prior": 1.0}
    return bg.BayesianGaussianMixture(n_components=k, covariance_type=kind, prune=False, **law, **{"random_state": 0, **settings})


def floored(fit, x, floor: float) -> float:
    """The response of a fit with another floor."""
    with jax.enable_x64(True):
        posterior = fit._coordinates.mixture_inward(fit.posterior_)
        return response(posterior, jax.numpy.asarray(fit._coordinates.inward(x)), np.ones(len(x)), floor)[0]


def sampled(draws: int) -> None:
    print("| rows | columns | K | distance | structure | ELBO | + copies | floor 0.3 | corrected | sampled | s.e. | k-hat | contraction |")
    print("|" + "---|" * 13)
    wrong = judged = 0
    for n, d, k, separation, kind in SAMPLED:
        x = groups(n, d, k, separation, seed=0)
        fit = model(k, kind).fit(x)
        found, sample = fit.log_evidence(x), fit.importance_evidence(x, n_draws=draws)
        labelled = found.elbo + found.multiplicity
        parts = [found.elbo, labelled, labelled + floored(fit, x, 0.3), found.total]
        shown = " | ".join(f"{part - sample.log_evidence:+.2f}" for part in parts)
        print(f"| {n} | {d} | {k} | {separation} | {kind} | {shown} | {sample.log_evidence:.2f} | {sample.standard_error:.3f}", end="")
        print(f" | {sample.k_hat:.2f} | {found.contraction:.3f} |", flush=True)
        if found.contraction < 0.96 and sample.k_hat < 0.7:
            judged += 1
            wrong += abs(found.total - sample.log_evidence) > 0.3
    print(
        f"\nContraction below 0.96 and k-hat below 0.7: {judged} sets, {wrong} of them farther than 0.3 nats from the importance value.\n"
    )


def enumerated(fit, x) -> float:
    """The exact log evidence, by the oracle of the tests."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from oracles import log_evidence_enumeration

    law, kind = fit.prior_.components, fit.covariance_type
    scale = np.asarray(law.scale[0])
    prior = {"m0": law.mean[0], "kappa0": law.mean_precision[0], "nu0": law.dof[0], "S0": scale if scale.ndim else float(scale)}
    structure = "full" if kind == "tied" else kind
    return log_evidence_enumeration(x, fit.n_components, structure, kind == "tied", prior, ("dirichlet", fit.prior_.weights.concentration))


def exact(draws: int, starts: int) -> None:
    print(
        "| rows | columns | K | distance | structure | exact | optima | best fit | sum | one fit | s.e. | k-hat | all fits | s.e. | k-hat |"
    )
    print("|" + "---|" * 15)
    for n, d, k, separation, kind in EXACT:
        x = groups(n, d, k, separation, seed=n + d + k)
        starting = [{"n_init": 1, "random_state": s, "init_params": ("random", "random_from_data")[s % 2]} for s in range(starts)]
        optima = bg.evidence_over_optima([model(k, kind, **settings).fit(x) for settings in starting], x)
        truth = enumerated(optima.models[0], x)
        one, many = (bg.importance_evidence(fits, x, n_draws=5 * draws) for fits in (optima.models[0], optima.models))
        print(
            f"| {n} | {d} | {k} | {separation} | {kind} | {truth:.3f} | {len(optima.models)} | {optima.evidences[0].total - truth:+.3f}",
            end="",
        )
        print(f" | {optima.log_evidence - truth:+.3f}", end="")
        for each in (one, many):
            print(f" | {each.log_evidence - truth:+.3f} | {each.standard_error:.3f} | {each.k_hat:.2f}", end="")
        print(" |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=4000)
    parser.add_argument("--starts", type=int, default=30)
    parser.add_argument("--only", choices=("sampled", "exact"))
    options = parser.parse_args()
    warnings.simplefilter("ignore", bg.FitWarning)
    bg.enable_compilation_cache()
    if options.only != "exact":
        sampled(options.draws)
    if options.only != "sampled":
        exact(options.draws, options.starts)


if __name__ == "__main__":
    main()
