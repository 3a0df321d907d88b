"""Saved models come back the same, the files of equal fits are equal, and anything else is refused in one clear sentence."""

from __future__ import annotations

import dataclasses
import io
import os
import pickle
import stat
import zipfile

import jax
import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm import archives, storage
from bayesgmm.estimators.covariance_types import COVARIANCE_TYPES

rng = np.random.default_rng(0)
X = rng.normal(size=(30, 2))
X[:15] += 6
DATA = pd.DataFrame(X, columns=["length", "<b>"])
SETTINGS = {"n_init": 1, "random_state": 0}


@pytest.fixture(autouse=True, scope="module")
def quick_compilation():
    """These tests compare programs with themselves and spend their time compiling."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def make(name, covariance_type="full"):
    if name == "kmeans":
        return bg.KMeans(n_clusters=2, **SETTINGS)
    if name == "em":
        return bg.GaussianMixture(n_components=2, covariance_type=covariance_type, **SETTINGS)
    law = "dirichlet_process" if covariance_type == "full" else "dirichlet_distribution"
    return bg.BayesianGaussianMixture(
        n_components=3, covariance_type=covariance_type, weight_concentration_prior_type=law, moves=False, **SETTINGS
    )


def same(a, b, where="") -> None:
    """The same value of the same type, down to the last bit."""
    assert type(a) is type(b), where
    if isinstance(a, np.ndarray):
        assert a.dtype == b.dtype, where
        np.testing.assert_array_equal(a, b, err_msg=where)
    elif dataclasses.is_dataclass(a):
        for field in dataclasses.fields(a):
            same(getattr(a, field.name), getattr(b, field.name), f"{where}.{field.name}")
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), where
        for i, pair in enumerate(zip(a, b, strict=True)):
            same(*pair, f"{where}[{i}]")
    else:
        assert a == b, where


WORDS = [word for word in COVARIANCE_TYPES if not word.isupper()]
CASES = [("kmeans", "full")] + [(name, kind) for name in ("em", "vb") for kind in WORDS] + [("em", "VEI"), ("em", "VVE")]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_model_comes_back_the_same(name, kind, tmp_path):
    model = make(name, kind).fit(DATA)
    model.save(tmp_path / "model.npz")
    loaded = bg.load(tmp_path / "model.npz")
    assert type(loaded) is type(model)
    same(model.get_params(), loaded.get_params())
    assert vars(model).keys() == vars(loaded).keys()
    for key, value in vars(model).items():
        same(value, vars(loaded)[key], key)
    calls = ("predict", "score", "transform") if name == "kmeans" else ("predict", "predict_proba", "score_samples", "bic", "icl")
    for call in calls:
        same(getattr(model, call)(DATA), getattr(loaded, call)(DATA), call)
    if name != "kmeans":
        assert loaded.summary(DATA) == model.summary(DATA)
        assert loaded._repr_html_() == model._repr_html_()
        same(model.sample(5), loaded.sample(5))


@pytest.mark.parametrize("name", ["kmeans", "em", "vb"])
def test_equal_fits_make_equal_files(name, tmp_path):
    for file in ("a", "b"):
        make(name).fit(DATA).save(tmp_path / file)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    bg.load(tmp_path / "a").save(tmp_path / "c")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "c").read_bytes()


def test_a_loaded_model_can_be_fitted_again_and_warm_started(tmp_path):
    model = make("em").fit(DATA)
    model.save(tmp_path / "m.npz")
    loaded = bg.load(tmp_path / "m.npz")
    assert loaded.fit(DATA).lower_bound_ == model.lower_bound_
    assert loaded.set_params(warm_start=True).fit(DATA).lower_bound_ == pytest.approx(model.lower_bound_)


def test_parameters_of_every_kind_survive(tmp_path):
    components = bg.NormalWishart(np.zeros((1, 2)), np.ones(1), np.array([4.0]), np.eye(2)[None], bg.Full(), False)
    prior = bg.Mixture(bg.Dirichlet(np.array([2.0, 3.0])), components)
    model = bg.GaussianMixture(2, prior=prior, init_params=np.arange(30) % 2, weights_init=[0.25, 0.75], max_iter=np.int64(500)).fit(X)
    model.save(tmp_path / "m.npz")
    loaded = bg.load(tmp_path / "m.npz")
    same(loaded.prior, prior)
    assert loaded.weights_init == [0.25, 0.75] and loaded.max_iter == 500
    np.testing.assert_array_equal(loaded.init_params, np.arange(30) % 2)
    assert loaded.fit(X).lower_bound_ == model.lower_bound_


def test_a_generator_is_not_kept(tmp_path):
    model = bg.KMeans(2, n_init=1, random_state=np.random.default_rng(0)).fit(X)
    model.save(tmp_path / "m.npz")
    assert bg.load(tmp_path / "m.npz").random_state is None


def test_collapsed_components_come_back_with_their_names(tmp_path):
    data = np.vstack([X, X[:1], X[:1], X[:1]])
    with pytest.warns(bg.FitWarning):
        model = bg.GaussianMixture(2, init_params=np.r_[1, np.zeros(29, int), 1, 1, 1], max_iter=3).fit(data)
    model.save(tmp_path / "m.npz")
    loaded = bg.load(tmp_path / "m.npz")
    assert loaded.collapsed_[0].rows == model.collapsed_[0].rows
    assert loaded.summary() == model.summary()


@pytest.fixture
def saved(tmp_path):
    make("kmeans").fit(DATA).save(tmp_path / "model.npz")
    return tmp_path / "model.npz"


def rewritten(path, change):
    """The file with its header changed, and a checksum that is true."""
    with archives.Archive(str(path)) as archive:
        header, arrays = archive.header(), archive.arrays(checksum=True)
    change(header)
    path.unlink()
    archives.write(path, header, arrays)
    return path


def refused(path, said):
    with pytest.raises(ValueError, match=said) as caught:
        bg.load(path)
    text = str(caught.value)
    assert str(path) in text and text.endswith(".") and "\n" not in text


def test_later_versions_are_refused(saved):
    later = rewritten(saved, lambda h: h.update(version=storage.VERSIONS[storage.FORMAT] + 1))
    refused(later, "saved by a later bayesgmm .format 3, this one reads up to 2")


@pytest.mark.parametrize(
    "change",
    [
        lambda h: h.update(format="other"),
        lambda h: h.pop("format"),
        lambda h: h.pop("version"),
        lambda h: h.update(version="new"),
        lambda h: h.update(version=0),
        lambda h: h.update(version=True),
        lambda h: h["params"].update(colour="red"),
        lambda h: h["fitted"].update(predict=1),
        lambda h: h.update({"class": "os.system"}),
        lambda h: h.pop("class"),
        lambda h: h.pop("params"),
        lambda h: h["fitted"].update(labels_={"array": "a99", "words": False}),
        lambda h: h["fitted"].update(labels_={"class": "Popen", "fields": {}}),
        lambda h: h["fitted"].update(labels_={"record": "Popen", "items": []}),
    ],
)
def test_strange_headers_are_refused(saved, change):
    refused(rewritten(saved, change), "not a model saved by bayesgmm, or the file is damaged|a damaged model file")


def strange_files():
    buffer = io.BytesIO()
    np.savez(buffer, a=np.arange(3))
    objects = io.BytesIO()
    np.savez(objects, header=np.array([{"format": "bayesgmm-model"}], dtype=object))
    array = io.BytesIO()
    np.save(array, np.arange(3))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("header.npy", b"not an array")
    return {
        "pickle": pickle.dumps(bg.KMeans()),
        "other arrays": buffer.getvalue(),
        "objects": objects.getvalue(),
        "one array": array.getvalue(),
        "other archive": archive.getvalue(),
        "text": b"a,b\n1,2\n",
        "empty": b"",
        "garbage": bytes(range(256)) * 10,
    }


@pytest.mark.parametrize("kind", strange_files())
def test_other_files_are_refused(kind, tmp_path):
    path = tmp_path / "model.npz"
    path.write_bytes(strange_files()[kind])
    refused(path, "is not a model saved by bayesgmm, or the file is damaged")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_half_written_files_are_refused(saved, share):
    data = saved.read_bytes()
    saved.write_bytes(data[: int(len(data) * share)])
    refused(saved, "damaged")


def test_damaged_files_are_refused(saved):
    data = bytearray(saved.read_bytes())
    data[len(data) // 2] ^= 0xFF
    saved.write_bytes(data)
    refused(saved, "damaged")


def test_paths(tmp_path):
    model = make("kmeans").fit(DATA)
    refused(tmp_path / "nothing.npz", "There is no model file at")
    refused(tmp_path, "There is no model file at")
    for wrong in (None, 3, "", io.BytesIO()):
        with pytest.raises(TypeError, match="must be a file name"):
            model.save(wrong)
        with pytest.raises(TypeError, match="must be a file name"):
            bg.load(wrong)
    with pytest.raises(OSError, match=r"There is no folder '.*missing' to write 'm.npz' in"):
        model.save(tmp_path / "missing" / "m.npz")
    with pytest.raises(OSError, match="is a folder"):
        model.save(tmp_path)
    model.save(str(tmp_path / "without ending"))
    assert [p.name for p in tmp_path.iterdir()] == ["without ending"]
    assert bg.load(str(tmp_path / "without ending")).inertia_ == model.inertia_


def test_saving_over_a_file_is_all_or_nothing(saved, monkeypatch):
    before = saved.read_bytes()
    written = []

    def fail_late(file, name, array, digest=None):
        file.writestr(f"{name}.npy", b"half")
        written.append(os.listdir(saved.parent))
        if len(written) == 2:
            raise OSError("disk full")

    monkeypatch.setattr(archives, "add", fail_late)
    with pytest.raises(OSError, match="disk full"):
        make("kmeans").fit(X).save(saved)
    assert saved.read_bytes() == before
    assert len(written[-1]) == 2, "written beside the file"
    assert os.listdir(saved.parent) == [saved.name]


def test_saving_over_a_file_replaces_it(saved):
    make("em").fit(DATA).save(saved)
    assert isinstance(bg.load(saved), bg.GaussianMixture)
    assert os.listdir(saved.parent) == [saved.name]


def test_files_have_the_permissions_of_any_new_file(saved):
    other = saved.with_name("other")
    other.write_bytes(b"")
    assert stat.S_IMODE(saved.stat().st_mode) == stat.S_IMODE(other.stat().st_mode)
