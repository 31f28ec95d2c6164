#!/usr/bin/env python3
"""Checks that clients of other servers get the answers of /predict over the Open Inference Protocol, unchanged.

Usage: oip_clients.py INFERENCE DIRECTORY [CAPTURES]

INFERENCE is the program, DIRECTORY takes the table and the model that are made for this, and CAPTURES, if given, the requests
as the clients send them, which are the fixtures of tests/api/oip.rs. Needs tritonclient[http] and mlserver.
"""

import csv
import json
import math
import pathlib
import re
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request

import numpy
import pandas
import tritonclient.http as triton
from mlserver.codecs import NumpyCodec, NumpyRequestCodec, PandasCodec, StringCodec
from mlserver.types import InferenceResponse, RequestOutput
from tritonclient.utils import InferenceServerException

FLOWERS = numpy.array([[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5], [5.9, 3.0, 4.2, 1.5]])
FLOWER_NAMES = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
CUSTOMERS = [
    {"age": 30.0, "city": "Oslo", "new": True, "plan": "monthly"},
    {"age": 55.5, "city": "Rome", "new": False, "plan": "yearly"},
    {"age": 41.0, "city": "Zürich", "new": False, "plan": "monthly"},
    {"age": None, "city": "", "new": True, "plan": "yearly"},
]


def main():
    binary, directory = sys.argv[1], pathlib.Path(sys.argv[2])
    captures = pathlib.Path(sys.argv[3]) if len(sys.argv) > 3 else None
    directory.mkdir(parents=True, exist_ok=True)
    model = train(binary, directory)
    with Service(binary) as iris, Service(binary, "--model", model) as customers:
        with Recorder(iris.port, captures) as iris_proxy, Recorder(customers.port, captures) as customers_proxy:
            check_metadata(iris, iris_proxy)
            check_numbers(iris, iris_proxy)
            check_text(customers, customers_proxy)
            check_errors(iris_proxy)
            check_mlserver(iris, customers)
            check_feedback(iris, iris_proxy)
    print("every answer agrees with that of /predict")


def train(binary, directory):
    table, model = directory / "customers.csv", directory / "customers.json"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["age", "city", "new", "plan", "leaves"])
        for row in range(400):
            plan = ["monthly", "yearly"][row * 7 % 2]
            city = "" if row % 20 > 17 else ["Oslo", "Rome"][row % 3 % 2]
            age = "" if row % 25 == 3 else 20 + row * 13 % 50
            leaves = "yes" if plan == "monthly" and row % 5 else "no"
            writer.writerow([age, city, str(row % 3 == 0).lower(), plan, leaves])
    command = [binary, "train", "--data", table, "--target", "leaves", "--out", model]
    subprocess.run(command, check=True, capture_output=True)
    return model


class Service:
    """The service on a free port."""

    def __init__(self, binary, *flags):
        command = [binary, "serve", "--listen", "127.0.0.1:0", "--log-format", "json", *flags]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            fields = json.loads(line)["fields"]
            if fields["message"] == "serving":
                self.port = int(fields["address"].rsplit(":", 1)[1])
                break
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def call(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def predict(self, rows):
        status, answer = self.call("/predict", {"instances": rows})
        assert status == 200, answer
        return answer["predictions"]


class Recorder:
    """A proxy in front of a service that can store what clients send, byte for byte, with the port replaced by 8000."""

    def __init__(self, port, captures):
        self.port, self.captures, self.name = port, captures, None
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()

    def serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.port))
            threading.Thread(target=self.copy, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self.copy, args=(server, client, False), daemon=True).start()

    def copy(self, source, sink, requests):
        pending = b""
        while chunk := source.recv(1 << 16):
            if requests and self.captures and self.name:
                pending += chunk
                head, found, body = pending.partition(b"\r\n\r\n")
                length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
                if found and len(body) == int(length[1] if length else 0):
                    self.captures.mkdir(parents=True, exist_ok=True)
                    stored = pending.replace(self.address.encode(), b"127.0.0.1:8000")
                    (self.captures / f"{self.name}.http").write_bytes(stored)
                    self.name, pending = None, b""
            sink.sendall(chunk)
        sink.close()

    def capture(self, name):
        """Stores the next request under this name."""
        self.name = name

    def client(self):
        return triton.InferenceServerClient(self.address)


def check_metadata(service, proxy):
    client = proxy.client()
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("iris") and not client.is_model_ready("tulips")
    server = client.get_server_metadata()
    assert "binary_tensor_data" in server["extensions"], server
    model = client.get_model_metadata("iris")
    assert [tensor["name"] for tensor in model["inputs"]] == FLOWER_NAMES, model
    version = service.call("/model")[1]["version"]
    assert model["versions"] == [version]
    assert client.get_model_metadata("iris", version) == model
    assert client.is_model_ready("iris", version) and not client.is_model_ready("iris", "1")
    print("tritonclient: metadata, liveness and readiness")


