"""Measures how soon River's drift detectors alarm, and how often without drift, on rows of `driftbench --streams DIR`.

Each signal has its own detector with River's default parameters; the first alarm of any signal counts, as for
driftbench's own verdicts. Detectors get no missing values. Before an onset, each detector gets the steady rows of the
trial.

KSWIN is slow, so it gets only the last KSWIN_BEFORE rows before an onset and KSWIN_STEADY rows of each steady stream.
The other detectors get all rows.
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
SECONDS_PER_WEEK = 604_800

# KSWIN draws from its window at random, so it needs a seed.
DETECTORS = {
    "ADWIN": ADWIN,
    "KSWIN": lambda: KSWIN(seed=42),
    "PageHinkley": PageHinkley,
}


def rows(path):
    """Yields the seconds and the values of all signals of each row; a missing value is None."""
    with open(path, newline="") as file:
        reader = csv.reader(file)
        next(reader)
        for line in reader:
            yield float(line[0]), [float(cell) if cell else None for cell in line[1:]]


def alarms(detectors, values):
    """Gives a row to all detectors, and returns how many of them alarm."""
    count = 0
    for detector, value in zip(detectors, values):
        if value is not None:
            detector.update(value)
            count += detector.drift_detected
    return count


def trial(folder, files, name, signals):
    """Returns the seconds from the onset to the first alarm, for each drift; None if there is no alarm."""
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
    """Returns the number of steady rows, of alarms, and the seconds that the rows took."""
    detectors = [DETECTORS[name]() for _ in range(signals)]
    shown, count, seconds = 0, 0, 0.0
    for seconds, values in rows(folder / file):
        count += alarms(detectors, values)
        shown += 1
        if name == "KSWIN" and shown == KSWIN_STEADY:
            break
    return shown, count, seconds


def cell(times, cap):
    """Formats the median and the misses. A miss counts as later than any time."""
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
        sys.exit(f"error: {folder}: no streams can be read there ({error}); write them with `driftbench --streams {folder}`")
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
        week = f"{count / seconds * SECONDS_PER_WEEK:.0f}"
        lines.append([name, str(shown), str(count), f"{count / shown / signals * 10_000:.2f}", every, week])
    table(
        ["detector", "rows", "alarms", "alarms per 10,000 values", "seconds per alarm", "alarms per week (extrapolated)"],
        lines,
    )
    print(
        "\nRead both tables together: a detector that alarms every few seconds without drift also alarms soon after an onset.\n"
        f"KSWIN got {KSWIN_BEFORE} rows before each onset and at most {KSWIN_STEADY} of each steady stream; "
        f"ADWIN and PageHinkley got the rows of {index['seconds_before']:.0f} s before it, and all steady rows."
    )


if __name__ == "__main__":
    main()
