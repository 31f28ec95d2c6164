#!/usr/bin/env python3
"""Records what real model servers are asked and what they answer, for the tests of the readers.

Usage: record.py {mlserver|kserve|mlflow|fastapi|tables} DIRECTORY

Each server needs a virtual environment of its own, because their dependencies contradict each other:

    mlserver   mlserver==1.7.1 mlserver-sklearn==1.7.1 uvloop==0.21.0 pandas
    fastapi    the same environment, which has fastapi and uvicorn
    kserve     kserve==0.21.0 scikit-learn pandas
    mlflow     mlflow scikit-learn pandas

DIRECTORY takes the models that are trained for this. The exchanges are written beside this file, as SERVER.json: a list of requests
with the bodies as the server's own client library writes them, the answers byte for byte, and what the model itself returns for the
rows. `tables` writes the tables of the models.
"""

import base64
import contextlib
import csv
import http.client
import importlib.metadata
import json
import os
import pathlib
import socket
import subprocess
import sys
import time

import joblib
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

HERE = pathlib.Path(__file__).parent
FLOWERS = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
CUSTOMER = ["age", "city", "member", "visits"]


def churn_table():
    """400 customers, whose class depends on every column."""
    random = np.random.default_rng(5)
    table = pd.DataFrame({
        "age": random.integers(18, 80, 400) + 0.5,
        "city": random.choice(["Lima", "Oslo", "Rome"], 400, p=[0.5, 0.3, 0.2]),
        "member": random.random(400) < 0.4,
        "visits": random.integers(0, 30, 400),
    })
    score = table.age / 20 - table.visits / 8 - 1.5 * table.member + 0.8 * (table.city == "Oslo") + random.normal(0, 0.7, 400)
    table["churn"] = np.where(score > score.median(), "yes", "no")
    table["price"] = np.round(10 + table.age + 3 * table.visits + random.normal(0, 2, 400), 2)
    return table


def models():
    """The models by name, each with its inputs."""
    iris = load_iris()
    table = churn_table()
    def pipeline(model):
        texts = (OneHotEncoder(handle_unknown="ignore"), ["city"])
        return make_pipeline(ColumnTransformer([("c", *texts)], remainder="passthrough"), StandardScaler(with_mean=False), model)
    return {
        "iris": (LogisticRegression(max_iter=1000).fit(iris.data, iris.target), pd.DataFrame(iris.data, columns=FLOWERS)),
        "churn": (pipeline(LogisticRegression(max_iter=1000)).fit(table[CUSTOMER], table.churn), table[CUSTOMER]),
        "price": (pipeline(LinearRegression()).fit(table[CUSTOMER], table.price), table[CUSTOMER]),
    }


def write_tables():
    """The tables that profiles are made of: the columns, the model's predictions and, for classes, its probabilities."""
    for name, (model, inputs) in models().items():
        table = inputs.copy()
        table["predicted"] = model.predict(inputs if name != "iris" else inputs.to_numpy())
        if hasattr(model, "predict_proba"):
            proba = model.predict_proba(inputs if name != "iris" else inputs.to_numpy())
            for column, label in enumerate(model.classes_):
                table[f"p_{label}"] = proba[:, column].round(6)
            table[f"p_{model.classes_[-1]}"] = 1 - sum(table[f"p_{label}"] for label in model.classes_[:-1])
        table.to_csv(HERE / f"{name}.csv", index=False, quoting=csv.QUOTE_MINIMAL)


def rows_of(inputs):
    return [[value.item() if hasattr(value, "item") else value for value in row] for row in inputs.itertuples(index=False)]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def running(command, port, ready, directory, environment=None):
    """Runs a server until it answers a GET of `ready` with 200."""
    log = open(pathlib.Path(directory) / "server.log", "w")
    server = subprocess.Popen(command, cwd=directory, stdout=log, stderr=log, env={**os.environ, **(environment or {})})
    try:
        deadline = time.monotonic() + 180
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                connection.request("GET", ready)
                if connection.getresponse().status == 200:
                    break
            assert server.poll() is None and time.monotonic() < deadline, log.name
            time.sleep(0.3)
        yield
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()


