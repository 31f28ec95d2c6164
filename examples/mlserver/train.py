"""Fits a classifier of Iris flowers for MLServer, and writes the rows that it was not fitted to as the reference."""

from pathlib import Path

import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

iris = load_iris(as_frame=True)
columns = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
table = iris.data.set_axis(columns, axis=1).assign(species=iris.target)
model = make_pipeline(StandardScaler(), LogisticRegression())
model.fit(table[::2][columns].to_numpy(), table[::2]["species"])
joblib.dump(model, Path(__file__).parent / "model.joblib")
table[1::2].to_csv("reference.csv", index=False)
