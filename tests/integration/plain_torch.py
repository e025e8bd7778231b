"""A PyTorch script as anybody has one: it knows RANK, WORLD_SIZE and MASTER_ADDR, keeps its own state, and nothing else.

plain_torch.py FOLDER STEPS: two linear layers under DistributedDataParallel (gloo) learn a fixed function; every fifth step
rank 0 puts the state into FOLDER/state.pt, at the end the loss into FOLDER/loss.
"""
import os
import sys
import time

import torch
import torch.distributed as dist

folder, steps = sys.argv[1], int(sys.argv[2])
dist.init_process_group("gloo")
torch.manual_seed(1)
torch.set_num_threads(1)
model = torch.nn.parallel.DistributedDataParallel(torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1)))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
first = 0
state = os.path.join(folder, "state.pt")
if os.path.exists(state):
    kept = torch.load(state)
    model.load_state_dict(kept["model"])
    optimizer.load_state_dict(kept["optimizer"])
    first = kept["step"]
    print(f"goes on after step {first}", flush=True)
for step in range(first + 1, steps + 1):
    generator = torch.Generator().manual_seed(step * dist.get_world_size() + dist.get_rank())
    x = torch.randn(16, 8, generator=generator)
    loss = torch.nn.functional.mse_loss(model(x), x.sum(1, keepdim=True).sin())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    time.sleep(0.05)
    if dist.get_rank() == 0:
        print(f"step {step} loss {loss.item():.6f}", flush=True)
        if step % 5 == 0:
            torch.save({"step": step, "model": model.state_dict(), "optimizer": optimizer.state_dict()}, state + ".new")
            os.replace(state + ".new", state)
dist.barrier()
if dist.get_rank() == 0:
    with open(os.path.join(folder, "loss"), "w") as file:
        file.write(repr(loss.item()))
