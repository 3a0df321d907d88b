"""The command line: ``bayesgmm fit | select | predict | datasets``. What only one command needs is imported by that command."""

from __future__ import annotations

import argparse
import csv
import json
import logging
import shlex
import sys
import textwrap
import time
from pathlib import Path

from bayesgmm import terminal
from bayesgmm._version import __version__
from bayesgmm.inference.cache import disable_compilation_cache

STRUCTURES = ("full", "tied", "diag", "spherical")
MOST = 20
"""Components to start from, or the largest number to try, unless told otherwise."""

PICTURES = (".png", ".svg", ".pdf")
SHOWN = 60
"""Characters of a word that a message shows."""

AUTO = "structure; auto compares all four by their evidence, as select does (default)"


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line."""

    def error(self, message: str):
        terminal.tell(f"bayesgmm: error: {message}; {self.prog} --help lists what there is.")
        self.exit(2)


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
    fit.add_argument("--brief", action="store_true", help="a report without what takes longer: intervals, comparison, checks, sensitivity")
    fit.add_argument("--checkpoint", metavar="FILE", help="with --stream: keep where the fit is, and go on from there if the file exists")
    fit.set_defaults(run=run_fit)
    select = commands.add_parser("select", help="compare numbers of components and structures by every criterion")
    _add_data(select)
    select.add_argument("--max-components", type=int, default=15, help="largest number of components (default: 15)")
    select.add_argument("--covariance", default=",".join(STRUCTURES), help="structures, separated by commas (default: all four)")
    select.add_argument("--criterion", default="evidence", help="what decides: evidence (default), elbo, bic, aic, aicc, icl, ...")
    select.add_argument("--prior", default="hierarchical", help="prior of the variational fits: hierarchical (default) or fixed")
    select.add_argument("--plot", metavar="FILE", help="draw the criterion against the number of components, .png, .svg or .pdf")
    select.set_defaults(run=run_select)
    predict = commands.add_parser("predict", help="write what a saved model says of every row")
    predict.add_argument("model", metavar="MODEL", help="model file, such as model.npz from fit --out")
    _add_source(predict)
    predict.add_argument("--out", metavar="FILE", required=True, help="file to write, .csv or .parquet")
    predict.set_defaults(run=run_predict)
    datasets = commands.add_parser("datasets", help="list the data sets in the package")
    datasets.set_defaults(run=run_datasets)
    return parser


def _add_data(parser: argparse.ArgumentParser) -> None:
    """What every command that fits takes."""
    _add_source(parser)
    parser.add_argument("--sample", type=int, help="with --stream: rows that starts, pruning and comparisons look at (default: 65536)")
    parser.add_argument("--missing", choices=("error", "at_random"), default="error", help="what empty cells mean (default: a mistake)")
    parser.add_argument(
        "--noise", type=_word_or_number, help="rows of no component: box or hull around the rows, or a volume (default: none)"
    )
    tails = "heavy tails: learn or shared degrees of freedom, or their number (default: Gaussian components)"
    parser.add_argument("--student-t", type=_word_or_number, help=tails)
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: 0)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    parser.add_argument("--no-cache", action="store_true", help="do not keep compiled programs in the user's cache folder")


def _word_or_number(text: str) -> str | float:
    """A number where the text is one."""
    try:
        return float(text)
    except ValueError:
        return text


def _options(args: argparse.Namespace) -> dict:
    """What all fits of a command share."""
    return {"random_state": args.seed, "missing": args.missing, "noise": args.noise, "student_t": args.student_t}


def _add_source(parser: argparse.ArgumentParser) -> None:
    """Where rows come from."""
    told = "CSV, TSV, Parquet, Feather or .npy file, a data set's name, or a folder or pattern of files to --stream"
    parser.add_argument("source", metavar="FILE_OR_DATASET", help=told)
    parser.add_argument("--columns", help="columns to use, separated by commas (default: all)")
    parser.add_argument(
        "--stream", action="store_true", help="read rows as they are needed instead of into memory (Parquet, Feather, .npy)"
    )


def main(argv: list[str] | None = None) -> int:
    """Run a command; 0, 2 for a mistake of the user's, 1 for a fit that failed."""
    terminal.open_closed()
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it has advice for those without a home
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # type: ignore
    args = build_parser().parse_args(argv)
    args.typed = shlex.join(["bayesgmm", *(sys.argv[1:] if argv is None else argv)])
    args.unsaid = None
    try:
        return args.run(args) or _told(args.unsaid)
    except (ValueError, TypeError, OSError) as error:
        return _complain("error", error, 2)
    except (RuntimeError, MemoryError) as error:
        return _complain("failed", error, 1)
    except KeyboardInterrupt:
        terminal.tell("bayesgmm: interrupted; there is no result.")
        return 1


