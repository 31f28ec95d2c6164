#!/usr/bin/env python3
"""Measures MLServer and the service with the same scikit-learn model, over the Open Inference Protocol, in one run.

Usage: mlserver_peer.py INFERENCE DIRECTORY

INFERENCE is the program, DIRECTORY takes the models that are made for this. The model is gradient boosting, trained on scikit-learn's
copy of Iris; MLServer serves it as it is, the service as ONNX. Both have one worker per core and take the same body. They take
turns; medians are printed. Needs mlserver, mlserver-sklearn, skl2onnx, ONNX Runtime in ORT_DYLIB_PATH, and wrk.
"""

import contextlib
import csv
import json
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request

import joblib
import skl2onnx
from sklearn.datasets import load_iris
from sklearn.ensemble import GradientBoostingClassifier

ROUNDS, SECONDS, CONNECTIONS = 5, 4, 16
CORES = os.cpu_count()
ROW = [6.3, 3.3, 6.0, 2.5]
NAMES = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
PATH = "/v2/models/iris/infer"


def main():
    binary, directory = sys.argv[1], pathlib.Path(sys.argv[2])
    onnx, card, folder = make_models(binary, directory)
    script = write_script(directory)
    with mlserver(folder) as peer, service(binary, onnx, card) as own:
        check_agreement(peer, own)
        print(f"{ROUNDS} rounds of {SECONDS} s, {CONNECTIONS} connections, {CORES} workers each, one row per request")
        rates = {"inference": [], "MLServer": []}
        for turn in range(ROUNDS + 1):
            servers = [("inference", own), ("MLServer", peer)]
            for name, port in servers[:: 1 if turn % 2 else -1]:
                rate = load(port, script)
                # The first round warms up.
                if turn:
                    rates[name].append(rate)
        for name, measured in rates.items():
            print(f"  {name:<10} {statistics.median(measured):>9.1f} requests/s")
        ratio = statistics.median(own / peer for own, peer in zip(rates["inference"], rates["MLServer"]))
        print(f"ratio {ratio:.1f}")


def make_models(binary, directory):
    """Trains the model and writes it for both servers."""
    iris = load_iris()
    model = GradientBoostingClassifier(random_state=0).fit(iris.data, iris.target)
    folder = directory / "models" / "iris"
    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, folder / "model.joblib")
    settings = {"name": "iris", "implementation": "mlserver_sklearn.SKLearnModel", "parameters": {"uri": "./model.joblib"}}
    (folder / "model-settings.json").write_text(json.dumps(settings))
    table, onnx, card = directory / "iris.csv", directory / "iris.onnx", directory / "iris.json"
    converted = skl2onnx.to_onnx(model, iris.data[:1].astype("float32"), options={"zipmap": False})
    onnx.write_bytes(converted.SerializeToString())
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*NAMES, "species"])
        writer.writerows([*row, label] for row, label in zip(iris.data.tolist(), iris.target.tolist()))
    command = [binary, "profile", "--data", table, "--target", "species", "--onnx", onnx, "--out", card, "--name", "iris"]
    subprocess.run(command, check=True, capture_output=True)
    return onnx, card, folder.parent


@contextlib.contextmanager
def mlserver(folder):
    http, grpc, metrics = free_port(), free_port(), free_port()
    settings = {
        "host": "127.0.0.1",
        "http_port": http,
        "grpc_port": grpc,
        "metrics_port": metrics,
        "parallel_workers": CORES,
        "debug": False,
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    program = pathlib.Path(sys.executable).with_name("mlserver")
    with running([program, "start", folder], http, folder.parent / "mlserver.log", "/v2/models/iris/ready"):
        yield http


@contextlib.contextmanager
def service(binary, onnx, card):
    port = free_port()
    command = [binary, "serve", "--listen", f"127.0.0.1:{port}", "--workers", str(CORES), "--model", onnx, "--profile", card]
    with running(command, port, card.with_name("inference.log"), "/readyz"):
        yield port


@contextlib.contextmanager
def running(command, port, log, ready):
    """Runs a server until the block ends, which begins once the server is ready."""
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + 120
        while not is_ready(port, ready):
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"error: {command[0]} did not get ready; its log is {log}")
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait()


def is_ready(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
            return answer.status == 200
    except (urllib.error.URLError, ConnectionError):
        return False


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def body():
    tensor = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": ROW}
    return json.dumps({"inputs": [tensor]})


def write_script(directory):
    script = directory / "infer.lua"
    script.write_text(
        f"wrk.method = 'POST'\nwrk.body = '{body()}'\nwrk.headers['Content-Type'] = 'application/json'\n"
        "done = function(s) if s.errors.status + s.errors.connect + s.errors.read > 0 then "
        "print('FAILED') end end\n"
    )
    return script


def check_agreement(peer, own):
    """Checks that both servers answer the same class."""
    classes = []
    for port in (peer, own):
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}{PATH}", body().encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as answer:
            classes.append(str(json.load(answer)["outputs"][0]["data"][0]))
    assert classes[0] == classes[1], classes


def load(port, script):
    """Returns requests per second."""
    command = ["wrk", "-t", "1", "-c", str(CONNECTIONS), "-d", str(SECONDS), "--timeout", "30s", "-s", script]
    output = subprocess.run([*command, f"http://127.0.0.1:{port}{PATH}"], check=True, capture_output=True, text=True).stdout
    assert "FAILED" not in output, output
    return float(re.search(r"Requests/sec: *([\d.]+)", output)[1])


if __name__ == "__main__":
    main()
