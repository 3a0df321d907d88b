"""Draw the pictures of the pages again: ``python docs/images/draw.py [NAME ...]``, all of them without a name."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"
PICTURES = {
    "components_and_clusters.png": "questions/components_and_clusters.py",
    "diagnosis.png": "questions/can_i_trust_it.py",
    "incomplete_rows.png": "questions/incomplete_rows.py",
    "iris_selection.png": "questions/how_many_clusters.py",
    "larger_than_memory.jpg": "questions/larger_than_memory.py",
    "look_at_a_fit.png": "questions/look_at_a_fit.py",
    "old_faithful.png": "questions/kmeans_or_mixture.py",
    "outliers.png": "questions/outliers.py",
    "uncertainty.png": "questions/how_sure_am_i.py",
    "use_the_model.png": "questions/use_the_model.py",
}
"""Each picture is the last figure of an example."""

for name in sys.argv[1:] or PICTURES:
    plt.close("all")
    runpy.run_path(str(EXAMPLES / PICTURES[name]), run_name="__main__")
    options = {"pil_kwargs": {"quality": 80}} if name.endswith("jpg") else {"metadata": {"Software": None}}
    plt.gcf().savefig(HERE / name, dpi=100, **options)
    print(name)
