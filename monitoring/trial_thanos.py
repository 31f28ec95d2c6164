#!/usr/bin/env python3
"""Compares the verdicts of a Thanos ruler with those of a Prometheus server.

Made-up replicas are scraped by two Prometheus servers. One evaluates the rules itself. The other sends its samples to `thanos receive`
by remote write, and `thanos rule` evaluates the same rules over `thanos query`. Prints, window by window, in how many signals both
have a verdict, in how many the verdicts are equal, and how far rows and PSI differ. The exit code is 1 if
verdicts differ, or if rules failed or were left out.

Run it by `just test-thanos`. PROMETHEUS and THANOS name other binaries than those on PATH.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

sys.dont_write_bytecode = True
from bench_rules import ROOT, Page, Prometheus, Replicas, free_port, query, wait_until_ready

SIGNAL = ("cluster", "job", "model", "version", "signal", "window")


class Drifting(Page):
    """A replica whose rows drift: half of the rows of every signal are in its first bin."""

    def signal(self, labels, name, bins, counts):
        before = len(self.lines)
        super().signal(labels, name, bins, counts)
        rows = sum(growth for _, _, growth in self.lines[before:])
        for position, (text, value, growth) in enumerate(self.lines[before:], before):
            if text.startswith("signal_bin_total"):
                first = f'bin="{bins[0]}"' in text
                self.lines[position] = (text, value, growth / 2 + (rows / 2 if first else 0))


def address():
    return f"127.0.0.1:{free_port()}"


class Thanos:
    """A process of Thanos."""

    def __init__(self, home, command, *flags, grpc=None):
        self.http, self.grpc = address(), grpc or address()
        self.log = Path(home, f"{command}.log")
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [
                    os.environ.get("THANOS", "thanos"),
                    command,
                    f"--http-address={self.http}",
                    f"--grpc-address={self.grpc}",
                    "--http-grace-period=1s",
                    "--grpc-grace-period=1s",
                    *flags,
                ],
                stderr=log,
                stdout=log,
            )
        wait_until_ready(self.process, f"http://{self.http}", f"`thanos {command}`", self.log)

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


def rules_with_offset(folder, offset):
    """Copies the rules, and sets `query_offset` in every group."""
    target = Path(folder, "rules")
    target.mkdir()
    for source in (ROOT / "monitoring/rules").glob("*.yml"):
        lines = source.read_text().splitlines(keepends=True)
        with open(target / source.name, "w") as copy:
            for line in lines:
                copy.write(line)
                if offset and line.startswith("  - name: "):
                    copy.write(f"    query_offset: {offset}\n")
    return target


def recorded(server, name):
    """The samples of a recorded series, by signal and window."""
    return {
        tuple(sample["metric"].get(label, "") for label in SIGNAL): float(sample["value"][1])
        for sample in query(server, name)
    }


def compare(prometheus, thanos):
    """Prints how the verdicts of both agree, and returns how many differ."""
    verdicts = [recorded(server, "model_signal_window:signal_bin:drifting") for server in (prometheus, thanos)]
    figures = {
        what: [recorded(server, f"model_signal_window:signal_bin:{what}") for server in (prometheus, thanos)]
        for what in ("rows", "psi")
    }
    differing = 0
    print("| window | verdicts of Prometheus | of Thanos | drifting | differ | rows, greatest ratio | PSI, greatest difference |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for window in ("25s", "10m", "1h", "1d"):
        here, there = ({key: value for key, value in side.items() if key[-1] == window} for side in verdicts)
        both = here.keys() & there.keys()
        differ = sum(here[key] != there[key] for key in both) + len(here.keys() ^ there.keys())
        rows = [figures["rows"][1][key] / figures["rows"][0][key] for key in both]
        psi = [abs(figures["psi"][1][key] - figures["psi"][0][key]) for key in both]
        ratio = max(rows, key=lambda ratio: max(ratio, 1 / ratio), default=float("nan"))
        print(
            f"| {window} | {len(here)} | {len(there)} | {sum(here.values()):.0f} | {differ} | {ratio:.3f} |"
            f" {max(psi, default=float('nan')):.4f} |"
        )
        differing += differ + (not both)
    return differing


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--features", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=200, help="before the verdicts are compared")
    parser.add_argument("--offset", default="10s", help="how long a rule of the ruler waits for its samples")
    flags = parser.parse_args()
    pages = [
        *(Page("steady", flags.features, True) for _ in range(3)),
        *(Drifting("drifting", flags.features, True) for _ in range(2)),
    ]
    jobs = {"steady": [0, 1, 2], "drifting": [3, 4]}
    home = tempfile.mkdtemp(prefix="trial-thanos-")
    started, replicas = [], Replicas(pages)
    try:
        write = address()
        receive = Thanos(
            home, "receive", f"--tsdb.path={home}/receive", f"--remote-write.address={write}", '--label=receive_replica="0"'
        )
        started.append(receive)
        # The ruler and the querier need each other's address, so the ruler's is chosen before.
        ruler_grpc = address()
        querier = Thanos(
            home,
            "query",
            f"--endpoint={receive.grpc}",
            f"--endpoint={ruler_grpc}",
            "--query.replica-label=receive_replica",
            "--query.replica-label=rule_replica",
            "--endpoint.info-timeout=2s",
        )
        started.append(querier)
        started.append(Prometheus(None, jobs, replicas, 5, [f"http://{write}/api/v1/receive"]))
        alone = Prometheus(ROOT / "monitoring/rules", jobs, replicas, 5)
        started.append(alone)
        ruler = Thanos(
            home,
            "rule",
            f"--data-dir={home}/rule",
            "--eval-interval=5s",
            f"--rule-file={rules_with_offset(home, flags.offset)}/*.yml",
            f"--query=http://{querier.http}",
            '--label=rule_replica="0"',
            grpc=ruler_grpc,
        )
        started.append(ruler)
        time.sleep(flags.seconds)
        differing = compare(alone.address, f"http://{querier.http}")
        page = urllib.request.urlopen(f"http://{ruler.http}/metrics", timeout=30).read().decode()
        for line in page.splitlines():
            failed = line.startswith(("prometheus_rule_evaluation_failures_total", "prometheus_rule_group_iterations_missed_total"))
            if failed and not line.endswith(" 0"):
                print(line)
                differing += 1
        sys.exit(1 if differing else 0)
    finally:
        for process in reversed(started):
            process.stop()
        replicas.shutdown()
        replicas.server_close()
        shutil.rmtree(home)


if __name__ == "__main__":
    main()