class Recorder:
    """Sends requests to a server and keeps them with the answers."""

    def __init__(self, server, port, versions):
        self.port, self.exchanges = port, []
        self.head = {"server": server, "versions": {name: importlib.metadata.version(name) for name in versions}}

    def ask(self, protocol, path, body, model, inputs, headers=None, named=True, status=200):
        """`inputs` are the rows as the model takes them."""
        body = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **(headers or {})}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        answer = response.read()
        assert response.status == status, (path, body[:500], response.status, answer[:800])
        own = models_once()[model][0]
        given = inputs if named and model != "iris" else inputs.to_numpy()
        labels = [value.item() if hasattr(value, "item") else value for value in own.predict(given)]
        proba = own.predict_proba(given).tolist() if hasattr(own, "predict_proba") else None
        keep = {"content-type", "inference-header-content-length"}
        self.exchanges.append({
            "protocol": protocol,
            "model": model,
            "path": path,
            "headers": {name.lower(): value for name, value in headers.items()},
            **encoded("request", body),
            "status": response.status,
            "answer_headers": {name.lower(): value for name, value in response.getheaders() if name.lower() in keep},
            **encoded("answer", answer),
            "rows": rows_of(inputs),
            "labels": labels,
            "probabilities": proba,
        })

    def write(self):
        name = self.head["server"]
        lines = ",\n".join("  " + json.dumps(exchange) for exchange in self.exchanges)
        (HERE / f"{name}.json").write_text(json.dumps(self.head)[:-1] + ',"exchanges":[\n' + lines + "\n]}\n")
        print(f"{name}: {len(self.exchanges)} exchanges")


def encoded(name, body):
    """Text stays text, so that the cases can be read."""
    try:
        return {name: body.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(body).decode()}


MODELS = {}


def models_once():
    if not MODELS:
        MODELS.update(models())
    return MODELS


def mlserver(directory):
    from mlserver.codecs import NumpyCodec, NumpyRequestCodec, PandasCodec
    from mlserver.types import InferenceRequest, Parameters, RequestOutput

    port, grpc, metrics = free_port(), free_port(), free_port()
    for name, (model, _) in models_once().items():
        folder = directory / "mlserver" / name
        folder.mkdir(parents=True, exist_ok=True)
        joblib.dump(model, folder / "model.joblib")
        settings = {"name": name, "implementation": "mlserver_sklearn.SKLearnModel", "parameters": {"uri": "./model.joblib"}}
        (folder / "model-settings.json").write_text(json.dumps(settings))
    (directory / "mlserver" / "settings.json").write_text(json.dumps(
        {"http_port": port, "grpc_port": grpc, "metrics_port": metrics, "host": "127.0.0.1", "parallel_workers": 0}))
    recorder = Recorder("mlserver", port, ["mlserver", "mlserver-sklearn", "scikit-learn", "fastapi"])
    command = [sys.executable, "-c", "from mlserver.cli import main; main()", "start", "."]
    with running(command, port, "/v2/health/ready", directory / "mlserver"):
        path = "/v2/models/{}/infer".format
        flowers = models_once()["iris"][1].iloc[[0, 60, 120]]
        matrix = NumpyRequestCodec.encode_request(flowers.to_numpy()).model_dump_json(exclude_none=True)
        recorder.ask("oip-v2", path("iris"), matrix, "iris", flowers)
        one = InferenceRequest(id="r1", inputs=[NumpyCodec.encode_input("predict", flowers.to_numpy().astype("float32")[:1])])
        recorder.ask("oip-v2", path("iris"), one.model_dump_json(), "iris", flowers.iloc[:1].astype("float32"))
        both = InferenceRequest(
            inputs=[NumpyCodec.encode_input("x", flowers.to_numpy())],
            outputs=[RequestOutput(name="predict"), RequestOutput(name="predict_proba")])
        recorder.ask("oip-v2", path("iris"), both.model_dump_json(), "iris", flowers)
        proba = InferenceRequest(
            parameters=Parameters(content_type="np", headers={"x": "y"}),
            inputs=[NumpyCodec.encode_input("x", flowers.to_numpy())], outputs=[RequestOutput(name="predict_proba")])
        recorder.ask("oip-v2", path("iris"), proba.model_dump_json(), "iris", flowers)
        for name in ["churn", "price"]:
            people = models_once()[name][1].iloc[[3, 5, 8, 13]].astype({"city": object})
            frame = PandasCodec.encode_request(people)
            recorder.ask("oip-v2", path(name), frame.model_dump_json(), name, people)
            frame = PandasCodec.encode_request(people, use_bytes=False)
            recorder.ask("oip-v2", path(name), frame.model_dump_json(exclude_none=True), name, people)
    recorder.write()


