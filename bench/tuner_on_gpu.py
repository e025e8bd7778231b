#!/usr/bin/env python3
"""tuner_on_gpu.py RAILHEAD PLUGIN OUT.json

On a machine with a GPU: the tuner plugin as the real libnccl loads it, with two ranks as two hosts on one GPU over
sockets. Runs without it, with a table proven by exchange, agreed by the launcher, different on one rank, missing on one
rank; and reads from NCCL's own log which algorithm and protocol each collective took. Exit code 3 when one of them did
not go as docs/reference/nccl-tuner.md says.
"""
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

HASH = "0f" * 32
OTHER = "1e" * 32
# Not what NCCL takes by itself at these sizes.
LINES = [
    "allgather 2 2 0 1048576 ring simple 0",
    "allreduce 2 2 0 16384 tree ll 0",
    "allreduce 2 2 16385 262144 ring simple 0",
    "allreduce 2 2 262145 16777216 tree simple 2",
]
TOOK = re.compile(r"(\w+): (\d+) Bytes -> Algo (\w+) proto (\w+) channel\{Lo\.\.Hi\}=\{(\d+)\.\.(\d+)\}")
SAID = re.compile(r"railhead tuner: (.*)")
PORT = 29400


def table(folder, name, digest):
    path = os.path.join(folder, name)
    with open(path, "w") as file:
        file.write("railhead-tuner 1\nhash " + digest + "\n" + "".join(line + "\n" for line in LINES))
    return path


def start(railhead, rank, port, folder, extra):
    environment = dict(os.environ)
    environment.update({
        "RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        "NCCL_HOSTID": f"host-{rank}", "NCCL_SOCKET_IFNAME": "lo", "NCCL_IB_DISABLE": "1", "NCCL_DEBUG": "INFO",
        "NCCL_DEBUG_SUBSYS": "INIT,TUNING", "NCCL_DEBUG_FILE": os.path.join(folder, f"rank{rank}.%p")})
    environment.update(extra)
    return subprocess.Popen(
        [railhead, "bench", "collectives", "--backend", "nccl", "--operation", "all_reduce,all_gather", "--type", "float32",
         "--min-size", "1KiB", "--max-size", "4MiB", "--factor", "16", "--place", "out", "--seconds-per-size", "0.3", "--json"],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def logs(folder, rank):
    return "".join(open(path, errors="replace").read() for path in sorted(glob.glob(os.path.join(folder, f"rank{rank}.*"))))


def run(railhead, number, extras):
    folder = tempfile.mkdtemp()
    ranks = [start(railhead, rank, PORT + 40 * number, folder, extra) for rank, extra in enumerate(extras)]
    answers = []
    for rank in ranks:
        try:
            answers.append(rank.communicate(timeout=120))
        except subprocess.TimeoutExpired:
            rank.kill()
            answers.append(rank.communicate())
    result = {"exit_codes": [rank.returncode for rank in ranks]}
    if any(result["exit_codes"]):
        result["errors"] = [answer[1][-600:] for answer in answers]
    text = [logs(folder, rank) for rank in range(2)]
    result["tuner"] = [sorted(set(SAID.findall(one))) for one in text]
    took = {}
    for name, size, algorithm, protocol, low, high in TOOK.findall(text[0]):
        took.setdefault(f"{name} {size}", set()).add(f"{algorithm} {protocol} {int(high) - int(low) + 1}".lower())
    result["took"] = {key: sorted(value) for key, value in took.items()}
    try:
        measured = json.loads(answers[0][0])
        result["verified"] = measured["verified"]
        result["backend"] = measured["backend"]
        result["median_us"] = {f"{line['operation']} {line['bytes']}": line["time"]["median_us"] for line in measured["lines"]}
    except (ValueError, KeyError) as error:
        result["no_json"] = repr(error)
    shutil.rmtree(folder)
    return result


def follows(took):
    """Whether what NCCL took is what the table says, wherever it says something."""
    seen = 0
    for key, ways in took.items():
        name, size = key.split()
        for line in LINES:
            words = line.split()
            if words[0] != name.lower() or not int(words[3]) <= int(size) <= int(words[4]):
                continue
            seen += 1
            if any(way.split()[:2] != words[5:7] for way in ways):
                return False
            if words[7] != "0" and any(int(way.split()[2]) > int(words[7]) for way in ways):
                return False
    return seen > 0


def main():
    railhead, plugin, out = sys.argv[1:4]
    folder = tempfile.mkdtemp()
    ours, other = table(folder, "ours.table", HASH), table(folder, "other.table", OTHER)
    base = {"NCCL_TUNER_PLUGIN": plugin, "RAILHEAD_TUNER_TABLE": ours, "RAILHEAD_TUNER_PROOF_SECONDS": "5"}
    with_other = {**base, "RAILHEAD_TUNER_TABLE": other}
    none = {**base, "RAILHEAD_TUNER_TABLE": os.path.join(folder, "none")}
    runs = {}
    for number, (name, extras) in enumerate({
            "default": [{}, {}],
            "proven": [base, base],
            "agreed": [{**base, "RAILHEAD_TUNER_AGREED": HASH}] * 2,
            "another table on rank 1": [base, with_other],
            "no table on rank 1": [base, none],
            "default again": [{}, {}],
    }.items()):
        runs[name] = run(railhead, number, extras)
        print(name, json.dumps(runs[name])[:1500], flush=True)
    off = [all("off:" in text for rank in runs[name]["tuner"] for text in rank) and all(runs[name]["tuner"])
           for name in ("another table on rank 1", "no table on rank 1")]
    checks = {
        "every run ended well, every byte right": all(not any(one["exit_codes"]) and one.get("verified") for one in runs.values()),
        "without it NCCL takes other ways": not follows(runs["default"]["took"]),
        "proven: NCCL takes what the table says": follows(runs["proven"]["took"]),
        "agreed: NCCL takes what the table says": follows(runs["agreed"]["took"]),
        "another table on one rank: off on both": off[0] and not follows(runs["another table on rank 1"]["took"]),
        "no table on one rank: off on both": off[1] and not follows(runs["no table on rank 1"]["took"]),
    }
    gpu = subprocess.run(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"], capture_output=True, text=True)
    with open(out, "w") as file:
        json.dump({"schema": "railhead.tuner-on-gpu/1", "gpu": gpu.stdout.strip(), "table": LINES, "checks": checks, "runs": runs},
                  file, indent=1)
        file.write("\n")
    print(json.dumps(checks, indent=1))
    sys.exit(0 if all(checks.values()) else 3)


main()
