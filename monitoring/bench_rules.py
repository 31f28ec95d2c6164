#!/usr/bin/env python3
"""Measures what the rules cost a real Prometheus: recorded series, evaluation time, memory.

Serves made-up pages of replicas on loopback, has Prometheus scrape them, and compares the rules of this working tree with
those of a former commit, one after the other, twice. Then the same for many models, from which a fleet is extrapolated.

Run it by `just bench-rules`. PROMETHEUS names another binary than the one on PATH.
"""

import argparse
import collections
import http.server
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FORMER = "4c37d2d"
# Evaluation times are given per this many seconds.
PERIOD = 5
FLEET = 1_000
REFERENCE_ROWS = 1_000
# Rows per second of a replica: every window has its 60, so no rule is spared its work.
ROWS_PER_SECOND = 40
CLASSES = ("a", "b", "c")

DURATIONS = (2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0)
CONFIDENCES = (0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999)
LAGS = (1, 10, 60, 600, 3600, 21600, 86400, 259200, 604800, 2592000)
# Route, method, statuses: those of which the service has series from its start.
ROUTES = [
    ("/predict", "POST", (200, 400, 408, 413, 415, 422, 500, 503, 504)),
    ("/invocations", "POST", (200, 400, 408, 413, 415, 422, 500, 503, 504)),
    ("/v1/models/{model}:predict", "POST", (200, 400, 404, 408, 413, 415, 422, 500, 503, 504)),
    ("/v2/models/{model}/infer", "POST", (200, 400, 404, 408, 413, 415, 422, 500, 503, 504)),
    ("/v2/models/{model}/versions/{version}/infer", "POST", (200, 400, 404, 408, 413, 415, 422, 500, 503, 504)),
    ("/feedback", "POST", (202, 400, 408, 413, 415, 422, 500, 503)),
    ("/admin/reload", "POST", (200, 401, 409)),
    ("/readyz", "GET", (200, 503)),
    ("/metrics", "GET", (200, 500, 503)),
    ("/model", "GET", (200, 500)),
    ("/healthz", "GET", (200, 500)),
    ("/openapi.json", "GET", (200, 500)),
    ("/docs", "GET", (308,)),
    ("/docs/{file:.*}", "GET", (200, 404)),
    ("/v2", "GET", (200,)),
    ("/v2/health/live", "GET", (200,)),
    ("/v2/health/ready", "GET", (200, 503)),
    ("/v2/models/{model}", "GET", (200, 404)),
    ("/v2/models/{model}/versions/{version}", "GET", (200, 404)),
    ("/v2/models/{model}/ready", "GET", (200, 404, 503)),
    ("/v2/models/{model}/versions/{version}/ready", "GET", (200, 404, 503)),
    ("unmatched", "GET", (404,)),
    ("unmatched", "other", (400, 408, 431)),
]
REASONS = 46
FEEDBACK_REASONS = 11


