#!/usr/bin/env python3
"""What PyTorch reaches on ViT-Tiny: forward, training, fake-quant training, generation.

Prints one JSON line per kind of work: {"what", "batch", "threads", "img_per_s", ...}, the median of
--rounds rounds in which all kinds take turns. A PyTorch on OpenBLAS is only a fair peer with a core
type that suits the machine (Debian's build takes new processors for a Prescott), so the program
measures the candidates first and starts itself again with the fastest; --core keeps a given one.

  forward    logits of a batch, no gradients
  train      forward, cross-entropy, backward to all weights, SGD with Nesterov momentum
  lsq        the same with min-max W4 weights and LSQ A4 activations, KL to given teacher logits
  lsq_fused  the same with PyTorch's fused operators (gradients differ a little)
  synth      generation step: inter-head attention loss, cross-entropy, total variation, backward to
             the input, AdamW on it

Two busy threads and any other load make OpenMP wait in vain: measure on an otherwise idle machine.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
CORES = ("SkylakeX", "Zen", "Haswell", "Cooperlake")
KINDS = ("forward", "train", "lsq", "lsq_fused", "synth")


def arguments():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--what", default=",".join(KINDS), help="comma list of " + ", ".join(KINDS))
    p.add_argument("--batch", default="8", help="comma list of batch sizes")
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--rounds", type=int, default=9)
    p.add_argument("--weights", help="safetensors file with timm names (default: random)")
    p.add_argument("--core", default="auto", help="OpenBLAS core type, auto, or none")
    p.add_argument("--compile", action="store_true", help="torch.compile where it is available")
    return p.parse_args()


def pick_core(args):
    """Starts this program again with OPENBLAS_CORETYPE set (unless PyTorch is on MKL)."""
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    core = args.core
    if core == "auto":
        speed = {}
        for c in CORES:
            out = subprocess.run(
                [sys.executable, __file__, "--core", c, "--what", "forward", "--batch", "8",
                 "--threads", str(args.threads), "--rounds", "5"], capture_output=True, text=True)
            if out.returncode == 0:
                line = json.loads(out.stdout.splitlines()[-1])
                speed[c] = line["img_per_s"]
                if line["blas"] == "mkl":
                    speed = {"none": speed[c]}
                    break
        print("core types, forward of 8 images:", speed, file=sys.stderr)
        core = max(speed, key=speed.get) if speed else "none"
    env = {**os.environ, "PEER_TORCH_CORE": core}
    if core != "none":
        env["OPENBLAS_CORETYPE"] = core
    rest = sys.argv[1:]
    os.execve(sys.executable, [sys.executable, os.path.abspath(__file__), *rest], env)


def main():
    args = arguments()
    core = os.environ.get("PEER_TORCH_CORE")
    if core is None:
        pick_core(args)
    sys.path[:0] = [HERE, os.path.join(HERE, os.pardir, "tests", "golden")]
    import torch
    import peer_torch_steps as steps
    torch.set_num_threads(args.threads)
    blas = "mkl" if torch.backends.mkl.is_available() else "openblas:" + core
    weights = steps.load(args.weights)
    load_before = os.getloadavg()[0]  # far from 0: others compute, do not trust the numbers
    for batch in (int(b) for b in args.batch.split(",")):
        work = {k: getattr(steps, k)(weights, batch, args.compile) for k in args.what.split(",")}
        times = {k: [] for k in work}
        for r in range(args.rounds + 2):  # two rounds to warm up
            for kind, step in work.items():
                start = time.perf_counter()
                step()
                if r >= 2:
                    times[kind].append(time.perf_counter() - start)
        for kind, t in times.items():
            print(json.dumps({
                "what": kind, "batch": batch, "threads": args.threads,
                "img_per_s": round(batch / statistics.median(t), 2),
                "best_img_per_s": round(batch / min(t), 2), "rounds": args.rounds,
                "torch": torch.__version__, "blas": blas, "compile": args.compile,
                "load_before": round(load_before, 2)}), flush=True)


if __name__ == "__main__":
    main()
