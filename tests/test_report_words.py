"""Sentences of diagnoses and reports that few fits need: each verdict of each check, from made-up numbers."""

from __future__ import annotations

from types import SimpleNamespace as Made

import numpy as np
import pytest

from bayesgmm.analysis.predictive_checks import Checks
from bayesgmm.analysis.shape import Overlap, Shape, Tiny
from bayesgmm.estimators.diagnosis import Search
from bayesgmm.report import bootstrap, diagnosis, sensitivity, uncertainty
from bayesgmm.report.shape import listed

QUIET = Shape(np.array([0.4, 0.3, np.nan]), np.array(["", "", ""]), (), ())
"""Three components, of which the last has too few rows to be tested."""

DRAWN = Checks(np.array([0.5, 0.2]), np.array([0.1, 0.1]), 0.4, 0.0, 0.3, np.array([], int), 100)
"""Data sets drawn from a fit look like the data."""

MODEL = Made(
    n_components=3,
    n_components_=3,
    n_starts_=1,
    restart_agreement_=1.0,
    converged_=True,
    _bayesian=True,
    posterior_=Made(n_known=0),
    _dependent=(),
    covariance_type="full",
)


def found(model=None, **changed):
    """A diagnosis of which a check sees these numbers."""
    usual = {
        "search": None,
        "contraction": 0.1,
        "k_hat": 0.2,
        "shape": QUIET,
        "predictive": DRAWN,
        "groups": ((0,), (1,), (2,)),
        "one_mode": np.zeros((3, 3)),
        "uncertainty": object(),
        "reason": "",
        "feature_names": ["height", "width"],
        "_values": np.zeros((100, 2)),
        "_rows": np.array([50.0, 40.0, 10.0]),
    }
    return Made(model=Made(**(vars(MODEL) | (model or {}))), **(usual | changed))


STARTS = [
    ({"converged_": False}, None, "unknown", "not converged, so that searches cannot be compared"),
    ({}, None, "unknown", "began where it was told to"),
    ({}, Search(3, 0.05), "fine", "ends at the same 3 components."),
    ({"n_starts_": 4, "restart_agreement_": 0.25}, Search(3, -1.9), "fine", "1 of 4 starts reaches this fit. A second search"),
    ({}, Search(3, -1.9), "fine", "ends only 1.9 nats lower with 3 components."),
    ({}, Search(3, -2.1), "attention", "ends 2.1 nats lower with 3 components: the answer depends on the starts. Fit again with a larger"),
    ({}, Search(3, 0.5), "attention", "ends 0.5 nats higher with 3 components"),
    ({}, Search(1, 0.0), "attention", "ends 0.0 nats lower with 1 component:"),
]


@pytest.mark.parametrize(("model", "search", "verdict", "said"), STARTS)
def test_starts(model, search, verdict, said):
    check = diagnosis.starts(found(model, search=search))
    assert check.verdict == verdict and said in check.text


FEW = Shape(np.full(3, np.nan), QUIET.deviation, (), (Tiny(1, 3.0, 6), Tiny(2, 2.5, 6)))
CLOSE = np.array([[0.0, 0.9, 0.0], [0.9, 0.0, 0.2], [0.0, 0.2, 0.0]])
TOGETHER = {"one_mode": CLOSE, "groups": ((0, 1), (2,)), "shape": Shape(QUIET.p_value, QUIET.deviation, (Overlap(0, 1, 0.12),), ())}
AT_RISK = "the posterior is not shaped as the fit is, and intervals around the fit are not to be trusted"

