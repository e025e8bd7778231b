#!/usr/bin/env python3
"""beside_nccl_tests.py RAILHEAD NCCL_TESTS OUT.json --mpirun COMMAND [--ranks N] [--rounds N]
                     [--min BYTES] [--max BYTES] [--operations LIST] [--calls N] [--ours COMMAND]

On a machine with GPUs: railhead bench collectives and nccl-tests take turns, N processes each (2), every operation (or
those of LIST), the same libnccl. Writes both busbw per size, the ratio of their medians with a 95 % interval (rounds
drawn anew, a thousand times) and the time each took; exit code 3 when a median at sizes of 1 MiB and more differs by more
than 3 %. Where starts of the same program scatter by more than that, as over sockets, the interval says what the run can
tell.

NCCL_TESTS is a build of github.com/NVIDIA/nccl-tests with MPI=1, COMMAND starts it N times ("mpirun -np 2"); nothing of
it is in this tree. What NCCL's environment says holds for both. With SEPARATE=1 in the environment ours are hosts of their
own (--separate-hosts), and COMMAND is to set NCCL_HOSTID for each of theirs.
"""
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import time

PROGRAMS = {
    "all_reduce": "all_reduce_perf",
    "all_gather": "all_gather_perf",
    "reduce_scatter": "reduce_scatter_perf",
    "broadcast": "broadcast_perf",
    "reduce": "reduce_perf",
    "all_to_all": "alltoall_perf",
    "sendrecv": "sendrecv_perf",
}
# Its default of 20 calls is under a millisecond at 4 MiB: starting and ending them would show.
CALLS = 100
HOSTS = ["--separate-hosts"] if os.environ.get("SEPARATE") else []
FACTOR = 8
AGREE_FROM = 1 << 20
AGREE_WITHIN = 0.03


