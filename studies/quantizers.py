#!/usr/bin/env python3
"""What each part of the quantizer of a vision transformer is worth: schemes, widths, calibration images, and
parts that are left out or stand alone. A run is calibrated and rounded, not tuned, and judged on DATA. Runs that
are there already in FOLDER are not made again, so the table can be made in several sittings. The kind "no" is
`--no-images`, with as many drawn shapes; static scales and parity mode do not have it.

    studies/quantizers.py BUILD MODEL DATA FOLDER --table schemes --bits w8a8,w4a4 --images no,prior --seeds 1,2,3
    studies/quantizers.py BUILD MODEL DATA FOLDER --table parts --bits w4a4
    studies/quantizers.py BUILD MODEL DATA FOLDER --table counts --bits w4a4

BUILD is a build folder. The table goes to stdout, images right, one number for each seed."""
import argparse
import json
import os
import subprocess
import time

SCHEMES = {  # of the improved mode but for parity
    "row": ["--act-scale", "row"],
    "row, one grid a row": ["--act-scale", "row", "--act-group", "0", "--weight-group", "0"],
    "tensor": ["--act-scale", "tensor"],
    "tensor, rotated": ["--act-scale", "tensor", "--rotate", "on"],
    "parity": ["--mode", "parity"],
}
PARTS = {
    "all": [],
    "nearest": ["--rounding", "nearest"],
    "search alone": ["--rounding", "search"],
    "GPTQ alone": ["--rounding", "gptq"],
    "ridge alone": ["--rounding", "ridge"],
    "bias alone": ["--rounding", "bias"],
    "without ridge": ["--rounding", "search,gptq,bias"],
    "without GPTQ": ["--rounding", "search,ridge,bias"],
    "without search": ["--rounding", "ridge,gptq,bias"],
    "without bias": ["--rounding", "search,ridge,gptq"],
    "without rotation": ["--rotate", "off"],
    "rotation alone": ["--rounding", "nearest", "--rotate", "on"],
    "nothing": ["--rounding", "nearest", "--rotate", "off"],
}
COUNTS = (16, 32, 64, 128, 256)


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("build", "model", "data", "folder"):
        p.add_argument(name)
    p.add_argument("--table", default="schemes", choices=("schemes", "parts", "counts"))
    p.add_argument("--schemes", default="row,tensor,parity", help="of the table of schemes")
    p.add_argument("--scheme", default="row", help="of the other tables")
    p.add_argument("--bits", default="w8a8,w4a8,w5a5,w4a4,w3a3,w2a4")
    p.add_argument("--images", default="noise", help="kinds of dfq synth, several separated by commas")
    p.add_argument("--count", type=int, default=64, help="images to calibrate on")
    p.add_argument("--seeds", default="1,2,3")
    p.add_argument("--judge-options", default="--resize 0", help="of dfq eval")
    p.add_argument("--options", default="", help="of dfq quantize, all runs")
    p.add_argument("--threads", default="2")
    return p.parse_args()


def output(command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


class Study:
    def __init__(self, a):
        self.a = a
        self.dfq = os.path.join(a.build, "tools", "dfq")
        os.makedirs(a.folder, exist_ok=True)

    def images(self, kind, count, seed):
        """The options that give a run these synthetic images."""
        if kind == "no":
            return ["--no-images", "--images", str(count)]
        path = os.path.join(self.a.folder, f"{kind}-{count}-{seed}")
        if not os.path.isdir(path):
            output([self.dfq, "synth", self.a.model, "--kind", kind, "--images", str(count), "--seed", seed,
                    "-o", path + ".part", "-f", "-q", "-t", self.a.threads])
            os.rename(path + ".part", path)
        return ["--no-tune", "--synth", path]

    def right(self, label, kind, count, seed, bits, options):
        """Images that the network quantized so gets right, and seconds that quantizing took."""
        name = "-".join([label, kind, str(count), seed, bits, self.a.options]).replace(" ", "_").replace("/", "_")
        path = os.path.join(self.a.folder, name + ".json")
        if not os.path.exists(path):
            low = os.path.join(self.a.folder, name + ".safetensors")
            images = self.images(kind, count, seed)
            begin = time.monotonic()
            output([self.dfq, "quantize", self.a.model, "--bits", bits, "--seed", seed, "-o", low, "-f", "-q",
                    "-t", self.a.threads, *images, *options, *self.a.options.split()])
            seconds = time.monotonic() - begin
            found = json.loads(output([self.dfq, "eval", low, "-d", self.a.data, "-j", "-q", "-t", self.a.threads,
                                       *self.a.judge_options.split()]))
            os.remove(low)
            with open(path + ".part", "w") as f:
                json.dump({"right": found["correct"], "seconds": seconds}, f)
            os.replace(path + ".part", path)
        with open(path) as f:
            return json.load(f)

    def row(self, label, kind, count, bits, options):
        runs = [self.right(label, kind, count, s, bits, options) for s in self.a.seeds.split(",")]
        seconds = sum(r["seconds"] for r in runs) / len(runs)
        of = "drawn, no images" if kind == "no" else kind
        print(f"| {bits.upper()} | {label} | {count} {of} | {', '.join(str(r['right']) for r in runs)} | "
              f"{sum(r['right'] for r in runs) / len(runs):.0f} | {seconds:.0f} s |", flush=True)


def main():
    a = arguments()
    study = Study(a)
    print("| bits | quantizer | images | right, each seed | mean | time |")
    print("|---|---|---|---|---|---|", flush=True)
    for bits in a.bits.split(","):
        for kind in a.images.split(","):
            if a.table == "schemes":
                for scheme in a.schemes.split(","):
                    if kind == "no" and not scheme.startswith("row"):
                        continue
                    study.row(scheme, kind, a.count, bits, SCHEMES[scheme])
            elif a.table == "parts":
                for part, options in PARTS.items():
                    study.row(f"{a.scheme}: {part}", kind, a.count, bits, SCHEMES[a.scheme] + options)
            else:
                for count in COUNTS:
                    study.row(a.scheme, kind, count, bits, SCHEMES[a.scheme])


if __name__ == "__main__":
    main()