def _complain(kind: str, error: BaseException, code: int) -> int:
    terminal.tell(f"bayesgmm: {kind}: {' '.join(str(error).split()) or type(error).__name__}")
    return code


def _print(args: argparse.Namespace, text: str) -> None:
    """Print to standard output; where that fails, files are written all the same, and the end of `main` tells."""
    try:
        print(text, flush=True)
    except OSError as error:
        args.unsaid = error
        terminal.silence(sys.stdout)


def _told(unsaid: OSError | None) -> int:
    """The exit status of a command that has ended well, but perhaps without saying so; who reads no further knows that."""
    if unsaid is None or isinstance(unsaid, BrokenPipeError):
        return int(unsaid is not None)
    return _complain("error", OSError(f"Standard output could not be written: {unsaid.strerror}."), 2)


def run_datasets(args: argparse.Namespace) -> int:
    """Print the data sets with sources and licences."""
    from bayesgmm.datasets import describe_datasets

    lines = [line for info in describe_datasets() for line in [*str(info).splitlines(), ""]][:-1]
    wide = terminal.width(sys.stdout)
    _print(args, "\n".join(lines if wide is None else [textwrap.fill(line, wide, subsequent_indent="    ") for line in lines]))
    return 0


def run_fit(args: argparse.Namespace) -> int:
    """Read, fit, print, write."""
    began = time.perf_counter()
    given = _given(args)
    out = _prepare_folder(args.out)
    if args.checkpoint and (args.covariance == "auto" or given.values is not None):
        raise ValueError("--checkpoint is for rows that are not read into memory (--stream) and one structure (--covariance full).")
    best, selection = _best_of_all(given, args) if args.covariance == "auto" else (_fit_one(given, args), None)
    facts = best.facts(given.values, title=given.title, units=given.units)
    seconds = time.perf_counter() - began
    from bayesgmm.report import files, text, verdict

    structures = _structures(selection) if selection else {best.covariance_type: (best.n_components_, best.lower_bound_)}
    record = files.as_json(facts, structures, seconds)
    wide = terminal.width(sys.stdout)
    more = [verdict.wrapped(selection.sentences, wide)] if selection else []
    said = [text.summary(facts, wide, terminal.plus_minus(sys.stdout)), *more, f"{seconds:.1f} s."]
    _print(args, json.dumps(record, allow_nan=False) if args.json else "\n".join(said))
    if out:
        files.write_folder(out, best, given.batches(), record)
        best.report(
            out / "report.html",
            given.x,
            selection=selection,
            full=not args.brief,
            title=given.title,
            units=given.units,
            command=args.typed,
        )
        terminal.tell(f"Wrote report.html, assignments.csv, model.npz and posterior.json to {out}.")
    return 0


def run_select(args: argparse.Namespace) -> int:
    """Read, compare, print, draw."""
    began = time.perf_counter()
    picture = None if args.plot is None else _picture(args.plot)
    given = _given(args)
    from bayesgmm.estimators import select

    names = tuple(name.strip() for name in args.covariance.split(","))
    selection = select(given.x, range(1, args.max_components + 1), names, args.criterion, args.prior, **_options(args))
    seconds = time.perf_counter() - began
    from bayesgmm.report import files, text, verdict

    n, wide = selection.best.facts().n_samples, terminal.width(sys.stdout)
    heading = text.filled(f"{given.title}: {n} rows, {len(given.columns)} columns ({', '.join(given.columns[:8])}).", wide)
    record = files.selection_as_json(selection, given.title, list(given.columns), n, seconds)
    said = [heading, verdict.wrapped(selection.sentences, wide), "", verdict.printed(selection.table, width=wide), f"{seconds:.1f} s."]
    _print(args, json.dumps(record, allow_nan=False) if args.json else "\n".join(said))
    if picture:
        _draw(selection, picture)
        terminal.tell(f"Wrote {args.plot}.")
    return 0


