"""A plain FastAPI service: a scikit-learn classifier of Iris flowers behind POST /predict.

It has no monitoring of its own. `just demo-watch` puts the watcher in front of it.
"""

from typing import Annotated

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

iris = load_iris()
model = make_pipeline(StandardScaler(), LogisticRegression())
# Every second row; the others are the reference, which the model must not know.
model.fit(iris.data[::2], iris.target[::2])

app = FastAPI()

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class Flower(BaseModel):
    """Sepal length, sepal width, petal length, petal width, in cm."""

    features: tuple[Number, Number, Number, Number]


@app.exception_handler(RequestValidationError)
async def refuse(_, error):
    # FastAPI's own handler repeats the input, and fails where that is NaN.
    return JSONResponse({"detail": [fault["msg"] for fault in error.errors()]}, 422)


@app.post("/predict")
async def predict(flower: Flower):
    probabilities = model.predict_proba([flower.features])[0]
    return {"prediction": int(probabilities.argmax()), "probabilities": probabilities.tolist()}
