"""The references, whole data at once: recordlinkage's ECM classifier and Splink on DuckDB; FEBRL's records for ours.

Runs in the environment of ``linkage.lock``: ``python references.py FOLDER``. Each data set gives ``febrlN.json`` with
the records in their order in the package and the true pairs, and one line of JSON per method on standard output. The
truth is used to choose each reference's best threshold: an advantage that ours does not have.
"""

import json
import logging
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

# Not in our environment, so unknown to its mypy.
import pandas as pd  # type: ignore[import-untyped]
import recordlinkage  # type: ignore[import-not-found]
import splink.comparison_library as cl  # type: ignore[import-not-found]
from recordlinkage import datasets
from splink import DuckDBAPI, Linker, SettingsCreator, block_on

LOADED = {"febrl1": datasets.load_febrl1, "febrl2": datasets.load_febrl2, "febrl3": datasets.load_febrl3}
Pair = tuple[str, str]
TEXTS = ("given_name", "surname", "address_1", "address_2", "suburb")
CODES = ("date_of_birth", "postcode", "state", "street_number")
# Where both references look for pairs: alike in any one of these.
BLOCKS = (("given_name",), ("surname",), ("date_of_birth",), ("postcode",), ("address_1",), ("suburb",))


def ordered(one: str, other: str) -> Pair:
    return (one, other) if one < other else (other, one)


def best(scored: Iterable[tuple[float, Pair]], truth: set[Pair]) -> dict[str, float]:
    """Return precision, recall and F1 at the threshold of the greatest F1."""
    found, right = {"precision": 0.0, "recall": 0.0, "f1": 0.0}, 0
    ranked = sorted(scored, reverse=True)
    for count, (score, pair) in enumerate(ranked, 1):
        right += pair in truth
        # A threshold parts scores, never equal ones.
        if count < len(ranked) and ranked[count][0] == score:
            continue
        f1 = 2 * right / (count + len(truth))
        if f1 > found["f1"]:
            found = {"precision": right / count, "recall": right / len(truth), "f1": f1}
    return found


def ecm(records: pd.DataFrame, truth: set[Pair]) -> dict[str, float]:
    """Jaro-Winkler of 0.85 for texts, equality for codes, as in the manual of recordlinkage."""
    index, compare = recordlinkage.Index(), recordlinkage.Compare()
    for columns in BLOCKS:
        index.block(list(columns))
    for column in TEXTS:
        compare.string(column, column, method="jarowinkler", threshold=0.85, label=column)
    for column in CODES:
        compare.exact(column, column, label=column)
    features = compare.compute(index.index(records), records)
    probabilities = recordlinkage.ECMClassifier()
    probabilities.fit(features)
    scores = probabilities.prob(features)
    return best(((float(p), ordered(*pair)) for pair, p in scores.items()), truth)


def splink(records: pd.DataFrame, truth: set[Pair]) -> dict[str, float]:
    """Comparisons and training as in Splink's own tutorial on deduplication of FEBRL."""
    frame = records.reset_index().rename(columns={records.index.name: "unique_id"})
    settings = SettingsCreator(
        link_type="dedupe_only",
        blocking_rules_to_generate_predictions=[block_on(*columns) for columns in BLOCKS],
        comparisons=[
            cl.NameComparison("given_name"),
            cl.NameComparison("surname"),
            cl.DateOfBirthComparison("date_of_birth", input_is_string=True, datetime_format="%Y%m%d"),
            cl.DamerauLevenshteinAtThresholds("postcode", [1, 2]),
            cl.JaroWinklerAtThresholds("address_1", [0.9, 0.7]).configure(term_frequency_adjustments=True),
            cl.JaroWinklerAtThresholds("address_2", [0.9, 0.7]),
            cl.JaroWinklerAtThresholds("suburb", [0.9, 0.7]).configure(term_frequency_adjustments=True),
            cl.ExactMatch("state"),
            cl.DamerauLevenshteinAtThresholds("street_number", [1]),
        ],
        max_iterations=50,
    )
    linker = Linker(frame, settings, db_api=DuckDBAPI())
    certain = [block_on("given_name", "surname", "date_of_birth"), block_on("surname", "address_1", "suburb")]
    linker.training.estimate_probability_two_random_records_match(certain, recall=0.7)
    linker.training.estimate_u_using_random_sampling(max_pairs=2e6, seed=1)
    for columns in (("date_of_birth",), ("postcode",), ("given_name", "surname")):
        linker.training.estimate_parameters_using_expectation_maximisation(block_on(*columns))
    pairs = linker.inference.predict().as_pandas_dataframe()[["match_weight", "unique_id_l", "unique_id_r"]]
    return best(((float(w), ordered(a, b)) for w, a, b in pairs.itertuples(index=False)), truth)


def main(folder: Path) -> None:
    logging.disable(logging.WARNING)
    for name, load in LOADED.items():
        records, links = load(return_links=True)
        records = records.drop(columns="soc_sec_id")
        truth = {ordered(*pair) for pair in links}
        rows: list[tuple[str, dict[str, Any]]] = [
            (number, {column: value for column, value in row.items() if isinstance(value, str)})
            for number, row in records.iterrows()
        ]
        (folder / f"{name}.json").write_text(json.dumps({"records": rows, "truth": sorted(truth)}))
        for method in (ecm, splink):
            line = {"dataset": name, "method": method.__name__, **method(records, truth)}
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
