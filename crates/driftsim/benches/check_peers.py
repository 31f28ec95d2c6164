"""`driftsim check` beside Evidently's PSI preset on one table: `just bench-check` calls it with the programs' folder and a work
folder. Both are measured as whole processes, in turn."""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

PROGRAMS, WORK = Path(sys.argv[1]), Path(sys.argv[2])
ROWS, REFERENCE_ROWS, ROUNDS = 1_000_000, 1_000, 5

EVIDENTLY = """
import sys, time
start = time.perf_counter()
import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset
imported = time.perf_counter()
reference, current = pd.read_csv(sys.argv[1]), pd.read_csv(sys.argv[2])
snapshot = Report([DataDriftPreset(method="psi")]).run(current, reference)
drifted = snapshot.dict()["metrics"][0]["value"]["count"]
print(f"{drifted:.0f} of {current.shape[1]} columns drift")
print(imported - start)
"""


def generate(rows, seed, path, columns):
    """Writes rows of the built-in Iris model, the first few columns of them."""
    program = [PROGRAMS / "driftsim", "generate", "--rows", str(rows), "--seed", str(seed)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as rows_of, open(path, "w") as out:
        out.writelines(",".join(line.split(",")[:columns]) + "\n" for line in rows_of.stdout)
    return path


def measured(command):
    """Returns what a process wrote, its seconds, its seconds of CPU time, and its greatest resident memory in MB."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if os.waitstatus_to_exitcode(status) > 1:
        sys.exit(f"{command[0]} failed")
    return text, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000


current = generate(ROWS, 1, WORK / "current.csv", 4)
labelled = generate(REFERENCE_ROWS, 2, WORK / "labelled.csv", 5)
reference = WORK / "reference.csv"
reference.write_text("".join(line.rsplit(",", 1)[0] + "\n" for line in open(labelled)))
model = WORK / "model.json"
train = [PROGRAMS / "inference", "train", "--data", labelled, "--target", "class", "--out", model]
subprocess.run(train, check=True, stdout=subprocess.DEVNULL)

check = [PROGRAMS / "driftsim", "check", "--current", current, "--reference", model]
peer = [sys.executable, "-W", "ignore", "-c", EVIDENTLY, reference, current]
measured(check), measured(peer)  # Fills the caches of files and of compiled Python modules.
runs = [(measured(check), measured(peer)) for _ in range(ROUNDS)]
own, other = zip(*runs)
imports = statistics.median(float(text.splitlines()[-1]) for text, *_ in other)
print(f"driftsim: {own[0][0].splitlines()[1]}\nEvidently: {other[0][0].splitlines()[0]}\n")

print(f"{ROWS:,} rows, 4 columns, {current.stat().st_size / 1e6:.0f} MB; medians of {ROUNDS} runs in turn")
print("| | seconds | without import, s | CPU, s | peak memory, MB |")
print("|---|---|---|---|---|")
seconds, cpu, memory = (statistics.median(run[at] for run in own) for at in (1, 2, 3))
peer_seconds, peer_cpu, peer_memory = (statistics.median(run[at] for run in other) for at in (1, 2, 3))
print(f"| driftsim check | {seconds:.2f} | {seconds:.2f} | {cpu:.2f} | {memory:.0f} |")
print(f"| Evidently | {peer_seconds:.1f} | {peer_seconds - imports:.1f} | {peer_cpu:.1f} | {peer_memory:.0f} |")
ratios = (peer_seconds / seconds, (peer_seconds - imports) / seconds, peer_cpu / cpu, peer_memory / memory)
print("| ratio | " + " | ".join(f"{ratio:.0f}" for ratio in ratios) + " |")