class Page:
    """The metrics of one replica. Counters grow with time; everything else is constant."""

    def __init__(self, model, features, labelled_by_model):
        self.lines = []  # (text up to the value, value at the start, growth per second)
        version = "0123456789ab"
        full = f'model="{model}",version="{version}"'
        # Former releases labelled most series by the version alone, and some not even by that.
        signal_labels = full if labelled_by_model else f'version="{version}"'
        own_labels = full if labelled_by_model else ""
        self.gauge("model_info", full, 1)
        self.gauge("model_loaded", "", 1)
        self.gauge("model_load_timestamp_seconds", "", time.time())
        self.gauge("signal_reference_rows", signal_labels, REFERENCE_ROWS)
        self.gauge("model_reference_accuracy", signal_labels, 0.95)
        self.gauge("model_reference_confidence", signal_labels, 0.95)
        for label in CLASSES:
            self.gauge("model_reference_recall", f'{signal_labels},class="{label}"', 0.95)
            self.gauge("model_reference_class_rows", f'{signal_labels},class="{label}"', REFERENCE_ROWS / 3)
            self.counter("prediction_output_total", join(own_labels, f'class="{label}"'), ROWS_PER_SECOND / 3)
            for actual in CLASSES:
                right = label == actual
                rate = ROWS_PER_SECOND * (0.95 / 3 if right else 0.05 / 6)
                self.counter("feedback_total", join(own_labels, f'predicted="{label}",actual="{actual}"'), rate)
        self.histogram("prediction_confidence", own_labels, CONFIDENCES, ROWS_PER_SECOND, 0.95)
        self.histogram("feedback_confidence", signal_labels, CONFIDENCES, ROWS_PER_SECOND, 0.95)
        self.histogram("feedback_lag_seconds", "", LAGS, ROWS_PER_SECOND, 30)
        # 10 to 12 bins: below, quantiles, above, missing.
        numeric = {f"feature_{number}": 7 + number % 3 for number in range(features)}
        numeric |= {"confidence": 4, "distance": 8}
        for signal, quantiles in numeric.items():
            width = len(str(quantiles))
            bins = ["below", *(f"q{n:0{width}} [{n}.{n}5, {n + 1}.{n}5)" for n in range(1, quantiles + 1)), "above", "missing"]
            counts = [1, *[REFERENCE_ROWS / quantiles] * quantiles, 1, 0]
            self.signal(signal_labels, signal, bins, counts)
        self.signal(signal_labels, "prediction", CLASSES, [REFERENCE_ROWS / 3] * 3)
        for route, method, statuses in ROUTES:
            labels = f'method="{method}",endpoint="{route}"'
            rate = ROWS_PER_SECOND if route in ("/predict", "/feedback") else 0.2 if route == "/metrics" else 0
            for status in statuses:
                ok = status == statuses[0]
                self.counter("inference_requests_total", f'{labels},status="{status}"', rate if ok else rate / 1000)
            self.histogram("inference_duration_seconds", labels, DURATIONS, rate, 0.0002)
        for number in range(REASONS):
            self.counter("inference_rejections_total", f'reason="reason_{number}"', 0)
        for number in range(FEEDBACK_REASONS):
            self.counter("feedback_rejected_total", f'reason="reason_{number}"', 0)
        for name in ("process_resident_memory_bytes", "process_threads", "process_open_fds", "inference_requests_in_flight"):
            self.gauge(name, "", 1)
        self.counter("process_cpu_seconds_total", "", 0.1)

    def gauge(self, name, labels, value):
        self.lines.append((series(name, labels), value, 0))

    def counter(self, name, labels, per_second):
        self.lines.append((series(name, labels), 1000 if per_second else 0, per_second))

    def histogram(self, name, labels, bounds, per_second, mean):
        for bound in (*bounds, "+Inf"):
            share = 1 if bound == "+Inf" or bound >= 2 * mean else 0.5 if bound >= mean else 0.1
            self.counter(name + "_bucket", join(labels, f'le="{bound}"'), share * per_second)
        self.counter(name + "_count", labels, per_second)
        self.counter(name + "_sum", labels, per_second * mean)

    def signal(self, labels, name, bins, counts):
        """Rows like the reference, but for a skew that makes each PSI another number."""
        labels = join(labels, f'signal="{name}"')
        self.gauge("signal_critical_chi2", labels, 35)
        self.gauge("signal_degrees_of_freedom", labels, len(bins) - 1)
        rows, skew = sum(counts), 1 + len(self.lines) % 7 / 20
        for position, (label, count) in enumerate(zip(bins, counts)):
            here = f'{labels},bin="{label}"'
            self.gauge("signal_bin_expected_ratio", here, (count + 0.5) / (rows + 0.5 * len(bins)))
            self.counter("signal_bin_total", here, ROWS_PER_SECOND * count / rows * (skew if position % 2 else 1))

    def render(self, seconds):
        # Whole numbers, as counters of rows are.
        return "".join(f"{text} {value + int(growth * seconds)}\n" if growth else f"{text} {value}\n" for text, value, growth in self.lines)


def join(*labels):
    return ",".join(filter(None, labels))


def series(name, labels):
    return f"{name}{{{labels}}}" if labels else name


class Replicas(http.server.ThreadingHTTPServer):
    """Answers /N with the page of replica N."""

    daemon_threads = True
    request_queue_size = 512

    def handle_error(self, request, client_address):
        """Prometheus hangs up when it stops."""

    def __init__(self, pages):
        self.pages, self.start = pages, time.time()
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        body = server.pages[int(self.path[1:])].render(time.time() - server.start).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_ready(process, address, name, log):
    """Waits until a server of Prometheus or Thanos is ready; ends the program with its log if it is not within a minute."""
    deadline = time.time() + 60
    while True:
        try:
            urllib.request.urlopen(f"{address}/-/ready", timeout=2).read()
            return
        except OSError:
            if process.poll() is not None or time.time() > deadline:
                process.kill()
                sys.exit(f"{name} does not start:\n{log.read_text()[-3000:]}")
            time.sleep(0.2)