def ours(start, operation, sizes):
    begun = time.monotonic()
    done = subprocess.run(
        start + ["--backend", "nccl", "--operation", operation, "--min-size", str(sizes[0]), "--max-size", str(sizes[1]),
                 "--factor", str(FACTOR), "--place", "out", "--precision", "0.02", "--seconds-per-size", "0.5", "--json"] + HOSTS,
        capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        sys.exit(f"railhead {operation}: exit {done.returncode}: {done.stderr[-2000:]}")
    result = json.loads(done.stdout)
    assert result["verified"], operation
    lines = {line["bytes"]: line["busbw_gbytes_per_s"] for line in result["lines"]}
    return lines, time.monotonic() - begun, result["backend"]


def theirs(mpirun, folder, operation, sizes, calls):
    begun = time.monotonic()
    done = subprocess.run(
        mpirun + [os.path.join(folder, PROGRAMS[operation]), "-b", str(sizes[0]), "-e", str(sizes[1]), "-f", str(FACTOR),
                  "-g", "1", "-c", "1", "-d", "float", "-n", calls],
        capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        sys.exit(f"nccl-tests {operation}: exit {done.returncode}: {done.stdout[-1000:]} {done.stderr[-1000:]}")
    lines = {}
    for line in done.stdout.splitlines():
        words = line.split()
        # size count type redop root time algbw busbw #wrong, then the same in place
        if len(words) >= 9 and words[0].isdigit() and words[2] == "float":
            lines[int(words[0])] = float(words[7])
    return lines, time.monotonic() - begun


def interval(mine, other):
    """95 % of the ratio of medians: what other draws of as many rounds would have given."""
    draw = random.Random(1)
    ratios = sorted(statistics.median(draw.choices(mine, k=len(mine))) / statistics.median(draw.choices(other, k=len(other)))
                    for _ in range(1000))
    return [ratios[25], ratios[974]]


def pooled(rows):
    """The geometric mean of all ratios at the sizes that count, and its 95 % interval, drawn as above."""
    rows = [row for row in rows if row["bytes"] >= AGREE_FROM and row["ratio_of_medians"]]
    if not rows:
        return None
    draw = random.Random(1)
    median_of_a_draw = lambda values: statistics.median(draw.choices(values, k=len(values)))
    means = sorted(statistics.geometric_mean(median_of_a_draw(row["railhead_busbw"]) / median_of_a_draw(row["nccl_tests_busbw"]) for row in rows)
                   for _ in range(1000))
    return {"mean": statistics.geometric_mean(row["ratio_of_medians"] for row in rows), "interval_95": [means[25], means[974]]}


def environment(backend):
    gpu = subprocess.run(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"],
                         capture_output=True, text=True).stdout.split("\n")[0]
    return {"gpu": gpu, "kernel": platform.release(), "architecture": platform.machine(), "cpus": os.cpu_count(),
            "date": time.strftime("%Y-%m-%d"), "backend": backend,
            "nccl_environment": {k: v for k, v in os.environ.items() if k.startswith("NCCL_")}}


def main():
    railhead, folder, out = sys.argv[1:4]
    options = dict(zip(sys.argv[4::2], sys.argv[5::2]))
    mpirun = options["--mpirun"].split()
    rounds = int(options.get("--rounds", 3))
    ranks = int(options.get("--ranks", 2))
    sizes = int(options.get("--min", 1 << 10)), int(options.get("--max", 256 << 20))
    calls = options.get("--calls", str(CALLS))
    bench = [railhead, "bench", "collectives"]
    start = options["--ours"].split() + bench if "--ours" in options else bench + ["--on", f"local:{ranks}"]
    operations = options.get("--operations", ",".join(PROGRAMS)).split(",")
    rows, seconds, backend, worst = [], {"railhead": 0.0, "nccl_tests": 0.0}, None, 0.0
    for operation in operations:
        seen = {}
        for number in range(rounds):
            turns = ["railhead", "nccl_tests"] if number % 2 == 0 else ["nccl_tests", "railhead"]
            for who in turns:
                if who == "railhead":
                    lines, took, backend = ours(start, operation, sizes)
                else:
                    lines, took = theirs(mpirun, folder, operation, sizes, calls)
                seconds[who] += took
                for size, busbw in lines.items():
                    seen.setdefault(size, {}).setdefault(who, []).append(busbw)
        for size in sorted(seen):
            if len(seen[size]) < 2:
                continue
            mine = statistics.median(seen[size]["railhead"])
            other = statistics.median(seen[size]["nccl_tests"])
            ratio = mine / other if other else None
            rows.append({"operation": operation, "bytes": size, "railhead_busbw": seen[size]["railhead"],
                         "nccl_tests_busbw": seen[size]["nccl_tests"], "ratio_of_medians": ratio,
                         "ratio_interval_95": interval(seen[size]["railhead"], seen[size]["nccl_tests"])
                         if ratio and size >= AGREE_FROM else None})
            if size >= AGREE_FROM and ratio:
                worst = max(worst, abs(ratio - 1))
            print(f"{operation:15} {size:10} {mine:9.3f} {other:9.3f} {ratio or 0:6.3f}", flush=True)
        result = {
            "schema": "railhead.beside-nccl-tests/1",
            "what": "busbw in 10^9 bytes a second of railhead bench collectives and nccl-tests, one process a rank, taking "
                    "turns; float32, out of place (nccl-tests also in place, in the same seconds)",
            "environment": environment(backend),
            "ranks": ranks,
            "rounds": rounds,
            "nccl_tests_calls": int(calls),
            "complete": operation == operations[-1],
            "seconds": seconds,
            "worst_difference_from_1_mib": worst,
            "pooled_ratio_from_1_mib": pooled(rows),
            "lines": rows,
        }
        # What there is, should the next operation take too long.
        with open(out + ".part", "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)
        os.replace(out + ".part", out)
    print(f"worst difference from 1 MiB: {worst:.3f}; all together: {pooled(rows)}; seconds: {seconds}")
    sys.exit(0 if worst <= AGREE_WITHIN else 3)


main()
