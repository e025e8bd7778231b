#!/usr/bin/env python3
"""trainer_on_gpu.py OUT.json [--build DIR] [--headers DIR] [--model 124M] [--sequences 16] [--steps 30] [--rounds 4] [--only NAME,...]

On a machine with a GPU and PyTorch: builds railhead-train from this tree against PyTorch's own LibTorch
(apps/railhead-train/standalone) and runs it beside the same model in PyTorch.

- one:     one rank, bfloat16: tokens/s of railhead-train and of PyTorch eager (bfloat16 weights with float32 parameters in a
           fused AdamW, as ours; and float32 weights under autocast), in turn, several rounds
- two:     two ranks over NCCL: sharded and not, beside DistributedDataParallel. On two GPUs where there are two; else as two
           hosts on one GPU over sockets on lo (NCCL_HOSTID), which says nothing of a network
- replay:  the same run twice, one rank and two: losses and checkpoints equal bit by bit
- killed:  kill -9 of one of two ranks, resumed: ends with the bits of an undisturbed run
- reshape: 2 -> 1 -> 2 ranks: the largest difference of a loss from that of two ranks all along

--headers: a folder with tl/, nlohmann/ and CLI/ where the compiler finds none. Exit code 3 when replay or killed differ, or
a run failed. The goals, tokens/s at least that of PyTorch, are told and not held: see "ratio".
"""
import argparse
import glob
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

TREE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SHAPES = {"124M": (12, 12, 768), "350M": (24, 16, 1024), "774M": (36, 20, 1280)}
CONTEXT, VOCABULARY = 1024, 50304
SKIPPED = 8  # first steps, which compile and allocate
PORT = 29600


def tail(text, size=1500):
    return text[-size:] if text else ""