class Prometheus:
    """A Prometheus server with these rules that scrapes these replicas, or that sends what it scrapes elsewhere if there are no rules."""

    def __init__(self, rules, jobs, server, interval, remote_write=()):
        self.home = tempfile.mkdtemp(prefix="bench-rules-")
        if rules:
            shutil.copytree(rules, f"{self.home}/rules")
        address = f"127.0.0.1:{server.server_port}"
        configs = [
            {
                "job_name": job,
                "static_configs": [
                    {"targets": [address], "labels": {"__metrics_path__": f"/{page}", "instance": f"replica-{page}"}}
                    for page in pages
                ],
            }
            for job, pages in jobs.items()
        ]
        config = {
            "global": {"scrape_interval": f"{interval}s", "evaluation_interval": f"{interval}s", "scrape_timeout": f"{min(4, interval)}s"},
            "rule_files": ["rules/*.yml"],
            "scrape_configs": configs,
            "remote_write": [{"url": url} for url in remote_write],
        }
        Path(f"{self.home}/prometheus.yml").write_text(json.dumps(config))
        self.address = f"http://127.0.0.1:{free_port()}"
        self.log = open(f"{self.home}/log", "w")
        self.process = subprocess.Popen(
            [
                os.environ.get("PROMETHEUS", "prometheus"),
                f"--config.file={self.home}/prometheus.yml",
                f"--storage.tsdb.path={self.home}/data",
                f"--web.listen-address={self.address.removeprefix('http://')}",
            ],
            stderr=self.log,
        )
        wait_until_ready(self.process, self.address, "Prometheus", Path(self.home, "log"))

    def own(self):
        """Its own metrics: name with labels, value."""
        page = urllib.request.urlopen(f"{self.address}/metrics", timeout=60).read().decode()
        pairs = (line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    def rules(self):
        answer = urllib.request.urlopen(f"{self.address}/api/v1/rules", timeout=120)
        return json.load(answer)["data"]["groups"]

    def stop(self):
        self.process.terminate()
        self.process.wait(30)
        self.log.close()
        shutil.rmtree(self.home)


def query(address, text):
    """The samples that a query of Prometheus' API returns."""
    data = urllib.parse.urlencode({"query": text}).encode()
    return json.load(urllib.request.urlopen(f"{address}/api/v1/query", data, timeout=120))["data"]["result"]


def groups(metrics, name):
    """A metric of the rule groups, by group."""
    found = {}
    for key, value in metrics.items():
        match = re.fullmatch(name + r'\{rule_group="[^"]*;([^";]+)"\}', key)
        if match:
            found[match[1]] = value
    return found


def total(metrics, name):
    """The sum of a metric over its labels."""
    return sum(value for key, value in metrics.items() if key.split("{")[0] == name)


def measure(rules, pages, jobs, flags):
    """Returns what a Prometheus server with these rules does in so many seconds after it has warmed up."""
    server = Replicas(pages)
    prometheus = Prometheus(rules, jobs, server, flags.interval)
    try:
        time.sleep(flags.warm_up)
        before, durations, rule_times = prometheus.own(), collections.defaultdict(list), collections.defaultdict(list)
        started = time.time()
        while time.time() < started + flags.seconds:
            for group, last in groups(prometheus.own(), "prometheus_rule_group_last_duration_seconds").items():
                durations[group].append(last)
            for group in prometheus.rules():
                for position, rule in enumerate(group["rules"]):
                    share = PERIOD / group["interval"]
                    rule_times[group["name"], position, rule["name"]].append(rule["evaluationTime"] * share)
            time.sleep(1)
        after = prometheus.own()
        elapsed = time.time() - started
        intervals = groups(after, "prometheus_rule_group_interval_seconds")
        recorded = query(prometheus.address, 'count by (__name__) ({__name__=~".+:.+"})')
        delta = lambda name: (total(after, name) - total(before, name)) / elapsed
        return {
            "recorded": {entry["metric"]["__name__"]: int(entry["value"][1]) for entry in recorded},
            # Seconds of evaluation per period: the mean duration of an evaluation by evaluations per period.
            "mean": {group: sum(lasts) / len(lasts) * PERIOD / intervals[group] for group, lasts in durations.items()},
            "shortest": {key: min(times) for key, times in rule_times.items()},
            "intervals": intervals,
            "missed": delta("prometheus_rule_group_iterations_missed_total") * elapsed,
            "failed": total(after, "prometheus_rule_evaluation_failures_total"),
            "cpu": delta("process_cpu_seconds_total"),
            "samples": delta("prometheus_tsdb_head_samples_appended_total"),
            "memory": after["process_resident_memory_bytes"],
            "head": after["prometheus_tsdb_head_series"],
        }
    finally:
        prometheus.stop()
        server.shutdown()
        server.server_close()


def former_rules(folder):
    names = subprocess.run(
        ["git", "ls-tree", "--name-only", f"{FORMER}:monitoring/rules"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    for name in names:
        text = subprocess.run(
            ["git", "show", f"{FORMER}:monitoring/rules/{name}"], cwd=ROOT, check=True, capture_output=True
        ).stdout
        Path(folder, name).write_bytes(text)
    return folder


def show(title, result):
    """Prints a measurement, group by group."""
    by_group = collections.Counter()
    for (group, _, _), shortest in result["shortest"].items():
        by_group[group] += shortest
    mean, shortest = sum(result["mean"].values()), sum(by_group.values())
    print(
        f"{title}: {sum(result['recorded'].values())} recorded series; evaluation per {PERIOD} s {1000 * mean:.0f} ms on average,"
        f" {1000 * shortest:.0f} ms if each rule takes its shortest time; {result['cpu']:.2f} cores for all;"
        f" {result['missed']:.0f} missed and {result['failed']:.0f} failed evaluations",
        flush=True,
    )
    for group, spent in sorted(result["mean"].items(), key=lambda item: -item[1]):
        if spent >= 0.001:
            print(f"    {group:20} every {result['intervals'][group]:2.0f} s {1000 * spent:8.1f} ms, shortest {1000 * by_group[group]:8.1f} ms")
    for name, count in sorted(result["recorded"].items(), key=lambda item: -item[1])[:8]:
        print(f"    {count:6} {name}")
    return mean, shortest


def compare(flags, former):
    spent = collections.defaultdict(list)
    for _ in range(flags.rounds):
        for name, rules, labelled in (("former", former, False), ("current", flags.rules, True)):
            pages = [Page("wide", flags.features, labelled) for _ in range(flags.replicas)]
            result = measure(rules, pages, {"ml-inference": range(flags.replicas)}, flags)
            spent[name].append(show(f"{name} rules, {flags.features} features, {flags.replicas} replicas", result))
    for position, what in enumerate(("on average", "at the shortest times")):
        ratio = sum(turn[position] for turn in spent["former"]) / sum(turn[position] for turn in spent["current"])
        print(f"former / current, {what}: {ratio:.1f}")


def extrapolate(flags):
    pages = [Page(f"model-{number}", 20, True) for number in range(flags.models)]
    jobs = {f"model-{number}": [number] for number in range(flags.models)}
    result = measure(flags.rules, pages, jobs, flags)
    mean, shortest = show(f"{flags.models} models of 20 features, a replica each", result)
    per_model = result["head"] / flags.models
    factor = FLEET / flags.models
    print(f"{FLEET} models, {factor:.0f} times as many:")
    print(f"    series: {result['head']:.0f} / {flags.models} = {per_model:.0f} per model, {per_model * FLEET / 1e6:.2f} million in all")
    bytes_per_series = result["memory"] / result["head"]
    print(
        f"    memory: {result['memory'] / 1e6:.0f} MB / {result['head']:.0f} = {bytes_per_series:.0f} bytes per series,"
        f" {bytes_per_series * per_model * FLEET / 1e9:.1f} GB in all"
    )
    print(f"    samples: {result['samples']:.0f} per second * {factor:.0f} = {result['samples'] * factor:.0f} per second")
    print(
        f"    evaluation: {shortest / PERIOD:.3f} to {mean / PERIOD:.3f} s per second * {factor:.0f} ="
        f" {shortest / PERIOD * factor:.1f} to {mean / PERIOD * factor:.1f} cores"
    )
    print(f"    processor time of everything: {result['cpu']:.2f} * {factor:.0f} = {result['cpu'] * factor:.1f} cores")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--features", type=int, default=100, help="of the wide model")
    parser.add_argument("--replicas", type=int, default=3, help="of the wide model")
    parser.add_argument("--models", type=int, default=50, help="of 20 features, from which the fleet is extrapolated")
    parser.add_argument("--interval", type=int, default=5, help="seconds between scrapes, and between evaluations of most groups")
    parser.add_argument("--warm-up", type=int, default=65, help="seconds; longer than the longest interval of a group")
    parser.add_argument("--seconds", type=int, default=20, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--rules", default=str(ROOT / "monitoring/rules"))
    parser.add_argument("--only", choices=["compare", "fleet"])
    flags = parser.parse_args()
    if flags.only != "fleet":
        with tempfile.TemporaryDirectory() as folder:
            compare(flags, former_rules(folder))
    if flags.only != "compare":
        extrapolate(flags)


if __name__ == "__main__":
    main()