def _picture(name: str) -> Path:
    """The file of a plot, looked at before the work so that a mistake shows at once."""
    from bayesgmm.storage import check_place

    path = Path(name)
    if path.suffix.lower() not in PICTURES:
        raise ValueError(f"--plot {name!r}: pictures are written to files that end in {', '.join(PICTURES)}.")
    check_place(path)
    return path


def _draw(selection, path: Path) -> None:
    """The plot of a selection, in one step."""
    from bayesgmm.storage import replacing

    with replacing(path) as beside:
        selection.plot().figure.savefig(beside, format=path.suffix[1:].lower(), dpi=150, bbox_inches="tight")


def run_predict(args: argparse.Namespace) -> int:
    """Read a model, write what it says of every row."""
    from bayesgmm.estimators import load
    from bayesgmm.estimators.predictions import write_predictions
    from bayesgmm.given import read_given

    model = load(args.model)
    if not hasattr(model, "row_table"):
        raise ValueError(f"{args.model!r} holds a {type(model).__name__}; predict needs a mixture.")
    missing = "error" if args.stream else model.missing
    n = write_predictions(model, args.out, read_given(args.source, _columns(args.columns), args.stream, missing=missing).x, first=1)
    terminal.tell(f"Wrote component (from 1, as in the summary), probability and log density of {n} rows to {args.out}.")
    return 0


def _columns(given: str | None) -> list[str] | None:
    """Names divided by commas; a name that holds a comma goes into quotation marks."""
    if given is None:
        return None
    try:
        names = [name.strip() for name in next(csv.reader([given], skipinitialspace=True), [])]
    except csv.Error:
        names = []
    if not all(names) or not names:
        raise ValueError(f"--columns must be names divided by commas; got {given[:SHOWN]!r}.")
    return names


def _given(args: argparse.Namespace):
    """The rows of a command, and whether options and rows go together, in the words of the command line."""
    from bayesgmm.given import read_given
    from bayesgmm.validation import check_number

    given = read_given(args.source, _columns(args.columns), args.stream, args.sample, args.missing)
    if "restarts" in args:
        check_number("--restarts", args.restarts, 1, integer=True)
    check_number("--seed", args.seed, 0, integer=True)
    if args.max_components is not None:
        check_number("--max-components", args.max_components, 1, integer=True)
    given.check(args.source, args.max_components if args.command == "fit" else None)
    if args.no_cache:
        disable_compilation_cache()
    return given


def _prepare_folder(name: str | None) -> Path | None:
    """The output folder, made before the work so that a mistake shows at once."""
    if name is None:
        return None
    path = Path(name)
    if path.exists() and not path.is_dir():
        raise ValueError(f"--out {name!r} is a file; give a folder.")
    path.mkdir(parents=True, exist_ok=True)
    return path


def _fit_one(given, args):
    """The model of one structure, pruned."""
    import warnings

    from bayesgmm.estimators import BayesianGaussianMixture, FitWarning
    from bayesgmm.progress import Progress

    model = BayesianGaussianMixture(
        n_components=args.max_components or given.most(MOST),
        covariance_type=args.covariance,
        n_init=args.restarts,
        **_options(args),
    )
    with Progress() as tell, warnings.catch_warnings(record=True) as said:
        tell(f"fitting {args.covariance} covariances ...")
        warnings.simplefilter("always" if given.values is None else "ignore", FitWarning)
        model.fit(given.x, checkpoint=args.checkpoint)
    for warning in said:
        terminal.tell(f"bayesgmm: warning: {warning.message}")
    return model


def _best_of_all(given, args):
    """The model that the evidence prefers among all structures, and the selection it comes from."""
    from bayesgmm.estimators import select

    most = args.max_components or given.most(MOST)
    selection = select(given.x, range(1, most + 1), STRUCTURES, **_options(args))
    return selection.best, selection


def _structures(selection) -> dict[str, tuple[int, float]]:
    """Best number of components and its bound for each structure."""
    table, found = selection.table, {}
    for name in dict.fromkeys(table["covariance_type"].tolist()):
        rows = [i for i in range(table.n_rows) if table["covariance_type"][i] == name]
        top = max(rows, key=lambda i: table["evidence"][i])
        found[name] = (int(table["n_components"][top]), float(table["elbo"][top]))
    return found


if __name__ == "__main__":
    sys.exit(main())