def check_numbers(service, proxy):
    client = proxy.client()
    expected = service.predict(FLOWERS.tolist())
    for datatype, kind in [("FP64", numpy.float64), ("FP32", numpy.float32), ("FP16", numpy.float16)]:
        for binary in [True, False]:
            if datatype == "FP16" and not binary:
                continue  # tritonclient sends FP16 in binary form only.
            matrix = triton.InferInput("input-0", list(FLOWERS.shape), datatype)
            matrix.set_data_from_numpy(FLOWERS.astype(kind), binary_data=binary)
            proxy.capture(f"triton-{datatype.lower()}-{'binary' if binary else 'json'}")
            result = client.infer("iris", [matrix], request_id="seven")
            tolerance = {"FP64": 0, "FP32": 1e-5, "FP16": 0.05}[datatype]
            compare(result, expected, tolerance)
            assert result.get_response()["id"] == "seven"
    columns = []
    for name, column in reversed(list(zip(FLOWER_NAMES, FLOWERS.T))):
        columns.append(triton.InferInput(name, [len(column), 1], "FP64"))
        columns[-1].set_data_from_numpy(column.reshape(-1, 1))
    proxy.capture("triton-columns-binary")
    compare(client.infer("iris", columns), expected, 0)
    for binary in [True, False]:
        names = ["prediction_id", "predict_proba", "label", "predict"]
        outputs = [triton.InferRequestedOutput(name, binary_data=binary) for name in names]
        proxy.capture(f"triton-outputs-{'binary' if binary else 'json'}")
        result = client.infer("iris", columns, outputs=outputs)
        compare(result, expected, 0)
        assert result.as_numpy("label").ravel().tolist() == [row["prediction"] for row in expected]
        assert ids(result) == texts(result.as_numpy("prediction_id"))
    whole = triton.InferInput("input-0", list(FLOWERS.shape), "INT64")
    whole.set_data_from_numpy(FLOWERS.astype(numpy.int64))
    compare(client.infer("iris", [whole]), service.predict(FLOWERS.astype(int).tolist()), 0)
    print("tritonclient: numbers as FP64, FP32, FP16 and INT64, in binary form and as JSON, in one tensor and by column")


def check_text(service, proxy):
    client = proxy.client()
    expected = service.predict(CUSTOMERS)
    for binary in [True, False]:
        inputs = []
        for name, datatype, values in [
            ("age", "FP64", numpy.array([math.nan if row["age"] is None else row["age"] for row in CUSTOMERS])),
            ("city", "BYTES", numpy.array([row["city"] for row in CUSTOMERS], dtype=object)),
            ("new", "BOOL", numpy.array([row["new"] for row in CUSTOMERS])),
            ("plan", "BYTES", numpy.array([row["plan"] for row in CUSTOMERS], dtype=object)),
        ]:
            inputs.append(triton.InferInput(name, [len(values), 1], datatype))
            # JSON has no NaN, so the column with a gap is sent in binary form in either case.
            inputs[-1].set_data_from_numpy(values.reshape(-1, 1), binary_data=binary or name == "age")
        proxy.capture(f"triton-text-{'binary' if binary else 'json'}")
        compare(client.infer("customers", inputs), expected, 0)
    print("tritonclient: text, booleans and gaps, in binary form and as JSON")


def check_errors(proxy):
    client = proxy.client()
    wrong = triton.InferInput("input-0", [1, 3], "FP64")
    wrong.set_data_from_numpy(numpy.ones((1, 3)))
    for model, word in [("iris", "wrong_feature_count"), ("tulips", "unknown_model")]:
        try:
            client.infer(model, [wrong])
        except InferenceServerException as error:
            assert word in error.message(), error
            print(f"tritonclient prints: {error}")
        else:
            raise AssertionError(f"{word} was not refused")


def check_mlserver(iris, customers):
    """MLServer's codecs make the requests and read the answers; the bytes go over HTTP as JSON."""
    # MLServer 1.7.1 does not know the type that pandas 3 gives to columns of text. It sends null for NaN.
    frame = pandas.DataFrame(CUSTOMERS).astype({"city": object, "plan": object})
    expected = customers.predict(CUSTOMERS)
    requests = {"pandas": (customers, "customers", PandasCodec.encode_request(frame, use_bytes=False), expected)}
    requests["numpy"] = (iris, "iris", NumpyRequestCodec.encode_request(FLOWERS), iris.predict(FLOWERS.tolist()))
    for name, (service, model, request, expected) in requests.items():
        request.id = "eight"
        request.outputs = [RequestOutput(name="predict"), RequestOutput(name="predict_proba")]
        status, answer = service.call(f"/v2/models/{model}/infer", json.loads(request.model_dump_json()))
        assert status == 200, answer
        response = InferenceResponse.model_validate(answer)
        classes = StringCodec.decode_output(response.outputs[0])
        assert numpy.ravel(classes).tolist() == [row["class"] for row in expected], (name, classes)
        probabilities = NumpyCodec.decode_output(response.outputs[1])
        assert probabilities.tolist() == [row["probabilities"] for row in expected], name
        assert response.id == "eight" and len(response.parameters.prediction_ids.split(",")) == len(expected)
    print("MLServer's codecs for numpy and pandas: requests and answers")


def check_feedback(service, proxy):
    matrix = triton.InferInput("input-0", [1, 4], "FP64")
    matrix.set_data_from_numpy(FLOWERS[:1])
    outputs = [triton.InferRequestedOutput("predict")]
    (prediction,) = ids(proxy.client().infer("iris", [matrix], outputs=outputs))
    status, answer = service.call("/feedback", {"prediction_id": prediction, "label": "setosa"})
    assert (status, answer["accepted"]) == (202, 1), answer
    print("feedback about a prediction id from `parameters` is accepted")


def texts(array):
    return [item.decode() if isinstance(item, bytes) else item for item in array.ravel().tolist()]


def ids(result):
    return result.get_response()["parameters"]["prediction_ids"].split(",")


def compare(result, expected, tolerance):
    assert result.as_numpy("predict").shape == (len(expected), 1)
    assert texts(result.as_numpy("predict")) == [row["class"] for row in expected]
    got, wanted = result.as_numpy("predict_proba"), numpy.array([row["probabilities"] for row in expected])
    assert got.shape == wanted.shape and numpy.abs(got - wanted).max() <= tolerance, (got, wanted)
    assert len(set(ids(result))) == len(expected)


main()
