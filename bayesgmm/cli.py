"""The command line: ``bayesgmm fit | select | datasets``. What only one command needs is imported by that command."""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import time
from pathlib import Path

from bayesgmm._version import __version__
from bayesgmm.inference.cache import disable_compilation_cache

STRUCTURES = ("full", "tied", "diag", "spherical")
AUTO = "structure; auto compares all four by their evidence, as select does (default)"


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line."""

    def error(self, message: str):
        self.exit(2, f"bayesgmm: error: {message}; {self.prog} --help lists what there is.\n")


def build_parser() -> argparse.ArgumentParser:
    """All commands and options."""
    parser = Parser(prog="bayesgmm", description="Gaussian mixtures: how many clusters, how sure, which rows are in doubt.")
    parser.add_argument("--version", action="version", version=f"bayesgmm {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    fit = commands.add_parser("fit", help="fit a variational mixture and print what it found")
    _add_data(fit)
    fit.add_argument("--max-components", type=int, help="components to start from (default: 20, or the number of rows if that is less)")
    fit.add_argument("--covariance", choices=("auto", *STRUCTURES), default="auto", help=AUTO)
    fit.add_argument("--restarts", type=int, default=10, help="random starts of one structure (default: 10)")
    fit.add_argument("--out", metavar="DIR", help="folder for report.html, assignments.csv, model.npz and posterior.json")
    fit.set_defaults(run=run_fit)
    select = commands.add_parser("select", help="compare numbers of components and structures by every criterion")
    _add_data(select)
    select.add_argument("--max-components", type=int, default=15, help="largest number of components (default: 15)")
    select.add_argument("--covariance", default=",".join(STRUCTURES), help="structures, separated by commas (default: all four)")
    select.add_argument("--criterion", default="evidence", help="what decides: evidence (default), elbo, bic, aic, aicc, icl, ...")
    select.add_argument("--prior", default="hierarchical", help="prior of the variational fits: hierarchical (default) or fixed")
    select.add_argument("--plot", metavar="FILE", help="draw the criterion against the number of components, .png, .svg or .pdf")
    select.set_defaults(run=run_select)
    datasets = commands.add_parser("datasets", help="list the data sets in the package")
    datasets.set_defaults(run=run_datasets)
    return parser


def _add_data(parser: argparse.ArgumentParser) -> None:
    """What every command on data takes."""
    parser.add_argument("source", metavar="FILE_OR_DATASET", help="CSV, TSV, Parquet, Feather or .npy file, or a data set's name")
    parser.add_argument("--columns", help="columns to use, separated by commas (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: 0)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    parser.add_argument("--no-cache", action="store_true", help="do not keep compiled programs in the user's cache folder")


def main(argv: list[str] | None = None) -> int:
    """Run a command; 0, 2 for a mistake of the user's, 1 for a fit that failed."""
    args = build_parser().parse_args(argv)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # type: ignore
    try:
        code = args.run(args)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, TypeError, OSError) as error:
        return _complain("error", error, 2)
    except (RuntimeError, MemoryError) as error:
        return _complain("failed", error, 1)
    except KeyboardInterrupt:
        print("bayesgmm: interrupted; nothing was written.", file=sys.stderr)
        return 1


def _complain(kind: str, error: BaseException, code: int) -> int:
    print(f"bayesgmm: {kind}: {' '.join(str(error).split()) or type(error).__name__}", file=sys.stderr)
    return code


def run_datasets(args: argparse.Namespace) -> int:
    """Print the data sets with sources and licences."""
    from bayesgmm.datasets import describe_datasets

    print("\n\n".join(str(info) for info in describe_datasets()))
    return 0


def run_fit(args: argparse.Namespace) -> int:
    """Read, fit, print, write."""
    began = time.perf_counter()
    from bayesgmm.tables import read_table

    table = read_table(args.source, _columns(args.columns))
    _check(args, table)
    out = _prepare_folder(args.out)
    if args.no_cache:
        disable_compilation_cache()
    best, selection = _best_of_all(table, args) if args.covariance == "auto" else (_fit_one(table, args), None)
    facts = best.facts(table.values, title=table.title, units=table.units)
    seconds = time.perf_counter() - began
    from bayesgmm.report import files, text

    structures = _structures(selection) if selection else {best.covariance_type: (best.n_components_, best.lower_bound_)}
    record = files.as_json(facts, structures, seconds)
    said = [text.summary(facts), *([selection.verdict] if selection else []), f"{seconds:.1f} s."]
    print(json.dumps(record, allow_nan=False) if args.json else "\n".join(said))
    if out:
        files.write_folder(out, best, table.values, facts, record)
        print(f"Wrote report.html, assignments.csv, model.npz and posterior.json to {out}.", file=sys.stderr)
    return 0


