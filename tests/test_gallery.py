"""Pages of the gallery: they run, and say in their text the figures that they print."""

from __future__ import annotations

import re

import pytest
from scripts import APPLICATIONS, EXAMPLES, printed_by, text_of

BASELINES = ("k-means", "scikit-learn", "one Gaussian")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda p: p.stem)
def test_examples_run(example, tmp_path):
    printed_by(example, tmp_path)


@pytest.mark.parametrize("example", APPLICATIONS, ids=lambda p: p.stem)
def test_an_application_says_what_it_measures(example, tmp_path):
    """Lines printed as ``Result: ...`` stand word for word in the text, and one of them names a baseline."""
    results = re.findall(r"^Result: (.*)$", printed_by(example, tmp_path), re.M)
    assert results, f"{example.name} prints no line 'Result: ...'"
    for sentence in results:
        assert " ".join(sentence.split()) in text_of(example), f"{example.name} prints {sentence!r}, which its text does not say"
    assert any(name in sentence for sentence in results for name in BASELINES)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda p: p.stem)
def test_an_example_begins_with_a_question_and_ends_with_an_answer(example):
    source = example.read_text(encoding="utf-8")
    title = source.split("\n")[1]
    assert title.endswith("?") and len(title) <= 100, f"the title of {example.name} must be one question: {title!r}"
    assert source.split("\n")[2] == "=" * len(title)
    last = source.rsplit("\n# %%", 1)[-1]
    assert re.search(r"^# Answer$", last, re.M), f"{example.name} must end with a cell headed Answer"
    if example in APPLICATIONS:
        assert re.search(r"^# Key takeaways$", last, re.M)
