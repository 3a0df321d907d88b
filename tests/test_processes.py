"""Fits in other processes and from other Pythons: joblib, multiprocessing, forks, pickles and model files.

Every script runs in a process of its own that is ended after a while, so that a deadlock is a failed test.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scripts import python_path

import bayesgmm as bg

REFERENCE = Path(__file__).parent / "reference"
LONGEST = 300
"""Seconds after which a script has hung."""

COMMON = """
import json
import multiprocessing
import os
import signal
import sys
import warnings

import cloudpickle
import joblib
import numpy as np
from sklearn.model_selection import GridSearchCV, cross_val_score

import bayesgmm as bg

warnings.filterwarnings("ignore", "os.fork|This process", category=RuntimeWarning)
warnings.filterwarnings("ignore", "This process", category=DeprecationWarning)
X = np.random.default_rng(0).normal(size=(40, 2)) + 6 * (np.arange(40) % 2)[:, None]
QUICK = {"n_init": 1, "random_state": 0}
MODELS = {
    "kmeans": bg.KMeans(2, **QUICK),
    "em": bg.GaussianMixture(2, covariance_type="spherical", **QUICK),
    "vb": bg.BayesianGaussianMixture(n_components=2, covariance_type="spherical", moves=False, **QUICK),
    "classes": bg.DiscriminantAnalysis("gaussians", covariance_type="diag"),
}


def fitted(name):
    return MODELS[name].__class__(**MODELS[name].get_params()).fit(X, np.arange(40) % 2)


def score(name):
    return fitted(name).score(X, np.arange(40) % 2)


def scores(names=tuple(MODELS)):
    return [score(name) for name in names]


def told(action):
    try:
        return action()
    except RuntimeError as error:
        return str(error)


def in_pool(how, names):
    with multiprocessing.get_context(how).Pool(1) as pool:
        return pool.map(score, names)


def in_joblib(backend, names=tuple(MODELS)):
    return joblib.Parallel(n_jobs=2, backend=backend)(joblib.delayed(score)(name) for name in names)


def in_fork(action):
    reading, writing = os.pipe()
    if not os.fork():
        signal.alarm(60)
        os.write(writing, json.dumps(told(action)).encode())
        os._exit(0)
    os.close(writing)
    os.wait()
    return json.loads(os.read(reading, 10_000) or '"a deadlock"')


if __name__ == "__main__":
"""

FORKS = """
    answer = {"before": in_pool("fork", ["em"])[0]}
    model = fitted("em")
    answer["here"] = model.score(X)
    answer["fit"] = in_fork(lambda: score("em"))
    answer["predict"] = in_fork(lambda: model.predict(X).tolist())
    answer["pool"] = told(lambda: in_pool("fork", ["em"]))
    answer["joblib"] = told(lambda: in_joblib("multiprocessing", ["em"] * 2))
    answer["select"] = in_fork(lambda: str(bg.select(X, [1, 2], "diag", verbose=False)))
    answer["bg.fit"] = in_fork(lambda: str(bg.fit(model.prior_, model.posterior_, X)))
    answer["parameters"] = in_fork(lambda: model.means_.tolist()) == model.means_.tolist()
    print(json.dumps(answer))
"""

LOKY = """
    rows = X[np.random.default_rng(1).permutation(40)]
    names = sys.argv[2].split(",")
    answer = {"here": scores(names), "loky": in_joblib("loky", names)}
    for jobs in (1, 2):
        search = GridSearchCV(MODELS["kmeans"], {"n_clusters": [1, 2]}, cv=2, n_jobs=jobs).fit(rows)
        answer[f"search{jobs}"] = search.cv_results_["mean_test_score"].tolist()
        answer[f"cross{jobs}"] = cross_val_score(MODELS["kmeans"], rows, cv=2, n_jobs=jobs).tolist()
    print(json.dumps(answer))
"""

OTHERS = """
    answer = {"here": scores()}
    for how in ("spawn", "forkserver"):
        answer[how] = in_pool(how, list(MODELS))
    answer["threading"] = in_joblib("threading")
    print(json.dumps(answer))
