#!/usr/bin/env python3
"""What the inter-head loss does: sets of images by its weight and by how images are moved; of each the
similarity of heads, the class loss, the share of the gradient that the term has, and the accuracy of the
network that is calibrated on it, not tuned. Runs that are there already in FOLDER are not made again.

    studies/inter_head.py BUILD MODEL DATA FOLDER --moved scales,pixels --weights 0,1,10,100 --seeds 1,2,3

BUILD is a build folder with -Dbench=true. The table goes to stdout, one row for each setting, means over the
seeds and, in brackets, what each seed has."""
import argparse
import json
import os
import statistics
import subprocess


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("build", "model", "data", "folder"):
        p.add_argument(name)
    p.add_argument("--moved", default="scales,pixels")
    p.add_argument("--weights", default="0,1,10,100")
    p.add_argument("--distance", default="square", choices=("square", "absolute"))
    p.add_argument("--seeds", default="1,2,3")
    p.add_argument("--images", type=int, default=32)
    p.add_argument("--iters", type=int, default=100)
    p.add_argument("--bits", default="w4a4", help="several, separated by commas; w4a4-parity: the published grids")
    p.add_argument("--judged", type=int, default=0, help="images of DATA; 0: all")
    p.add_argument("--judge-options", default="", help="of dfq eval")
    p.add_argument("--threads", default="1")
    return p.parse_args()


def output(command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def kept(path, make):
    """What `path` holds, made if it is not there."""
    if not os.path.exists(path):
        text = make()
        with open(path + ".part", "w") as f:
            f.write(text)
        os.replace(path + ".part", path)
    with open(path) as f:
        return json.load(f)


def accuracy(a, images, bits):
    dfq, low = os.path.join(a.build, "tools", "dfq"), f"{images}-{bits}.safetensors"

    width, _, mode = bits.partition("-")

    def make():
        output([dfq, "quantize", a.model, "--bits", width, "--mode", mode or "improved", "--no-tune", "--act-scale", "tensor",
                "--synth", images, "-o", low, "-f", "-q", "-t", a.threads])
        some = ["-n", str(a.judged)] if a.judged else []
        return output([dfq, "eval", low, "-d", a.data, "-j", "-q", "-t", a.threads, *some,
                       *a.judge_options.split()])

    return 100 * kept(f"{images}-{bits}.json", make)["top1"]


def run(a, moved, weight, seed):
    images = os.path.join(a.folder, f"{moved}-{a.distance}-{weight}-{seed}")
    program = os.path.join(a.build, "studies", "study_inter_head")
    made = kept(images + ".json", lambda: output(
        [program, a.model, images, moved, a.distance, weight, seed, str(a.images), str(a.iters), a.threads]))
    made["accuracy"] = [accuracy(a, images, bits) for bits in a.bits.split(",")]
    return made


def several(values, form):
    text = form % statistics.mean(values)
    if len(values) == 1:
        return text
    return f"{text} ({', '.join(form % v for v in values)})"


def main():
    a = arguments()
    os.makedirs(a.folder, exist_ok=True)
    bits = a.bits.split(",")
    print("| moved | weight | similarity, drawn | made | mean 1 - S^2 | class loss | share of the gradient, first "
          "to last | " + " | ".join(b.upper() for b in bits) + " |")
    print("|---" * (7 + len(bits)) + "|")
    for moved in a.moved.split(","):
        for weight in a.weights.split(","):
            runs = [run(a, moved, weight, seed) for seed in a.seeds.split(",")]
            share = [statistics.mean(r["inter_head"][q] for r in runs) for q in (0, -1)]
            cells = [moved, weight, several([r["similarity_before"] for r in runs], "%.3f"),
                     several([r["similarity"] for r in runs], "%.3f"),
                     several([r["distance"] for r in runs], "%.3f"),
                     several([r["class_loss"] for r in runs], "%.2f"),
                     f"{100 * share[0]:.1f} to {100 * share[1]:.1f} %"]
            cells += [several([r["accuracy"][b] for r in runs], "%.1f") for b in range(len(bits))]
            print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