def run_select(args: argparse.Namespace) -> int:
    """Read, compare, print, draw."""
    began = time.perf_counter()
    from bayesgmm.estimators import select
    from bayesgmm.tables import read_table

    table = read_table(args.source, _columns(args.columns))
    _check(args, table)
    names = tuple(name.strip() for name in args.covariance.split(","))
    if args.no_cache:
        disable_compilation_cache()
    selection = select(_named(table), range(1, args.max_components + 1), names, args.criterion, args.prior, random_state=args.seed)
    seconds = time.perf_counter() - began
    from bayesgmm.report import files

    heading = f"{table.title}: {len(table.values)} rows, {len(table.columns)} columns ({', '.join(table.columns[:8])})."
    record = files.selection_as_json(selection, table.title, list(table.columns), len(table.values), seconds)
    print(json.dumps(record, allow_nan=False) if args.json else f"{heading}\n{selection}\n{seconds:.1f} s.")
    if args.plot:
        selection.plot().figure.savefig(args.plot, dpi=150, bbox_inches="tight")
        print(f"Wrote {args.plot}.", file=sys.stderr)
    return 0


def _columns(given: str | None) -> list[str] | None:
    """Names divided by commas; a name that holds a comma goes into quotation marks."""
    if given is None:
        return None
    names = [name.strip() for name in next(csv.reader([given], skipinitialspace=True), [])]
    if not all(names) or not names:
        raise ValueError(f"--columns must be names divided by commas; got {given!r}.")
    return names


def _check(args: argparse.Namespace, table) -> None:
    """Whether options and data go together, in the words of the command line."""
    import numpy as np

    from bayesgmm.validation import check_enough, check_number, check_spread

    if "restarts" in args:
        check_number("--restarts", args.restarts, 1, integer=True)
    check_number("--seed", args.seed, 0, integer=True)
    weight = np.ones(len(table.values))
    check_spread(table.values, weight, table.columns, data=repr(args.source))
    if args.max_components is not None:
        check_number("--max-components", args.max_components, 1, integer=True)
        if args.command == "fit":
            check_enough(table.values, weight, args.max_components, "--max-components", repr(args.source))


def _prepare_folder(name: str | None) -> Path | None:
    """The output folder, made before the work so that a mistake shows at once."""
    if name is None:
        return None
    path = Path(name)
    if path.exists() and not path.is_dir():
        raise ValueError(f"--out {name!r} is a file; give a folder.")
    path.mkdir(parents=True, exist_ok=True)
    return path


def _most(table, args) -> int:
    """Components to start from, or the largest number to try."""
    from bayesgmm.validation import count_distinct

    return args.max_components or count_distinct(table.values, 20)


def _fit_one(table, args):
    """The model of one structure, pruned."""
    import warnings

    from bayesgmm.estimators import BayesianGaussianMixture, FitWarning
    from bayesgmm.progress import Progress

    model = BayesianGaussianMixture(
        n_components=_most(table, args), covariance_type=args.covariance, n_init=args.restarts, random_state=args.seed
    )
    with Progress() as tell, warnings.catch_warnings():
        tell(f"fitting {args.covariance} covariances ...")
        warnings.simplefilter("ignore", FitWarning)
        return model.fit(_named(table))


def _best_of_all(table, args):
    """The model that the evidence prefers among all structures, and the selection it comes from."""
    from bayesgmm.estimators import select

    selection = select(_named(table), range(1, _most(table, args) + 1), STRUCTURES, random_state=args.seed)
    return selection.best, selection


def _structures(selection) -> dict[str, tuple[int, float]]:
    """Best number of components and its bound for each structure."""
    table, found = selection.table, {}
    for name in dict.fromkeys(table["covariance_type"].tolist()):
        rows = [i for i in range(table.n_rows) if table["covariance_type"][i] == name]
        top = max(rows, key=lambda i: table["evidence"][i])
        found[name] = (int(table["n_components"][top]), float(table["elbo"][top]))
    return found


def _named(table):
    import pandas

    return pandas.DataFrame(table.values, columns=list(table.columns))


if __name__ == "__main__":
    sys.exit(main())