"""

PICKLES = """
    models = {name: fitted(name) for name in MODELS}
    for kind, module in (("cloudpickle", cloudpickle), ("joblib", joblib)):
        with open(f"{sys.argv[1]}/{kind}", "wb") as file:
            module.dump(models, file)
    print(json.dumps({name: model.score(X, np.arange(40) % 2) for name, model in models.items()}))
"""

READ = """
    answer = {}
    for kind, module in (("cloudpickle", cloudpickle), ("joblib", joblib)):
        with open(f"{sys.argv[1]}/{kind}", "rb") as file:
            answer[kind] = {name: model.score(X, np.arange(40) % 2) for name, model in module.load(file).items()}
    print(json.dumps(answer))
"""


def answer_of(script: str, folder: Path, *arguments: str, **environment: str) -> dict:
    """What a script prints, run from a file, as processes that are spawned need it."""
    path = folder / "script.py"
    path.write_text(COMMON + script)
    environment = {**os.environ, "PYTHONPATH": python_path(), "OMP_NUM_THREADS": "1"} | environment
    words = [sys.executable, str(path), str(folder), *arguments]
    done = subprocess.run(words, capture_output=True, text=True, timeout=LONGEST, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_process_forked_after_a_fit_is_told_so_instead_of_hanging(tmp_path):
    """JAX's threads stay with the parent. A fork before the first fit works, and numbers that are there can be read after it."""
    answer = answer_of(FORKS, tmp_path)
    assert answer.pop("before") == pytest.approx(answer.pop("here"), rel=1e-12)
    assert answer.pop("parameters") is True
    assert set(answer) == {"fit", "predict", "pool", "joblib", "select", "bg.fit"}
    for where, said in answer.items():
        assert "forked after a fit" in said and "'spawn'" in said and said.endswith("."), (where, said)


@pytest.mark.slow
@pytest.mark.parametrize("names", ["em,kmeans", "vb,classes"])
def test_joblib_and_scikit_learn_with_two_jobs(names, tmp_path):
    answer = answer_of(LOKY, tmp_path, names)
    for one, two in (("here", "loky"), ("search1", "search2"), ("cross1", "cross2")):
        np.testing.assert_allclose(answer[one], answer[two], rtol=1e-12, err_msg=one)
    assert answer["search1"][1] > answer["search1"][0]


@pytest.mark.slow
def test_other_ways_to_start_processes(tmp_path):
    answer = answer_of(OTHERS, tmp_path)
    assert set(answer) == {"here", "spawn", "forkserver", "threading"}
    for how, found in answer.items():
        np.testing.assert_allclose(found, answer["here"], rtol=1e-12, err_msg=how)


@pytest.mark.slow
def test_models_pickled_in_one_process_answer_in_another(tmp_path):
    written = answer_of(PICKLES, tmp_path)
    read = answer_of(READ, tmp_path, PYTHONHASHSEED="7")
    assert read == {"cloudpickle": written, "joblib": written} and len(written) == 4


NUMBERS = {
    "kmeans": lambda model: (model.inertia_, [43.69965235608794]),
    "em": lambda model: (model.log_likelihood_, [-92.4110924211694]),
    "vb": lambda model: ([model.lower_bound_, *model.predict_proba(MIDDLE)[0]], [-122.17865852696, 0.21124392, 0.78875608]),
    "da": lambda model: (model.predict_proba(MIDDLE)[0], [0.005228006611118, 0.994771993388882]),
}
MIDDLE = pd.DataFrame([[3.0, 3.0]], columns=["length", "width"])


@pytest.mark.parametrize("python", ["311", "313"])
@pytest.mark.parametrize("name", NUMBERS)
def test_a_model_file_of_another_python_has_the_same_numbers(name, python, tmp_path):
    """Files of format 2, written by Python 3.11 (JAX 0.10, NumPy 2.4) and by 3.13 (JAX 0.12, NumPy 2.5); format 1: `test_hostile_files`."""
    model = bg.load(REFERENCE / f"model_format2_{name}_python{python}.npz")
    found, expected = NUMBERS[name](model)
    np.testing.assert_allclose(found, expected, rtol=1e-7)
    assert list(model.feature_names_in_) == ["length", "width"]
    model.save(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == (REFERENCE / f"model_format2_{name}_python{python}.npz").read_bytes()
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict(MIDDLE), model.predict(MIDDLE))