def build(arguments):
    import torch

    command = ["cmake", "-S", os.path.join(TREE, "apps/railhead-train/standalone"), "-B", arguments.build,
               "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_PREFIX_PATH=" + torch.utils.cmake_prefix_path]
    if arguments.headers:
        command.append("-DRAILHEAD_HEADERS=" + os.path.abspath(arguments.headers))
    begin = time.time()
    for step in (command, ["cmake", "--build", arguments.build, "-j", str(os.cpu_count())]):
        done = subprocess.run(step, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            print(tail(done.stdout, 8000))
            sys.exit("the build failed: " + " ".join(step))
    return {"seconds": round(time.time() - begin, 1)}, os.path.join(arguments.build, "bin/railhead-train")


def ranks_environment(rank, ranks, port):
    import torch

    environment = dict(os.environ)
    environment.update({"RANK": str(rank), "WORLD_SIZE": str(ranks), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(ranks),
                        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "CUBLAS_WORKSPACE_CONFIG": ":4096:8"})
    if ranks > 1 and torch.cuda.device_count() < ranks:
        environment.update({"NCCL_HOSTID": f"host-{rank}", "NCCL_SOCKET_IFNAME": "lo", "NCCL_IB_DISABLE": "1"})
    return environment


class Gang:
    """Ranks of one program; output to files, so that no pipe fills up."""
    port = PORT

    def __init__(self, command, ranks):
        Gang.port += 7
        self.folder = tempfile.mkdtemp()
        self.ranks = []
        for rank in range(ranks):
            out = open(os.path.join(self.folder, f"out{rank}"), "w")
            error = open(os.path.join(self.folder, f"error{rank}"), "w")
            self.ranks.append(subprocess.Popen(command, env=ranks_environment(rank, ranks, Gang.port), stdout=out, stderr=error))

    def text(self, name):
        with open(os.path.join(self.folder, name), errors="replace") as file:
            return file.read()

    def lines(self):
        out = []
        for line in self.text("out0").splitlines():
            try:
                out.append(json.loads(line))
            except ValueError:
                pass
        return out

    def losses(self):
        return {line["step"]: line["loss"] for line in self.lines() if "loss" in line and "seconds" in line}

    def wait(self, seconds=420):
        until = time.time() + seconds
        for rank in self.ranks:
            try:
                rank.wait(max(1, until - time.time()))
            except subprocess.TimeoutExpired:
                rank.kill()
                rank.wait()
        return [rank.returncode for rank in self.ranks]

    def await_step(self, step, seconds=300):
        until = time.time() + seconds
        while time.time() < until and all(rank.poll() is None for rank in self.ranks):
            if max(self.losses(), default=0) >= step:
                return True
            time.sleep(0.05)
        return False

    def result(self):
        codes = self.wait()
        out = {"exit_codes": codes}
        if any(codes):
            out["errors"] = [tail(self.text(f"error{rank}")) for rank in range(len(self.ranks))]
        steps = [line for line in self.lines() if "loss" in line and "seconds" in line]
        seconds = [line["seconds"] for line in steps[SKIPPED:]]
        if seconds:
            out["step_seconds"] = {"median": statistics.median(seconds), "min": min(seconds), "max": max(seconds)}
            out["tokens_per_second"] = steps[-1]["tokens"] / statistics.median(seconds)
            if "split" in steps[-1]:
                out["split_median"] = {key: statistics.median(line["split"][key] for line in steps[SKIPPED:]) for key in steps[-1]["split"]}
        if steps:
            out["losses"] = {"first": steps[0]["loss"], "last": steps[-1]["loss"]}
        facts = [line["facts"] for line in self.lines() if line.get("event") == "facts"]
        if facts:
            out["facts"] = facts[0]
        return out


def text_of_the_tree(folder):
    path = os.path.join(folder, "text")
    with open(path, "w") as out:
        for name in sorted(glob.glob(os.path.join(TREE, "**/*.md"), recursive=True) + glob.glob(os.path.join(TREE, "src/**/*.cc"), recursive=True)):
            out.write(open(name, errors="replace").read())
    return path


def ours(program, data, arguments, **more):
    out = [program, "--json", "--device", "cuda", "--data", data, "--model", arguments.model, "--type", "bf16"]
    values = {"steps": arguments.steps, "batch": arguments.sequences, "micro-batch": arguments.sequences, "warmup": 5}
    values.update({key.replace("_", "-"): value for key, value in more.items()})
    for key, value in values.items():
        out += ["--" + key] + ([] if value is True else [str(value)])
    return out


def theirs(kind, data, arguments, sequences):
    return [sys.executable, os.path.abspath(__file__), "--baseline", kind, "--data", data, "--model", arguments.model,
            "--sequences", str(sequences), "--steps", str(arguments.steps), "unused"]


# Student's t, two-sided 95 %, by degrees of freedom.
T95 = {1: 12.71, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365}


def in_turn(runs, ranks, rounds):
    """Each command once a round, so that a GPU that grows warm slows all alike; ratios of the first to each other one."""
    out = {name: {"tokens_per_second": [], "exit_codes": []} for name in runs}
    for number in range(rounds):
        for name, command in runs.items():
            result = Gang(command, ranks).result()
            out[name]["tokens_per_second"].append(result.pop("tokens_per_second", None))
            out[name]["exit_codes"] += result.pop("exit_codes")
            out[name].update(result)
    first, *others = runs
    out["ratio"] = {}
    for name in others:
        pairs = [mine / theirs for mine, theirs in zip(out[first]["tokens_per_second"], out[name]["tokens_per_second"]) if mine and theirs]
        if len(pairs) == rounds and rounds in range(2, 9):
            half = T95[rounds - 1] * statistics.stdev(pairs) / rounds ** 0.5
            out["ratio"][name] = {"mean": round(statistics.mean(pairs), 4), "interval95": [round(statistics.mean(pairs) - half, 4), round(statistics.mean(pairs) + half, 4)],
                                  "rounds": [round(value, 4) for value in pairs]}
    return out


def one(program, data, arguments):
    return in_turn({"railhead": ours(program, data, arguments),
                    "eager_bf16_weights": theirs("weights", data, arguments, arguments.sequences),
                    "eager_autocast": theirs("autocast", data, arguments, arguments.sequences)}, 1, arguments.rounds)


def two(program, data, arguments):
    batch = 2 * arguments.sequences
    return in_turn({"railhead_zero1": ours(program, data, arguments, batch=batch, shard="zero1"),
                    "railhead_none": ours(program, data, arguments, batch=batch, shard="none"),
                    "ddp": theirs("weights", data, arguments, arguments.sequences)}, 2, arguments.rounds)


def digests(folder, step):
    with open(os.path.join(folder, f"step-{step:08d}", "checkpoint.json")) as file:
        return {one["name"]: one["sha256"] for one in json.load(file)["files"]}


def small(program, data, arguments, ranks, folder, **more):
    """A run that is compared: short, deterministic, with checkpoints; fewer blocks, so that those are small."""
    return ours(program, data, arguments, layers=3, steps=24, batch=8, micro_batch=8 // ranks, deterministic=True, checkpoints=folder,
                checkpoint_every=8, keep=9, **more)


def same_runs(first, second, folders, step=24):
    return first.losses() == second.losses() and len(first.losses()) == step and digests(folders[0], step) == digests(folders[1], step)


def replay(program, data, arguments):
    out = {}
    for ranks in (1, 2):
        folders = [tempfile.mkdtemp() for _ in range(2)]
        gangs = [Gang(small(program, data, arguments, ranks, folder), ranks) for folder in folders[:1]]
        results = [gangs[0].result()]
        gangs.append(Gang(small(program, data, arguments, ranks, folders[1]), ranks))
        results.append(gangs[1].result())
        good = not any(code for one in results for code in one["exit_codes"])
        out[f"ranks_{ranks}"] = {"runs": results, "bitwise_equal": good and same_runs(*gangs, folders)}
        for folder in folders:
            shutil.rmtree(folder)
    return out


def killed(program, data, arguments):
    folders = [tempfile.mkdtemp() for _ in range(2)]
    whole = Gang(small(program, data, arguments, 2, folders[0]), 2)
    out = {"undisturbed": whole.result()}
    victim = Gang(small(program, data, arguments, 2, folders[1]), 2)
    out["reached"] = victim.await_step(12)
    victim.ranks[1].send_signal(signal.SIGKILL)
    begin = time.time()
    out["exit_codes_after_kill"] = victim.wait(60)
    out["survivor_ended_after_seconds"] = round(time.time() - begin, 2)
    before = victim.losses()
    rest = Gang(small(program, data, arguments, 2, folders[1], resume="latest"), 2)
    out["resumed"] = rest.result()
    after = rest.losses()
    out["resumed_at_step"] = min(after, default=0)
    expected = whole.losses()
    if out["reached"] and not any(out["resumed"]["exit_codes"]) and not any(out["undisturbed"]["exit_codes"]):
        out["bitwise_equal"] = ({**before, **after} == expected and bool(after) and min(after) > 1 and
                                digests(folders[0], 24) == digests(folders[1], 24))
    else:
        out["bitwise_equal"] = False
    for folder in folders:
        shutil.rmtree(folder)
    return out


def reshape(program, data, arguments):
    folders = [tempfile.mkdtemp() for _ in range(3)]
    whole = Gang(small(program, data, arguments, 2, folders[0]), 2)
    out = {"whole": whole.result()}
    single = Gang(small(program, data, arguments, 1, folders[1], resume=os.path.join(folders[0], "step-00000008")), 1)
    out["one"] = single.result()
    pair = Gang(small(program, data, arguments, 2, folders[2], resume=os.path.join(folders[1], "step-00000016")), 2)
    out["two"] = pair.result()
    expected = whole.losses()
    if single.losses() and pair.losses():
        out["largest_difference"] = {
            "one": max(abs(loss - expected[step]) for step, loss in single.losses().items()),
            "two": max(abs(loss - expected[step]) for step, loss in pair.losses().items())}
    for folder in folders:
        shutil.rmtree(folder)
    return out


def baseline(arguments):
    """The same model in PyTorch, as a rank; lines of JSON as railhead-train's."""
    import torch
    import torch.nn.functional as F

    rank, ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    device = torch.device("cuda", rank % torch.cuda.device_count())
    torch.cuda.set_device(device)
    torch.manual_seed(1)
    layers, heads, width = SHAPES[arguments.model]
    weights_in_bfloat16 = arguments.baseline == "weights"

    class Block(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.norm_1, self.norm_2 = torch.nn.LayerNorm(width), torch.nn.LayerNorm(width)
            self.attention, self.attention_out = torch.nn.Linear(width, 3 * width), torch.nn.Linear(width, width)
            self.wide, self.wide_out = torch.nn.Linear(width, 4 * width), torch.nn.Linear(4 * width, width)

        def forward(self, x):
            b, t, _ = x.shape
            q, k, v = self.attention(self.norm_1(x)).view(b, t, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.attention_out(y.transpose(1, 2).reshape(b, t, width))
            return x + self.wide_out(F.gelu(self.wide(self.norm_2(x)), approximate="tanh"))

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens, self.positions = torch.nn.Embedding(VOCABULARY, width), torch.nn.Embedding(CONTEXT, width)
            self.blocks = torch.nn.ModuleList(Block() for _ in range(layers))
            self.norm = torch.nn.LayerNorm(width)
            for module in self.modules():
                if isinstance(module, (torch.nn.Linear, torch.nn.Embedding)):
                    torch.nn.init.normal_(module.weight, std=0.02)
                if isinstance(module, torch.nn.Linear):
                    torch.nn.init.zeros_(module.bias)

        def forward(self, inputs, targets):
            x = self.tokens(inputs) + self.positions.weight[:inputs.size(1)]
            for block in self.blocks:
                x = block(x)
            logits = F.linear(self.norm(x), self.tokens.weight)
            return F.cross_entropy(logits.reshape(-1, VOCABULARY).float(), targets.reshape(-1))

    model = Model().to(device)
    if weights_in_bfloat16:
        model = model.to(torch.bfloat16)
    run = model
    if ranks > 1:
        torch.distributed.init_process_group("nccl")
        run = torch.nn.parallel.DistributedDataParallel(model, device_ids=[device.index], gradient_as_bucket_view=True)
    parameters = list(model.parameters())
    masters = [p.detach().float().clone() for p in parameters] if weights_in_bfloat16 else parameters
    for master in masters:
        master.requires_grad_(True)
    optimizer = torch.optim.AdamW([{"params": [m for m in masters if m.dim() > 1], "weight_decay": 0.1},
                                   {"params": [m for m in masters if m.dim() < 2], "weight_decay": 0.0}],
                                  lr=6e-4, betas=(0.9, 0.95), fused=True)
    with open(arguments.data, "rb") as file:
        text = torch.frombuffer(bytearray(file.read()), dtype=torch.uint8).long()
    generator = torch.Generator().manual_seed(1 + rank)
    for step in range(1, arguments.steps + 1):
        torch.cuda.synchronize()
        begin = time.time()
        starts = torch.randint(0, text.numel() - CONTEXT - 1, (arguments.sequences,), generator=generator)
        window = torch.stack([text[s:s + CONTEXT + 1] for s in starts.tolist()]).to(device, non_blocking=True)
        with torch.autocast("cuda", torch.bfloat16, enabled=not weights_in_bfloat16):
            loss = run(window[:, :-1], window[:, 1:])
        loss.backward()
        if weights_in_bfloat16:
            grads = [torch.empty_like(m) for m in masters] if step == 1 else grads
            torch._foreach_copy_(grads, [p.grad for p in parameters])
            for master, grad in zip(masters, grads):
                master.grad = grad
        torch.nn.utils.clip_grad_norm_(masters, 1.0, foreach=True)
        optimizer.step()
        if weights_in_bfloat16:
            with torch.no_grad():
                torch._foreach_copy_(parameters, masters)
        for p in parameters:
            p.grad = None
        told = loss.item()
        torch.cuda.synchronize()
        if rank == 0:
            print(json.dumps({"step": step, "loss": told, "tokens": arguments.sequences * CONTEXT * ranks,
                              "seconds": time.time() - begin}), flush=True)
    if ranks > 1:
        torch.distributed.destroy_process_group()


def environment_of(program):
    import torch

    def said(*command):
        try:
            return subprocess.run(command, capture_output=True, text=True).stdout.strip()
        except OSError as error:
            return repr(error)

    return {"gpu": said("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader").splitlines(),
            "torch": torch.__version__, "cuda": torch.version.cuda, "nccl": ".".join(map(str, torch.cuda.nccl.version())),
            "cudnn": torch.backends.cudnn.version(), "kernel": platform.release(), "cpu_cores": os.cpu_count(),
            "compiler": said("c++", "--version").splitlines()[:1], "revision": said("git", "-C", TREE, "rev-parse", "HEAD"),
            "railhead_train": said(program, "--version"), "argv": sys.argv[1:]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--build", default="/tmp/railhead-train-build")
    parser.add_argument("--headers")
    parser.add_argument("--model", default="124M", choices=sorted(SHAPES))
    parser.add_argument("--sequences", type=int, default=16)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=4, help="of one and two, 2 to 8")
    parser.add_argument("--only", default="one,two,replay,killed,reshape")
    parser.add_argument("--baseline", choices=["weights", "autocast"], help=argparse.SUPPRESS)
    parser.add_argument("--data", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.baseline:
        return baseline(arguments)
    built, program = build(arguments)
    folder = tempfile.mkdtemp()
    data = text_of_the_tree(folder)
    out = {"schema": "railhead.trainer-on-gpu/1", "environment": environment_of(program), "build": built,
           "setting": {"model": arguments.model, "context": CONTEXT, "vocabulary": VOCABULARY, "sequences_per_rank": arguments.sequences,
                       "steps": arguments.steps, "steps_left_out": SKIPPED}}
    parts = {"one": one, "two": two, "replay": replay, "killed": killed, "reshape": reshape}
    for name in arguments.only.split(","):
        out[name] = parts[name](program, data, arguments)
        print(name, json.dumps(out[name])[:3000], flush=True)
        with open(arguments.out, "w") as file:  # what there is, should the next part take too long
            json.dump(out, file, indent=1)
            file.write("\n")
    shutil.rmtree(folder)
    bad = [name for name in ("replay", "killed") if name in out and '"bitwise_equal": false' in json.dumps(out[name])]
    failed = [f"{part}: {name}" for part in ("one", "two", "reshape") if part in out
              for name, run in out[part].items() if isinstance(run, dict) and any(run.get("exit_codes", []))]
    print(json.dumps({"not bitwise equal": bad, "failed": failed}))
    sys.exit(3 if bad or failed else 0)


main()
