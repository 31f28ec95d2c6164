"""River's drift detectors on the rows that `driftbench --streams DIR` wrote: how soon they alarm, and how often on
nothing.

Each signal has a detector of its own, at River's defaults; the first one to alarm counts, as with ours. A missing value
is not shown to a detector. Before an onset each detector has seen the steady rows of the trial.

What is bounded, because KSWIN is slow: it sees the last KSWIN_BEFORE rows before an onset and KSWIN_STEADY rows of each
steady stream; the other detectors see all.
"""

import argparse
import copy
import csv
import json
import pathlib
import statistics
import sys
from concurrent.futures import ProcessPoolExecutor

import river
from river.drift import ADWIN, KSWIN, PageHinkley

KSWIN_BEFORE = 2_000
KSWIN_STEADY = 10_000
SECONDS_A_WEEK = 604_800

# KSWIN draws from its window at random.
DETECTORS = {
    "ADWIN": ADWIN,
    "KSWIN": lambda: KSWIN(seed=42),
    "PageHinkley": PageHinkley,
}


def rows(path):
    """Seconds and the values of all signals, None where missing."""
    with open(path, newline="") as file:
        reader = csv.reader(file)
        next(reader)
        for line in reader:
            yield float(line[0]), [float(cell) if cell else None for cell in line[1:]]


def alarms(detectors, values):
    """Shows a row to all detectors; how many of them alarm at it."""
    count = 0
    for detector, value in zip(detectors, values):
        if value is not None:
            detector.update(value)
            count += detector.drift_detected
    return count


def trial(folder, files, name, signals):
    """Seconds to the first alarm after the onset of each drift, and the same for the rows of no drift."""
    detectors = [DETECTORS[name]() for _ in range(signals)]
    before = list(rows(folder / files["before"]))
    for _, values in before[-KSWIN_BEFORE:] if name == "KSWIN" else before:
        alarms(detectors, values)
    found = []
    for drift in files["drifts"]:
        fresh = copy.deepcopy(detectors)
        stream = rows(folder / drift["file"])
        found.append(next((seconds for seconds, values in stream if alarms(fresh, values)), None))
    return found


def steady(folder, file, name, signals):
    """Rows shown, alarms, and the seconds between alarms that they took."""
    detectors = [DETECTORS[name]() for _ in range(signals)]
    shown, count, seconds = 0, 0, 0.0
    for seconds, values in rows(folder / file):
        count += alarms(detectors, values)
        shown += 1
        if name == "KSWIN" and shown == KSWIN_STEADY:
            break
    return shown, count, seconds


def cell(times, cap):
    """Median and misses, a miss counting as later than any time."""
    late = sorted(time if time is not None else float("inf") for time in times)
    median = statistics.median(late)
    missed = sum(time is None for time in times)
    text = f"{median:.1f} s" if median < float("inf") else f"> {cap:.0f} s"
    return text + (f" ({missed} missed)" if missed else "")


def table(head, lines):
    print("| " + " | ".join(head) + " |")
    print("| --- |" + " ---: |" * (len(head) - 1))
    for line in lines:
        print("| " + " | ".join(line) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("streams", type=pathlib.Path, help="the folder that `driftbench --streams` wrote")
    folder = parser.parse_args().streams
    try:
        index = json.loads((folder / "index.json").read_text())
    except (OSError, ValueError) as error:
        sys.exit(f"error: {folder} holds no streams ({error}); write them with `driftbench --streams {folder}`")
    signals, trials, cap = len(index["signals"]), index["trials"], index["seconds_after"]
    with ProcessPoolExecutor() as pool:
        found = {
            name: [pool.submit(trial, folder, files, name, signals) for files in trials] for name in DETECTORS
        }
        quiet = {
            name: [pool.submit(steady, folder, file, name, signals) for file in index["steady"]]
            for name in DETECTORS
        }
        found = {name: [job.result() for job in jobs] for name, jobs in found.items()}
        quiet = {name: [job.result() for job in jobs] for name, jobs in quiet.items()}

    print(f"\n## River {river.__version__} on the same streams, {index['rate']} rows/s, seed {index['seed']}\n")
    print(f"Median seconds from the onset to the first alarm of any signal, {len(trials)} trials.\n")
    lines = []
    for at, drift in enumerate(trials[0]["drifts"]):
        about = f" ({drift['about']})" if drift["about"] else ""
        ours = cell([files["drifts"][at]["noticed"] for files in trials], cap)
        theirs = [cell([times[at] for times in found[name]], cap) for name in DETECTORS]
        lines.append([drift["drift"] + about, ours, *theirs])
    table(["drift", "ours, verdict", *DETECTORS], lines)

    print("\nOn steady rows, all signals:\n")
    lines = []
    for name in DETECTORS:
        shown, count, seconds = (sum(part) for part in zip(*quiet[name]))
        every = f"{seconds / count:.1f} s" if count else f"none in {seconds:.0f} s"
        week = f"{count / seconds * SECONDS_A_WEEK:.0f}"
        lines.append([name, str(shown), str(count), f"{count / shown / signals * 10_000:.2f}", every, week])
    table(
        ["detector", "rows", "alarms", "alarms per 10,000 values", "an alarm every", "alarms a week (extrapolated)"],
        lines,
    )
    print(
        "\nA detector that alarms every few seconds on nothing is also soon after an onset: read both tables together.\n"
        f"KSWIN saw {KSWIN_BEFORE} rows before each onset and at most {KSWIN_STEADY} of each steady stream; "
        f"ADWIN and PageHinkley saw {index['seconds_before']:.0f} s and all."
    )


if __name__ == "__main__":
    main()
