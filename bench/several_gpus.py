#!/usr/bin/env python3
"""several_gpus.py RAILHEAD PLUGIN NCCL_TESTS OUT_FOLDER --gpus N --mpirun COMMAND [--parts LIST] [--paths LIST] [--minutes M]

On a host with N GPUs, one rank on each (N ranks share what there is: one GPU under MPS takes --gpus 2 --paths network). Parts, each over NVLink and over the network path (P2P and shared memory off,
sockets on lo, each rank a host of its own):

  verify   the verdict of railhead verify for each pair of ranks
  beside   busbw beside nccl-tests (beside_nccl_tests.py)
  tune     railhead tune, M minutes each, and the profile's proof in fresh processes
  overlapped  some numbers of channels, each call alone and with compute beside it, then a search by --objective
           overlapped: who is fastest alone and who beside compute, and how much of the shorter of the two is hidden;
           about 50 s a path
  grid     every setting of some knobs, large sizes over NVLink, small ones over the network path: what tests of the
           search are held against

Writes one JSON a part to OUT_FOLDER and goes on when one fails; the exit code says how many did. NCCL_TESTS and COMMAND
are as of beside_nccl_tests.py; where SEPARATE=1 is in its environment COMMAND gives each rank an NCCL_HOSTID of its own.
"""
import json
import os
import platform
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
NETWORK = {"NCCL_P2P_DISABLE": "1", "NCCL_SHM_DISABLE": "1", "NCCL_IB_DISABLE": "1", "NCCL_SOCKET_IFNAME": "lo"}
PATHS = {"nvlink": {}, "network": NETWORK}
CHANNELS = ["algorithm=ring", "protocol=simple", "channels=1,4,16,32"]
GRID = ["algorithm=tree,ring", "protocol", "channels=2,8,32", "NCCL_NTHREADS=256,512", "NCCL_BUFFSIZE=1048576,8388608"]


def environment(path):
    result = dict(os.environ, **PATHS[path])
    if path == "network":
        result["SEPARATE"] = "1"
    return result


def called(words, path, limit, into):
    """Runs it; what it printed as JSON, else what went wrong."""
    begun = time.monotonic()
    try:
        done = subprocess.run(words, env=environment(path), capture_output=True, text=True, timeout=limit)
        code, out, err = done.returncode, done.stdout, done.stderr
    except subprocess.TimeoutExpired as late:
        code, out, err = -1, "", f"longer than {limit} s: {late.stderr}"
    into["exit_code"] = code
    into["seconds"] = time.monotonic() - begun
    try:
        into["result"] = json.loads(out)
    except ValueError:
        into["printed"] = out[-2000:]
    if code not in (0, 3):
        into["error"] = err[-2000:]
        print(f"FAILED {words[:3]} over {path}: exit {code}: {err[-500:]}", flush=True)
    return code


class Run:
    def __init__(self, railhead, plugin, tests, folder, options):
        self.railhead, self.plugin, self.tests, self.folder = railhead, plugin, tests, folder
        self.gpus = int(options["--gpus"])
        self.mpirun = options["--mpirun"]
        self.minutes = float(options.get("--minutes", 1.5))

    def ranks(self, path):
        return ["--on", f"local:{self.gpus}", "--backend", "nccl"] + (["--separate-hosts"] if path == "network" else [])

    def verify(self, path, into):
        words = [self.railhead, "verify", *self.ranks(path), "--json"]
        return called(words, path, 90, into) in (0, 3)

    def beside(self, path, into):
        out = os.path.join(self.folder, f"beside-{path}.tmp")
        words = [sys.executable, os.path.join(HERE, "beside_nccl_tests.py"), self.railhead, self.tests, out, "--mpirun", self.mpirun,
                 "--ranks", str(self.gpus), "--rounds", "2", "--max", str((256 if path == "nvlink" else 32) << 20)]
        code = called(words, path, 200, into)
        if os.path.exists(out):
            with open(out, encoding="utf-8") as file:
                into["result"] = json.load(file)
            os.remove(out)
        return code in (0, 3)

    def tune(self, path, into):
        words = [self.railhead, "tune", *self.ranks(path), "--tuner-plugin", self.plugin, "--operations",
                 "all_reduce,all_gather", "--min-size", "16KiB", "--max-size", "64MiB", "--factor", "8", "--objective",
                 "bandwidth" if path == "network" else "latency", "--minutes", str(self.minutes), "--call-timeout", "5",
                 "--json"]
        return called(words, path, 60 * self.minutes + 60, into) == 0

    def grid(self, path, into):
        sizes = ["8KiB", "64KiB"] if path == "network" else ["1MiB", "64MiB"]
        out = os.path.join(self.folder, f"grid-{path}.json")
        words = [self.railhead, "tune", "grid", *self.ranks(path), "--tuner-plugin", self.plugin, "--operations",
                 "all_reduce,all_gather", "--min-size", sizes[0], "--max-size", sizes[1], "--factor", "8", "--repetitions", "20",
                 "--call-timeout", "5", "--out", out]
        for knob in GRID:
            words += ["--knob", knob]
        return called(words, path, 240, into) == 0

    def overlapped(self, path, into):
        common = [*self.ranks(path), "--tuner-plugin", self.plugin, "--operations", "all_reduce", "--min-size", "4MiB",
                  "--max-size", "64MiB", "--factor", "16", "--call-timeout", "10"]
        grids, codes, begun = {}, [], time.monotonic()
        for name, more in (("alone", []), ("beside", ["--overlapped"])):
            out = os.path.join(self.folder, f"overlapped-{path}-{name}.tmp")
            words = [self.railhead, "tune", "grid", *common, "--repetitions", "10", "--out", out, *more]
            for knob in CHANNELS:
                words += ["--knob", knob]
            codes.append(called(words, path, 60, into))
            if codes[-1] == 0:
                with open(out, encoding="utf-8") as file:
                    grids[name] = json.load(file)
                os.remove(out)
        words = [self.railhead, "tune", *common, "--objective", "overlapped", "--minutes", "0.35", "--json"]
        for knob in CHANNELS:
            words += ["--knob", knob]
        codes.append(called(words, path, 90, into))
        into["exit_code"], into["seconds"] = max(codes, key=abs), time.monotonic() - begun
        if any(codes):
            return False
        into["settings"], into["checks"] = beside_compute(grids, into["result"])
        print(json.dumps({"settings": into["settings"], "checks": into["checks"]}, indent=1), flush=True)
        return all(into["checks"].values())