CHECKS = [
    ("told_apart", found(uncertainty=None, reason="Because."), "unknown", "Not known, for want of standard errors. Because."),
    ("told_apart", found(contraction=0.999), "attention", 'can hardly be told apart. Compare intervals with method="gibbs".'),
    (
        "told_apart",
        found({"_bayesian": False}, contraction=0.999),
        "attention",
        "hardly be told apart. Compare intervals with a bootstrap.",
    ),
    ("tails", found(k_hat=np.nan), "unknown", "Too many parameters: no importance weights."),
    (
        "tails",
        found({"posterior_": Made(n_known=2)}, k_hat=np.nan),
        "unknown",
        "Some components are known (frozen): no importance weights.",
    ),
    ("tails", found(k_hat=0.9), "attention", AT_RISK),
    ("shapes", found(), "fine", "are Gaussian (smallest p = 0.30, component 2). Too few rows to test: 3."),
    ("shapes", found(shape=FEW), "unknown", "No component has rows enough to test its shape."),
    ("sizes", found(shape=FEW), "attention", "Fewer rows than the 6 parameters of a component: 2 has 3 and 3 has 2.5."),
    ("sizes", found(_rows=np.array([9.0])), "fine", "The component has at least as many rows as parameters."),
    (
        "clusters",
        found(**TOGETHER),
        "attention",
        "Components with a single mode together, so one cluster in this sense: 1 and 2 (probability 0.90).",
    ),
    (
        "clusters",
        found(**TOGETHER),
        "attention",
        "Combining by entropy up to the elbow would give 2 clusters: 1 + 2, 3 (bg.combine). Components",
    ),
    ("clusters", found(), "fine", "a single mode together: below 0.01 for any two."),
    ("predicted", found(predictive=DRAWN._replace(density_p=0.01, density=-0.5)), "attention", "0.50 nats a row below that of drawn data"),
    ("predicted", found(predictive=DRAWN._replace(density_p=0.01, density=0.5)), "attention", "0.50 nats a row above that of drawn data"),
    ("predicted", found(predictive=DRAWN._replace(outlier_p=0.01, outliers=np.array([4, 7]))), "attention", "Rows 4 and 7 are less likely"),
]


@pytest.mark.parametrize(("name", "made", "verdict", "said"), CHECKS)
def test_checks(name, made, verdict, said):
    check = getattr(diagnosis, name)(made)
    assert check.verdict == verdict and said in check.text


def test_the_density_says_on_which_side_the_rows_lie():
    texts = [diagnosis.predicted(found(predictive=DRAWN._replace(density_p=0.01, density=gap))).text for gap in (-0.5, 0.5)]
    assert texts[0].endswith("they lie beside the components.") and texts[1].endswith("nearer to the centres than those of a Gaussian.")


def test_heading_and_rows_that_cannot_be_left_out():
    good = diagnosis.Check("starts", "fine", "")
    assert diagnosis.verdict((good, good)) == "None of the 2 checks calls for attention."
    some = Made(rows=np.array([5]), driving=np.array([5]), moved=np.full((1, 3, 5), np.nan), bars=np.ones(3))
    check = diagnosis.driven(found(influence=some))
    assert check.verdict == "attention" and check.text.endswith("without row 5 a component collapses.")


def test_lists():
    assert listed([]) == "" and listed(["a"]) == "a" and listed(list("abc")) == "a, b and c"
    assert listed(list("abcdef")) == "a, b, c, d and 2 more"


def test_bootstrap_tests_say_what_went_wrong():
    assert bootstrap.remarks(2, 0, True) == []
    assert bootstrap.remarks(2, 3, False) == [
        "No fit of the data with 3 components was without a collapsed component: its statistic counts as 0.",
        "3 of the sets drawn from 2 components had no fit without a collapsed component and were left out.",
    ]


@pytest.mark.parametrize(
    ("prune", "numbers", "said"),
    [
        (True, (2, 3), "Another prior would have said otherwise: 2 components here, 3 with covariance_prior times 2."),
        (True, (2, 2), "the answer is still 2 components; adjusted Rand index at least 0.50."),
        (False, (2, 3), "the adjusted Rand index is at least 0.50 (2 components by prune=False)."),
    ],
)
def test_other_priors(prune, numbers, said):
    refits = [
        Made(model=Made(n_components_=n, prune=prune), agreement=agreement, hyperparameter="covariance_prior", factor=factor)
        for n, agreement, factor in zip(numbers, (1.0, 0.5), (0.5, 2.0), strict=True)
    ]
    assert sensitivity.sentence(Made(responsibilities=np.zeros((5, 2)), refits=refits)).endswith(said)


def test_intervals_without_means_are_told_one_by_one():
    class Intervals(dict):
        heading, prob, heavy = "Two components", 0.5, False

    each = Made(mean=np.array([0.25, 0.75]), lower=np.array([0.2, 0.7]), upper=np.array([0.3, 0.8]))
    told = uncertainty.printed(Intervals(weights=each)).splitlines()
    assert told == ["Two components; mean [50% interval]", "weights: 0.250 [0.200, 0.300], 0.750 [0.700, 0.800]"]