def kserve(directory):
    port = free_port()
    for name, (model, _) in models_once().items():
        joblib.dump(model, directory / f"{name}.joblib")
    code = directory / "kserve_server.py"
    code.write_text(KSERVE)
    recorder = Recorder("kserve", port, ["kserve", "scikit-learn", "fastapi"])
    from kserve import InferInput, InferRequest

    command = [sys.executable, code, "--http_port", str(port), "--enable_grpc", "false"]
    with running(command, port, "/v2/health/ready", directory):
        v1, v2 = "/v1/models/{}:predict".format, "/v2/models/{}/infer".format
        flowers = models_once()["iris"][1].iloc[[0, 60, 120]]
        recorder.ask("v1", v1("iris"), {"instances": flowers.to_numpy().tolist()}, "iris", flowers)
        recorder.ask("v1", v1("iris-proba"), {"instances": flowers.to_numpy().tolist(), "signature_name": "s"}, "iris", flowers)
        people = models_once()["churn"][1].iloc[[3, 5, 8, 13]]
        # KServe makes a data frame of each instance, so values are in lists.
        instances = [{name: [value] for name, value in row.items()} for row in json.loads(people.to_json(orient="records"))]
        for name in ["churn", "price"]:
            recorder.ask("v1", v1(name), {"instances": instances}, name, people)
        for binary in [False, True]:
            for kind, datatype in [("float64", "FP64"), ("float32", "FP32")]:
                values = flowers.to_numpy().astype(kind)
                tensor = InferInput("input-0", list(values.shape), datatype)
                tensor.set_data_from_numpy(values, binary_data=binary)
                body, length = InferRequest("iris", [tensor], request_id="r").to_rest()
                headers = {"Inference-Header-Content-Length": str(length), "Content-Type": "application/octet-stream"} if binary else {}
                body = body if isinstance(body, bytes) else json.dumps(body)
                given = flowers.astype(kind)
                recorder.ask("oip-v2", v2("iris"), body, "iris", given, headers=headers)
        frame = [
            {"name": name, "shape": [len(people)], "datatype": datatype, "data": people[name].tolist()}
            for name, datatype in zip(CUSTOMER, ["FP64", "BYTES", "BOOL", "INT64"])
        ]
        recorder.ask("oip-v2", v2("churn"), {"parameters": {"content_type": "pd"}, "inputs": frame}, "churn", people)
    recorder.write()


KSERVE = '''
import joblib
import kserve
from kserve.utils.utils import get_predict_input, get_predict_response


class Sklearn(kserve.Model):
    """As kserve's sklearnserver, which PyPI does not have."""

    def __init__(self, name, file, proba=False):
        super().__init__(name)
        self.model, self.proba, self.ready = joblib.load(file), proba, True

    def predict(self, payload, headers=None, response_headers=None):
        instances = get_predict_input(payload)
        result = self.model.predict_proba(instances) if self.proba else self.model.predict(instances)
        return get_predict_response(payload, result, self.name)


kserve.ModelServer().start([
    Sklearn("iris", "iris.joblib"), Sklearn("iris-proba", "iris.joblib", True), Sklearn("churn", "churn.joblib"), Sklearn("price", "price.joblib")])
'''


def mlflow(directory):
    import mlflow
    from mlflow.models import infer_signature

    recorder = Recorder("mlflow", 0, ["mlflow", "scikit-learn"])
    for name, (model, inputs) in models_once().items():
        folder = directory / "mlflow" / name
        if not folder.exists():
            frame = inputs if name != "iris" else inputs.to_numpy()
            signature = infer_signature(frame, model.predict(frame))
            mlflow.sklearn.save_model(model, folder, signature=signature, pip_requirements=[], pyfunc_predict_fn="predict", serialization_format="cloudpickle")
        port = free_port()
        recorder.port = port
        command = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local", "-m", str(folder), "-p", str(port), "-h", "127.0.0.1"]
        environment = {"PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"}
        with running(command, port, "/ping", directory, environment):
            some = inputs.iloc[[3, 65, 120]]
            path = "/invocations"
            if name == "iris":
                recorder.ask("mlflow", path, {"inputs": some.to_numpy().tolist()}, name, some)
                recorder.ask("mlflow", path, {"instances": some.to_numpy().tolist()}, name, some)
                continue
            recorder.ask("mlflow", path, {"dataframe_split": json.loads(some.to_json(orient="split"))}, name, some)
            recorder.ask("mlflow", path, {"dataframe_records": json.loads(some.to_json(orient="records"))}, name, some)
            recorder.ask("mlflow", path, {"inputs": {column: some[column].tolist() for column in some}}, name, some)
            recorder.ask("mlflow", path, some.to_csv(index=False), name, some, headers={"Content-Type": "text/csv"})
    recorder.write()