def beside_compute(grids, tuned):
    """Medians of each setting alone and beside compute, by size, and what must hold of them."""
    medians = {name: {one["setting"]: [statistics.median(times) for times in one["seconds"]]
                      for one in grid["settings"] if "seconds" in one} for name, grid in grids.items()}
    sizes = [one["bytes"] for one in grids["alone"]["sizes"]]
    both = [setting for setting in medians["alone"] if setting in medians["beside"]]
    settings = [{"setting": setting, "us_alone": {size: t * 1e6 for size, t in zip(sizes, medians["alone"][setting])},
                 "us_beside": {size: t * 1e6 for size, t in zip(sizes, medians["beside"][setting])}} for setting in both]
    overlap = tuned["overlap"]
    checks = {
        "every setting ran, every byte right": len(both) == len(grids["alone"]["settings"]) == len(grids["beside"]["settings"]),
        "a pair is no shorter than its call alone": all(
            pair > 0.93 * call for setting in both for pair, call in zip(medians["beside"][setting], medians["alone"][setting])),
        "compute takes alone as long as the call, within a third": all(
            0.67 < one["compute_seconds"] / one["call_seconds"] < 1.5 for one in overlap),
        "the default's pair is between the longer and the sum of both": all(
            0.93 * max(one["call_seconds"], one["compute_seconds"]) < one["pair_seconds"]
            < 1.5 * (one["call_seconds"] + one["compute_seconds"]) for one in overlap),
        "the search ended with a validated result": tuned["validated"] and len(overlap) == len(sizes),
    }
    return settings, checks


def main():
    positional, options = sys.argv[1:5], dict(zip(sys.argv[5::2], sys.argv[6::2]))
    run = Run(*positional, options)
    os.makedirs(run.folder, exist_ok=True)
    gpus = subprocess.run(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"],
                          capture_output=True, text=True).stdout.strip().split("\n")
    links = subprocess.run(["nvidia-smi", "topo", "-m"], capture_output=True, text=True).stdout
    failed = 0
    for part in options.get("--parts", "verify,beside,tune,grid").split(","):
        paths = {}
        for path in options.get("--paths", ",".join(PATHS)).split(","):
            into = {}
            if not getattr(run, part)(path, into):
                failed += 1
            if into:
                paths[path] = into
                print(f"{part} over {path}: exit {into['exit_code']}, {into['seconds']:.0f} s", flush=True)
        document = {
            "schema": "railhead.several-gpus/1", "part": part,
            "environment": {"gpus": gpus, "topology": links.split("\n\n")[0], "kernel": platform.release(),
                            "architecture": platform.machine(), "cpus": os.cpu_count(), "date": time.strftime("%Y-%m-%d"),
                            "nccl_environment": {k: v for k, v in os.environ.items() if k.startswith("NCCL_")},
                            "network": NETWORK},
            "paths": paths}
        with open(os.path.join(run.folder, f"{part}.json"), "w", encoding="utf-8") as file:
            json.dump(document, file, indent=1)
            file.write("\n")
    sys.exit(failed)


main()