def fastapi(directory):
    port = free_port()
    for name, (model, _) in models_once().items():
        joblib.dump(model, directory / f"{name}.joblib")
    (directory / "fastapi_server.py").write_text(FASTAPI)
    recorder = Recorder("fastapi", port, ["fastapi", "pydantic", "scikit-learn"])
    command = [sys.executable, "-m", "uvicorn", "fastapi_server:app", "--port", str(port), "--log-level", "warning"]
    with running(command, port, "/health", directory):
        people = models_once()["churn"][1].iloc[[3, 5, 8, 13]]
        records = json.loads(people.to_json(orient="records"))
        for at in [0, 1]:
            some = people.iloc[at : at + 1]
            for path in ["/predict", "/predict-confidence", "/predict-probabilities", "/predict-map"]:
                recorder.ask("native", path, records[at], "churn", some)
            recorder.ask("native", "/predict", {**records[at], "request_id": "r-1", "age": str(records[at]["age"])}, "churn", some)
            recorder.ask("native", "/predict-number", records[at], "price", some)
        recorder.ask("native", "/predict-batch", {"customers": records}, "churn", people)
        recorder.ask("native", "/predict-list", records, "churn", people)
        recorder.ask("native", "/predict-frame", people.to_json(), "churn", people)
        flowers = models_once()["iris"][1].iloc[[0, 60, 120]]
        for at in range(3):
            some = flowers.iloc[at : at + 1]
            recorder.ask("native", "/iris", {"features": some.to_numpy()[0].tolist()}, "iris", some)
        recorder.ask("native", "/iris-batch", {"data": flowers.to_numpy().tolist()}, "iris", flowers)
    recorder.write()


FASTAPI = '''
import io

import joblib
import numpy as np
import pandas as pd
from fastapi import FastAPI, Request
from pydantic import BaseModel

app = FastAPI()
churn, price, iris = [joblib.load(f"{name}.joblib") for name in ["churn", "price", "iris"]]


class Customer(BaseModel):
    age: float
    city: str
    member: bool
    visits: int


class Customers(BaseModel):
    customers: list[Customer]


class Flower(BaseModel):
    features: list[float]


def frame(customers):
    return pd.DataFrame([customer.model_dump() for customer in customers])


@app.get("/health")
def health():
    return {"status": "ok"}


@app.post("/predict")
def predict(customer: Customer):
    return {"prediction": churn.predict(frame([customer]))[0]}


@app.post("/predict-confidence")
def predict_confidence(customer: Customer):
    proba = churn.predict_proba(frame([customer]))[0]
    return {"label": churn.classes_[proba.argmax()], "confidence": float(proba.max()), "model_version": "3"}


@app.post("/predict-probabilities")
def predict_probabilities(customer: Customer):
    proba = churn.predict_proba(frame([customer]))[0]
    return {"prediction": churn.classes_[proba.argmax()], "probabilities": proba.tolist()}


@app.post("/predict-map")
def predict_map(customer: Customer):
    proba = churn.predict_proba(frame([customer]))[0]
    return {"result": {"label": churn.classes_[proba.argmax()], "probabilities": dict(zip(churn.classes_, proba.tolist()))}}


@app.post("/predict-number")
def predict_number(customer: Customer):
    return {"price": float(price.predict(frame([customer]))[0])}


@app.post("/predict-batch")
def predict_batch(body: Customers):
    table = frame(body.customers)
    return {"predictions": churn.predict(table).tolist(), "probabilities": churn.predict_proba(table).tolist()}


@app.post("/predict-list")
def predict_list(customers: list[Customer]):
    table = frame(customers)
    return [{"class": label, "confidence": float(row.max())} for label, row in zip(churn.predict(table), churn.predict_proba(table))]


@app.post("/predict-frame")
async def predict_frame(request: Request):
    table = pd.read_json(io.BytesIO(await request.body()))
    return churn.predict(table[["age", "city", "member", "visits"]]).tolist()


@app.post("/iris")
def predict_iris(flower: Flower):
    return {"prediction": int(iris.predict([flower.features])[0])}


@app.post("/iris-batch")
def predict_iris_batch(body: dict):
    return {"predictions": iris.predict(np.array(body["data"])).tolist()}
'''


if __name__ == "__main__":
    what, target = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
    target.mkdir(parents=True, exist_ok=True)
    {"mlserver": mlserver, "kserve": kserve, "mlflow": mlflow, "fastapi": fastapi, "tables": lambda _: write_tables()}[what](target)
