"""Runs the program dfq on a tiny model and looks at results, exit codes, messages and files.
Usage: test_cli.py DFQ PART, where PART names a class below in lower case; prints TAP."""
import json
import os
import random
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback

import tiny

HANGS = 1200  # seconds after which a run counts as hanging, however busy the machine is
DONE, FAILED, USAGE, INPUT, INFEASIBLE, OUTPUT, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130
QUICK = ("--images", "8", "--batch", "4", "--iters", "6", "--steps", "6", "--bits", "w4a4")
GIVEN = QUICK[:4] + QUICK[6:]  # of images that are there


class Run:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def __repr__(self):
        return f"exit {self.code}\nstdout: {self.out}\nstderr: {self.err}"


class Part:
    """One folder with the tiny model for each test."""

    def __init__(self, program):
        self.program = program

    def setup(self):
        self.dir = tempfile.mkdtemp(prefix="dfq-cli-")
        tiny.make(self.dir)

    def teardown(self):
        shutil.rmtree(self.dir, ignore_errors=True)

    def dfq(self, *args, preexec=None, stdout=subprocess.PIPE):
        p = subprocess.run([self.program, *args], cwd=self.dir, stdout=stdout,
                           stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=HANGS,
                           preexec_fn=preexec, check=False)
        return Run(p.returncode, (p.stdout or b"").decode(), p.stderr.decode())

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def read(self, *parts):
        with open(self.path(*parts), "rb") as f:
            return f.read()

    def header(self, file):
        """Of a safetensors file: {name: {dtype, shape, data_offsets}}."""
        data = self.read(file)
        return json.loads(data[8:8 + int.from_bytes(data[:8], "little")])

    def names(self):
        return sorted(os.listdir(self.dir))

    def fails(self, code, pattern, *args, preexec=None, quiet=True):
        """One line on stderr, nothing on stdout, nothing left in the folder."""
        before = self.names()
        r = self.dfq(*args, *(["-q"] if quiet else []), preexec=preexec)
        assert r.code == code, r
        lines = r.err.splitlines()
        assert len(lines) == 1 and re.search(pattern, lines[0]), r
        assert lines[0].startswith("dfq"), r
        assert r.out == "", r
        assert self.names() == before, (before, self.names())

    def works(self, *args):
        r = self.dfq(*args)
        assert r.code == DONE, r
        return r

    def is_sanitized(self):
        """Sanitizers take memory and threads of their own."""
        def little():
            resource.setrlimit(resource.RLIMIT_AS, (300 << 20, 300 << 20))
        return self.dfq("version", preexec=little).code != DONE


class Usage(Part):
    def test_help_of_everything(self):
        text = self.works("--help").out
        for verb in ("info", "eval", "run", "synth", "quantize", "export", "bench", "cost", "explore",
                     "version"):
            assert verb in text
            one = self.works(verb, "--help").out
            assert one.startswith(f"dfq {verb}: ") and "Example: dfq " + verb in one
            assert len(one.splitlines()) < 80 and max(map(len, one.splitlines())) <= 80, one
            assert not re.search(r"\n {27}(?! )", one), one  # no text begins beside its column
            assert one == self.works("help", verb).out == self.works(verb, "-h").out
        assert "130 interrupted" in text and max(map(len, text.splitlines())) <= 80, text

    def test_version(self):
        line = self.works("version").out
        assert re.match(r"dfq \d+\.\d+\.\d+, kernels \S+, (1 thread|\d+ threads)\n$", line), line
        assert self.works("--version").out == line
        assert set(json.loads(self.works("version", "--json").out)) == {"version", "kernels",
                                                                        "threads"}

    def test_wrong_words(self):
        self.fails(USAGE, "the verb is missing", quiet=False)
        self.fails(USAGE, "no verb frob; see dfq --help", "frob", quiet=False)
        self.fails(USAGE, "option --frob.* is not known", "info", "tiny.safetensors", "--frob")
        self.fails(USAGE, "option -z is not known", "info", "tiny.safetensors", "-z", quiet=False)
        self.fails(USAGE, "option --bits.* is not known", "info", "tiny.safetensors", "--bits", "w4a4")
        self.fails(USAGE, "the model is missing", "info")
        self.fails(USAGE, "give one model, not", "info", "a", "b")
        self.fails(USAGE, "the value of .* is missing", "eval", "tiny.safetensors", "--data", quiet=False)
        self.fails(USAGE, "--data is missing", "eval", "tiny.safetensors")
        self.fails(USAGE, "--image is missing", "run", "tiny.safetensors")
        self.fails(USAGE, "--bits is missing", "quantize", "tiny.safetensors", "-o", "q")
        self.fails(USAGE, "-o OUT is missing", "quantize", "tiny.safetensors", "--bits", "w4a4")

    def test_advice_names_options_that_exist(self):
        known = set(re.findall(r"--[a-z][a-z-]*", self.works("--help").out)) | {"--version"}
        for verb in ("info", "eval", "run", "synth", "quantize", "export", "bench", "cost", "explore",
                     "version"):
            known |= set(re.findall(r"--[a-z][a-z0-9-]*", self.works(verb, "--help").out))
        root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
        for folder in ("tools", "lib", "docs"):
            for place, _, names in os.walk(os.path.join(root, folder)):
                pages = os.path.basename(place) == "cli"
                for name in (n for n in names if n.endswith(".c") or n == "CLI.md" or (pages and n.endswith(".md"))):
                    with open(os.path.join(place, name), encoding="utf-8") as f:
                        text = f.read()
                    if name.endswith(".c"):
                        text = "".join(re.findall(r'"(?:\\\\.|[^"\\\\\n])*"', text))
                    text = re.sub(r"var\(--|\{--|;--", "", text)  # colours of the reports
                    told = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*(?<!-)", text))
                    assert told <= known, (name, told - known)

    def test_pages_have_every_option(self):
        """The tables of a verb's page in docs/cli/ have the options of `dfq VERB --help` and no others, long and
        short; the page is found from docs/CLI.md."""
        docs = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs")
        with open(os.path.join(docs, "CLI.md"), encoding="utf-8") as f:
            index = f.read()
        for verb in ("info", "eval", "run", "synth", "quantize", "export", "bench", "cost", "explore",
                     "version"):
            assert f"(cli/{verb}.md)" in index, verb
            with open(os.path.join(docs, "cli", verb + ".md"), encoding="utf-8") as f:
                cells = [row.split("|")[1] for row in f if row.startswith("| `-")]
            text = self.works(verb, "--help").out
            listed = re.findall(r"^  (?:(-\w), |    )(--[a-z][a-z0-9-]*)", text, re.M)
            options = {name for pair in listed for name in pair if name}
            told = {name for cell in cells for name in re.findall(r"`(--?[a-z][a-z0-9-]*)", cell)}
            assert len(options) > 1 and options == told, (verb, options ^ told)

    def test_advice_has_numbers_that_work(self):
        tune = ("quantize", "tiny.safetensors", "--bits", "w4a4", "--iters", "1", "--steps", "1", "-o", "q")
        self.fails(USAGE, "there is 1 image, must be 2 or more, .*; give more with --images, or --no-tune$", *tune, "-n", "1")
        self.works(*tune, "-n", "2")
        tiny.make_cnn(self.dir)
        ait = ("quantize", "cnn.safetensors", "--bits", "w4a4", "--batch", "2", "--loss", "ait", "--mode")
        for mode in "improved", "parity":
            r = self.dfq(*ait, mode, "-o", mode, "-q", "--steps", "1")
            least = re.search(r"must be (\d+) or more", r.err)
            assert r.code == USAGE and least, r
            self.fails(USAGE, "must be .* or more", *ait, mode, "-o", mode, "--steps", str(int(least[1]) - 1))
            self.works(*ait, mode, "-o", mode, "--steps", least[1])

    def test_threads_that_are_refused(self):
        """Every verb goes on with those there are, to the same results, and says so once."""
        if os.geteuid() != 0 or self.is_sanitized():
            return "needs root, to become a user of few processes, and no sanitizer"

        def one_process():
            resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
            os.setuid(61000 + os.getpid() % 4000)
        os.chmod(self.dir, 0o777)
        tiny.make_cnn(self.dir)
        few = ("-b", "w4a4", "--batch", "2", "-o")
        for name, args in (("a", ["quantize", "tiny.safetensors", "--no-images", "-n", "4", "-b", "w4a4", "-o"]),
                           ("b", ["quantize", "tiny.safetensors", "-n", "4", "--iters", "1", "--no-tune", *few]),
                           ("c", ["quantize", "cnn.safetensors", "--generator", "gdfq", "--loss", "kl-ce",
                                  "--steps", "10", *few]),
                           ("d", ["synth", "tiny.safetensors", "-n", "4", "--iters", "1", "-o"]),
                           (None, ["eval", "tiny.safetensors", "-d", "pictures"]),
                           (None, ["run", "tiny.safetensors", "--image", "pictures/0.png"])):
            out = [self.dfq(*args, *([name + str(k)] if name else []), "-t", "4",
                            preexec=one_process if k else None) for k in range(2)]
            assert out[0].code == out[1].code == DONE, out
            assert [r.err.count("only 1 of 4 threads can run") for r in out] == [0, 1], out
            if name and name != "d":
                assert self.read(name + "0") == self.read(name + "1"), args
        return None

    def test_memory_advice_goes_by_the_verb(self):
        def little():
            resource.setrlimit(resource.RLIMIT_AS, (300 << 20, 300 << 20))
        if self.dfq("version", preexec=little).code != DONE:
            return "this build does not start with 300 MB"
        big = self.path("big.safetensors")
        with open(big, "wb") as f:
            head = json.dumps({"a": {"dtype": "F32", "shape": [1 << 28], "data_offsets": [0, 1 << 30]}}).encode()
            f.write(len(head).to_bytes(8, "little") + head)
            f.truncate(8 + len(head) + (1 << 30))
        self.fails(FAILED, "memory.*; fewer --threads need less$", "info", big, "-t1", preexec=little)
        self.fails(FAILED, "memory.*; a smaller --batch or fewer --images need less$", "synth", big, "-t1",
                   "-o", "x", preexec=little)
        return None

    def test_wrong_values(self):
        def quantize(pattern, *args):
            self.fails(USAGE, pattern, "quantize", "tiny.safetensors", "-o", "q.safetensors", *args)
        quantize("--bits is w1a4: weights have 1 bit, must have 2 to 8", "--bits", "w1a4")
        quantize("--bits is w9a4: weights have 9 bits, must have 2 to 8", "--bits", "w9a4")
        quantize("--bits is w4a1: activations have 1 bit,", "--bits", "w4a1")
        quantize("--bits is w4a9: activations have 9 bits,", "--bits", "w4a9")
        quantize("must have 2 to 8", "--bits", "w99999999999999999999a4")
        for text in ("", "4", "w4", "w4a", "a4w4", "w4a4x", "w-4a4", "w 4a4"):
            quantize("must be like w4a4", "--bits", text)
        for name in ("--images", "--iters", "--steps", "--batch", "--threads"):
            for value in ("0", "-1", "x", "3x", "", "99999999999999999999"):
                quantize(f"{name} is .*must be a whole number from 1 to", "--bits", "w4a4",
                         f"{name}={value}")
        for value in ("-1", "x", "", "18446744073709551616"):
            quantize("--seed is .*must be", "--bits", "w4a4", f"--seed={value}")
        for name in ("--lr", "--gamma"):
            for value in ("-1", "nan", "inf", "x", ""):
                quantize(f"{name} is .*must be a number from", "--bits", "w4a4", f"{name}={value}")
        quantize("--mode is \"best\", must be parity or improved", "--bits", "w4a4", "--mode",
                 "best")
        quantize("--kind is \"x\", must be attention, .* arc or leaves", "--bits", "w4a4",
                 "--kind", "x")
        quantize("exclude", "--bits", "w4a4", "--synth", "a", "--real", "b")
        quantize("--steps and --no-tune exclude each other; leave one out", "--bits", "w4a4",
                 "--no-tune", "--steps", "4")
        quantize("--reconstruct needs images; leave it or --no-images out", "--bits", "w4a4",
                 "--no-images", "--reconstruct", "4")
        quantize("--reconstruct is for --mode improved; parity is as published", "--bits", "w4a4",
                 "--mode", "parity", "--reconstruct", "4")


class Hostile(Part):
    """What no one should type or feed: one line that names the value, the right code, nothing left behind."""

    def st(self, name, edit):
        """A copy of the tiny model whose header and data `edit` changes."""
        raw = self.read("tiny.safetensors")
        size = int.from_bytes(raw[:8], "little")
        header, data = json.loads(raw[8:8 + size]), bytearray(raw[8 + size:])
        edit(header, data)
        text = json.dumps(header).encode()
        with open(self.path(name), "wb") as f:
            f.write(len(text).to_bytes(8, "little") + text + data)

    def test_models(self):
        def nan(header, data):
            at = header["head.weight"]["data_offsets"][0]
            data[at:at + 4] = b"\0\0\xc0\x7f"
        def large(header, data):
            at = header["head.weight"]["data_offsets"][0]
            data[at:at + 4] = struct.pack("<f", 1e30)
        cases = {
            "large": (large, "tensor head.weight holds 1e\\+30 at element 0, must be at most 1e15 in magnitude"),
            "nan": (nan, "tensor head.weight holds -?nan at element 0, must be finite"),
            "shape": (lambda h, d: h["head.weight"].update(shape=[2 ** 62, 2 ** 62]), "overflows 64 bits"),
            "mean": (lambda h, d: h.setdefault("__metadata__", {}).update(mean="124,116,104"), "pixels of 0..1"),
            "heads": (lambda h, d: h.setdefault("__metadata__", {}).update(heads="3"), "must be a multiple of heads, 3"),
        }
        for name, (edit, pattern) in cases.items():
            self.st(name, edit)
            self.fails(INPUT, f"{name}: .*{pattern}", "info", name)
        os.mkfifo(self.path("fifo"))
        os.symlink("loop", self.path("loop"))
        os.mkdir(self.path("folder"))
        open(self.path("empty"), "wb").close()
        for name, pattern in (("fifo", "a device or pipe"), ("/dev/zero", "a device or pipe"), ("loop", "Too many levels"),
                              ("folder", "it is a folder"), ("empty", "0 bytes"), ("x" * 300, "File name too long")):
            self.fails(INPUT, pattern, "info", name)
        self.fails(USAGE, "name of the model is empty", "info", "")

    def test_values(self):
        quantize = ("quantize", "tiny.safetensors", "-b", "w4a4", "-o", "q")
        for pattern, *args in (
                ("--lr is nan, must be a number from 0", *quantize, "--lr", "nan"),
                ("--seed is -1, must be a whole number from 0", *quantize, "--seed", "-1"),
                ("--images is 99999999999999999999, must be", *quantize, "-n", "99999999999999999999"),
                ("--threads is 1e9, must be", *quantize, "-t", "1e9"),
                ("--bits is w1a1", *quantize, "-b", "w1a1"),  # the last of several counts
                ("--synth and --real exclude each other", *quantize, "--synth", "x", "--real", "y"),
                ("--steps and --no-tune exclude each other", *quantize, "--no-tune", "--steps", "3"),
                ("--no-tune=yes is not known", *quantize, "--no-tune=yes"),
                ("--rounding is \"foo\", must be auto", *quantize, "--rounding", "foo"),
                ("nothing is left to quantize", *quantize, "--no-tune", "--skip", "*"),
                ("^dfq quantize: --layer-bits: layer \"nothing\" has no quantizers", *quantize, "--no-tune", "--layer-bits", "nothing=w4"),
                ("^dfq quantize: --skip: layer \"nope\" has no quantizers", *quantize, "--no-tune", "--skip", "nope"),
                ("--mean is 124,116,104, must be three numbers from -10 to 10", "info", "tiny.safetensors", "--mean",
                 "124,116,104"),
                ("--config is 99999, must be 0 to 4334", "cost", "tiny.safetensors", "-a", "hdx-space", "--config", "99999")):
            self.fails(USAGE, pattern, *args)

    def test_data(self):
        def csv(name, text):
            os.mkdir(self.path(name))
            with open(self.path(name, "labels.csv"), "wb") as f:
                f.write(text)
        csv("minus", b"file,label\n0.png,-1\n")
        csv("up", b"file,label\nx/../../passwd,1\n")
        csv("bytes", b"file,label\n\xff\xfe.png,1\n")
        with open(self.path("short.bin"), "wb") as f:
            f.write(bytes(3073 * 2 + 1))
        for name, pattern in (("minus", "the label is \"-1\", must be a whole number from 0 on"),
                              ("up", "must be inside the data set's folder"), ("bytes", "there is no file"),
                              ("short.bin", "6147 bytes is not a multiple of 3073"), ("nowhere", "No such file")):
            self.fails(INPUT, pattern, "eval", "tiny.safetensors", "-d", name)


class Terminal(Part):
    """What comes out of files and command lines steers no terminal."""
    WILD = "vit\n\x1b[31mprecision    weights 8 bit\x7f\u009b31m\u202e"

    def setup(self):
        super().setup()
        with open(self.path("tiny.safetensors"), "rb") as f:
            size = int.from_bytes(f.read(8), "little")
            header, data = json.loads(f.read(size)), f.read()
        header["__metadata__"]["architecture"] = self.WILD
        text = json.dumps(header).encode()
        with open(self.path("wild.safetensors"), "wb") as f:
            f.write(len(text).to_bytes(8, "little") + text + data)

    def plain(self, *args, code=DONE):
        r = self.dfq(*args)
        assert r.code == code, r
        for text in (r.out, r.err):
            assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]",
                                 text), r
        return r

    def test_names_of_models(self):
        r = self.plain("info", "wild.safetensors")
        assert "\nprecision    float\n" in r.out and "weights 8 bit\n" not in r.out, r
        self.plain("info", "wild.safetensors", "--json")
        r = self.plain("quantize", "wild.safetensors", *QUICK, "-o", "q", "--report", "r.html")
        assert "\x1b" not in self.read("r.html").decode()
        self.plain("info", "q")

    def test_names_of_files(self):
        os.rename(self.path("tiny.safetensors"), self.path("ti\nny\x1b[31m"))
        assert "file         ti?ny?[31m, " in self.plain("info", "ti\nny\x1b[31m").out
        told = self.plain("info", "ti\nny\x1b[31m", "--json").out
        assert json.loads(told)["file"] == "ti\nny\x1b[31m", told
        assert "n?one?[31m" in self.plain("info", "n\none\x1b[31m", code=INPUT).err
        self.plain("\x1b[31m", code=USAGE)
        self.plain("info", "--\x1b[31m", code=USAGE)
        assert "?[31m.safe" in self.plain("quantize", "ti\nny\x1b[31m", *QUICK, "-o", "\x1b[31m.safe").out

    def test_every_verb(self):
        """Names of networks, files and pictures, in whatever a verb prints."""
        shutil.copy(self.path("pictures", "0.png"), self.path("0\x1b[31m.png"))
        shutil.copy(self.path("wild.safetensors"), self.path("wild\x1b[31m"))
        for args in (["info", "-v"], ["eval", "-d", "pictures"], ["run", "--image", "0\x1b[31m.png"],
                     ["synth", "-n", "2", "--iters", "1", "-f", "-o", "s\x1b[31m"],
                     ["quantize", *QUICK, "-v", "-f", "-o", "q\x1b[31m", "-r", "r\x1b[31m"],
                     ["export", "-f", "-o", "o\x1b[31m"], ["bench", "--batch", "2"], ["bench", "--runtime"],
                     ["cost", "-a", "eyeriss-16x16", "--all"]):
            self.plain(args[0], "wild\x1b[31m", *args[1:])
            self.plain(args[0], "none\x1b[31m", *args[1:], "-q", code=INPUT)


class Results(Part):
    def test_info(self):
        text = self.works("info", "tiny.safetensors").out
        assert "vit_test" in text and "precision    float" in text
        j = json.loads(self.works("info", "tiny.safetensors", "--json").out)
        assert (j["depth"], j["heads"], j["classes"], j["quantized"]) == (2, 2, 5, 0)
        assert j["bytes"] == os.path.getsize(self.path("tiny.safetensors"))
        assert "operations" not in j
        tiny.make_cnn(self.dir)
        for file in ("tiny.safetensors", "cnn.safetensors"):
            j = json.loads(self.works("info", file, "--json", "-v").out)
            assert sum(o["macs"] for o in j["operations"]) == j["macs"] > 0, j
            assert j["operations"][-1]["output"] == [j["classes"]], j["operations"][-1]

    def test_export(self):
        tiny.make_cnn(self.dir)
        for file, name in (("tiny.safetensors", "vit_test"), ("cnn.safetensors", "resnet_test")):
            j = json.loads(self.works("export", file, "-o", "net.onnx", "-f", "--json").out)
            assert (j["name"], j["output"], j["opset"], j["ir_version"]) == (name, "net.onnx", 20, 9), j
            assert j["bytes"] == os.path.getsize(self.path("net.onnx")) and j["nodes"] > 5, j
            assert name.encode() in self.read("net.onnx")
        text = self.works("export", "tiny.safetensors", "-o", "old.onnx", "--opset", "17").out
        assert re.match(r"old.onnx: opset 17, \d+ operators, \S+ [kM]B\n$", text), text
        self.works("export", "tiny.safetensors", "-o", "mean.onnx", "--mean", "0.25,0.5,0.75")
        assert b"0.25,0.5,0.75" in self.read("mean.onnx")
        self.fails(USAGE, "--opset is 16, must be a whole number from 17 to 25", "export",
                   "tiny.safetensors", "-o", "net.onnx", "--opset", "16")
        self.fails(USAGE, "net.onnx exists already; add --force", "export", "tiny.safetensors", "-o",
                   "net.onnx")
        self.fails(USAGE, "which this run reads", "export", "tiny.safetensors", "-o", "tiny.safetensors",
                   "-f")
        self.fails(OUTPUT, "folder no does not exist", "export", "tiny.safetensors", "-o", "no/net.onnx")
        self.fails(OUTPUT, "cannot write /dev/full: No space left", "export", "tiny.safetensors", "-o",
                   "/dev/full")

    def test_layer_bits(self):
        """Layers with bits of their own and layers left float: in the file, in what info and cost tell."""
        tiny.make_cnn(self.dir)
        args = ["quantize", "tiny.safetensors", "-o", "q", "-f", "--no-tune", "--bits", "w3a4",
                "--images", "2", "--iters", "1", "--json"]
        r = self.works(*args, "--layer-bits", "blocks.*.mlp.fc1=w8a6,patch_embed.proj=w5",
                       "--skip", "head,blocks.0.attn.qk")
        text = "blocks.*.mlp.fc1=w8a6,patch_embed.proj=w5,head=float,blocks.0.attn.qk=float"
        assert json.loads(r.out)["layer_bits"] == text, r
        j = json.loads(self.works("info", "q", "-v", "--json").out)
        assert (j["weight_bits"], j["layer_bits"]) == (3, text), j
        bits = {q["name"]: q["bits"] for q in j["quantizers"]}
        assert bits["blocks.1.mlp.fc1.weight"] == 8 and bits["blocks.0.mlp.fc1.input"] == 6, bits
        assert bits["patch_embed.proj.weight"] == 5 and bits["blocks.0.mlp.fc2.weight"] == 3, bits
        assert "head.weight" not in bits and "blocks.0.attn.qk.a" not in bits, bits
        assert bits["blocks.1.attn.qk.a"] == 4, bits
        layers = {l["name"]: l["bits"] for l in j["layers"]}
        assert layers["head"] == 32 and layers["blocks.0.mlp.fc1"] == 8, layers
        assert f"layer bits   {text}" in self.works("info", "q").out
        cost = {}
        for file in ("q", "plain"):
            if file == "plain":
                self.works(*args[:3], "plain", *args[4:])
            cost[file] = json.loads(self.works("cost", file, "-a", "eyeriss-16x16", "-j").out)
        assert cost["q"]["mj_per_image"] > cost["plain"]["mj_per_image"], cost
        assert json.loads(self.works("info", "plain", "--json").out)["layer_bits"] == ""
        r = self.works(*args, "--first-last-bits", "7")
        assert json.loads(r.out)["first_last_bits"] == 7, r
        j = json.loads(self.works("info", "q", "-v", "--json").out)
        layers = {l["name"]: l["bits"] for l in j["layers"]}
        assert (layers["patch_embed.proj"], layers["head"], layers["blocks.0.mlp.fc1"]) == (7, 7, 3)
        assert "weights 3 bit (first and last 7)" in self.works("info", "q").out
        self.works("quantize", "cnn.safetensors", "-o", "q", "-f", "--no-tune", "--bits", "w3a4",
                   "--images", "2", "--real", "pictures", "--layer-bits", "*.relu=a8", "--skip", "conv1")
        assert "layer bits   *.relu=a8,conv1=float" in self.works("info", "q").out

    def test_bits_file(self):
        """The bits of all layers go out to a file and come in from it; a file of another network does not."""
        tiny.make_cnn(self.dir)
        args = ["quantize", "tiny.safetensors", "-f", "--no-images", "--images", "2", "--json", "-o"]
        self.works(*args, "q1", "--bits", "w3a5", "--layer-bits", "head=w6a7", "--skip", "blocks.0.attn.qk",
                   "--bits-file-out", "bits.json")
        layers = json.loads(open(f"{self.dir}/bits.json", encoding="utf-8").read())["layers"]
        assert layers["head"] == {"w": 6, "a": 7} and layers["blocks.0.attn.qk"] == "float", layers
        assert layers["blocks.1.attn.av"] == {"a": 5} and layers["blocks.1.mlp.fc2"] == {"w": 3, "a": 5}, layers
        self.works(*args, "q2", "--bits-file", "bits.json", "--layer-bits", "blocks.1.mlp.fc2=w8")
        bits = {q["name"]: q["bits"] for q in json.loads(self.works("info", "q2", "--json").out)["quantizers"]}
        assert bits["head.weight"] == 6 and bits["head.input"] == 7 and "blocks.0.attn.qk.a" not in bits, bits
        assert bits["blocks.1.mlp.fc2.weight"] == 8 and bits["blocks.0.mlp.fc2.weight"] == 3, bits
        self.fails(INPUT, "bits.json: resnet_test has no layer", "quantize", "cnn.safetensors", "-o", "q3", "--bits-file", "bits.json")
        self.fails(INPUT, "cannot read nothing.json", *args, "q3", "--bits-file", "nothing.json")

    def weight_bytes(self, file):
        """Weights of a file: codes, and the grids of their groups."""
        return sum(t["data_offsets"][1] - t["data_offsets"][0] for name, t in self.header(file).items()
                   if name.endswith((".codes", ".groups")))

    def test_limit_of_size(self):
        """A limit of size is kept by the file, with the grids of groups, and nearly used up."""
        args = ["quantize", "tiny.safetensors", "-f", "--no-images", "--images", "2", "--json", "-o", "q"]
        weights = sum(t["data_offsets"][1] - t["data_offsets"][0] for name, t in self.header("tiny.safetensors").items()
                      if name.endswith("weight") and "norm" not in name) // 4
        for bits in (3, 3.9):
            limit = weights * bits / 8
            choice = json.loads(self.works(*args, "--limit-size-mb", str(limit / 1e6)).out)["choice"]
            assert self.weight_bytes("q") == choice["size_bytes"], choice
            assert 0.93 * limit < choice["size_bytes"] <= limit, (choice, limit)
        self.fails(INFEASIBLE, "must be 2.", *args, "--limit-size-mb", str(weights * 2.1 / 8 / 1e6))

    def test_mean_bits(self):
        """Bits of layers are chosen: no larger than uniform ones; the same file from the bits written."""
        tiny.make_cnn(self.dir)
        args = ["quantize", "tiny.safetensors", "-f", "--no-images", "--images", "2", "-o"]
        self.works(*args, "q1", "--mean-bits", "4", "--bits-file-out", "bits.json", "-r", "page.html")
        self.works(*args, "q2", "--bits-file", "bits.json")
        self.works(*args, "plain", "--bits", "w4a4")
        assert self.read("q1") == self.read("q2")
        assert b"Bits of layers</h2>" in self.read("page.html")
        assert re.search(rb"<span>weights [0-9.]+ bits in the mean</span>", self.read("page.html"))
        sizes = {f: self.weight_bytes(f) for f in ("q1", "plain")}
        assert sizes["q1"] <= sizes["plain"], sizes
        quantize = ["quantize", "tiny.safetensors", "-o", "q3", "--no-images", "--images", "2"]
        for more, text in ((["--bits", "w4a4"], "--bits and --mean-bits exclude"),
                           (["--skip", "head"], "--skip and --mean-bits exclude"),
                           (["--mode", "parity"], "parity")):
            self.fails(USAGE, text, *quantize, "--mean-bits", "4", *more)
        with open(f"{self.dir}/two.json", "w", encoding="ascii") as f:
            json.dump({"pe_x": [4, 32], "pe_y": 8, "rf_words": 64, "dataflow": "ws", "pe_type": "fusion", "glb_kb": 64,
                       "word_bits": 8, "psum_bits": 24, "clock_mhz": 200, "dram_gb_per_s": 4, "glb_gb_per_s": 16}, f)
        accel = ["--accel", "two.json"]
        r = self.works(*args, "q4", "--limit-energy-mj", "1", "--limit-size-mb", "1", *accel, "--json")
        choice = json.loads(r.out)["choice"]
        cost = json.loads(self.works("cost", "q4", "-a", "two.json", "--config", str(choice["config"]), "-j").out)
        assert abs(cost["mj_per_image"] - choice["energy_mj"]) < 1e-6 * choice["energy_mj"], (cost, choice)
        for more, code, text in ((["--limit-energy-mj", "1e-9", *accel], INFEASIBLE, "energy_mj <= 1e-09"),
                                 (["--limit-size-mb", "1e-9"], INFEASIBLE, "the mean width of weights"),
                                 (["--limit-latency-ms", "0", *accel], USAGE, "--limit-latency-ms"),
                                 (["--limit-latency-ms", "inf", *accel], USAGE, "--limit-latency-ms"),
                                 (["--limit-latency-ms", "1"], USAGE, "--accel is missing"),
                                 (["--mean-bits", "4", *accel], USAGE, "--accel is for --limit")):
            self.fails(code, text, *quantize, *more)
        for value in ("1.9", "9", "nan", "x"):
            self.fails(USAGE, "--mean-bits", *quantize, "--mean-bits", value)
        cnn = ["quantize", "cnn.safetensors", "--images", "2", "--real", "pictures", "-o"]
        self.works(*cnn, "c1", "--mean-bits", "3", "--bits-file-out", "cnn.json")
        layers = json.loads(self.read("cnn.json"))["layers"].values()
        assert all(2 <= b <= 8 for l in layers for b in l.values()), layers
        assert len({l["w"] for l in layers if "w" in l}) > 1 and len({l["a"] for l in layers if "a" in l}) > 1, layers

    def test_explore_model(self):
        """Bits of a model and one of several accelerators: within all limits by what cost tells, with fronts."""
        with open(f"{self.dir}/four.json", "w", encoding="ascii") as f:
            json.dump({"pe_x": [4, 32], "pe_y": 8, "rf_words": [16, 64], "dataflow": "ws", "pe_type": "fusion", "glb_kb": 64,
                       "word_bits": 8, "psum_bits": 24, "clock_mhz": 200, "dram_gb_per_s": 4, "glb_gb_per_s": 16}, f)
        args = ["explore", "tiny.safetensors", "-a", "four.json", "--images", "2", "-f"]
        limits = ["--fps", "2000", "--energy-mj", "0.005", "--area-mm2", "2", "--size-mb", "0.012", "--power-mw", "1e3"]
        r = self.works(*args, *limits, "-o", "q1", "--damages", "damages", "--bits-file-out", "bits.json", "-r", "page.html", "-j")
        assert "sensitivity" in r.err, r
        j = json.loads(r.out)
        c, cost = j["choice"], json.loads(self.works("cost", "q1", "-a", "four.json", "--config", str(j["choice"]["config"]), "-j").out)
        assert abs(cost["mj_per_image"] - c["energy_mj"]) < 1e-5 * c["energy_mj"], (cost, c)
        assert c["latency_ms"] <= 0.5 and c["energy_mj"] <= 0.005 and c["area_mm2"] <= 2 and c["size_bytes"] <= 12000, c
        assert abs(c["power_mw"] - 1000 * c["energy_mj"] / c["latency_ms"]) < 1e-4 * c["power_mw"], c
        assert c["fused_attentions"] == cost["total"]["fused"] > 0, (c, cost)
        assert [f["metric"] for f in j["fronts"]] == ["latency_ms", "energy_mj", "area_mm2", "size_bytes", "power_mw"], j
        for front in j["fronts"]:
            points = front["points"]
            assert any(p["predicted"] == c["predicted"] for p in points), (front, c)
            for p, looser in zip(points, points[1:] + points[-1:]):
                assert p[front["metric"]] <= p["limit"] * 1.000001, (front, p)
                assert looser["limit"] >= p["limit"] and (not looser["proved"] or looser["predicted"] <= p["predicted"]), front
        page = self.read("page.html")
        for text in (b"<h1>Bits of layers and accelerator</h1>", b"Every limit holds by the exact costs", b"Divergence over energy",
                     b"Bits of layers</h2>"):
            assert text in page, text
        r = self.works(*args, *limits, "-o", "q2", "--damages", "damages")
        assert "sensitivity" not in r.err and "certified: " in r.out and "front of size, MB" in r.out, r
        self.works("quantize", "tiny.safetensors", "-o", "q3", "--no-images", "--images", "2", "--bits-file", "bits.json")
        assert self.read("q1") == self.read("q2") == self.read("q3")
        for more, code, text in ((["--fps", "1e8", "--energy-mj", "1"], INFEASIBLE, "latency_ms <= 1e-05 .* would do, .* times"),
                                 (["--power-mw", "1e-6", "--fps", "1"], INFEASIBLE, "power_mw <= 1e-06 .* would do, .* times; least"),
                                 (["--fps", "1", "--limit-latency-ms", "1"], USAGE, "are the same limit"),
                                 (["--fps", "1", "--rule", "none"], USAGE, "--rule is for a search space, and tiny"),
                                 (["--fps", "nan"], USAGE, "--fps"), ([], USAGE, "a limit is missing"),
                                 (["--fps", "1", "--damages", "bits.json"], INPUT, "bits.json")):
            self.fails(code, text, *args, "-o", "q4", *more)
        self.fails(USAGE, "--mean-bits is for a model, and cifar10-small is a search space", "explore", "cifar10-small",
                   "-a", "four.json", "--mean-bits", "3", "--fps", "1", "-o", "q4")
        self.fails(USAGE, "--damages is for a choice of bits", "quantize", "tiny.safetensors", "-o", "q4", "--bits", "w4a4",
                   "--damages", "damages")

    # timm's names as transformers stores them; queries, keys and values are apart
    STORED = (("cls_token", "vit.embeddings.cls_token"),
              ("pos_embed", "vit.embeddings.position_embeddings"),
              ("patch_embed.proj", "vit.embeddings.patch_embeddings.projection"),
              ("blocks.", "vit.encoder.layer."), (".norm1", ".layernorm_before"),
              (".norm2", ".layernorm_after"), (".attn.proj", ".attention.output.dense"),
              (".mlp.fc1", ".intermediate.dense"), (".mlp.fc2", ".output.dense"))

    def hugging_face(self, folder, config, preprocessor):
        """The tiny network as transformers would store it, without metadata."""
        os.makedirs(self.path(folder), exist_ok=True)
        out = {}
        for name, (shape, values) in tiny.tensors(random.Random(3)).items():
            for old, new in self.STORED:
                name = name.replace(old, new)
            if name.startswith(("norm.", "head.")):
                name = name.replace("norm.", "vit.layernorm.").replace("head.", "classifier.")
            if ".attn.qkv" not in name:
                out[name] = shape, values
                continue
            n = len(values) // 3
            for k, part in enumerate(("query", "key", "value")):
                own = name.replace(".attn.qkv", ".attention.attention." + part)
                out[own] = (shape[0] // 3, *shape[1:]), values[k * n:(k + 1) * n]
        tiny.save(self.path(folder, "model.safetensors"), out, {"format": "pt"})
        for file, content in (("config.json", config), ("preprocessor_config.json", preprocessor)):
            with open(self.path(folder, file), "w", encoding="utf-8") as f:
                json.dump(content, f)
        return folder + "/model.safetensors"

    VIT_CONFIG = {"model_type": "vit", "num_attention_heads": 2, "layer_norm_eps": 1e-6,
                  "hidden_act": "gelu", "image_size": 16, "hidden_size": 32}
    PREPROCESSOR = {"do_normalize": True, "do_resize": True, "image_mean": [0.5, 0.4, 0.3],
                    "image_std": [0.25, 0.5, 0.5], "resample": 3,
                    "size": {"height": 20, "width": 20}}

    def test_hugging_face(self):
        """Names of transformers and the configuration beside the file: the same network."""
        file = self.hugging_face("hf", self.VIT_CONFIG, self.PREPROCESSOR)
        r = self.works("info", file, "--json")
        j = json.loads(r.out)
        have = {k: (p["value"], p["source"]) for k, p in j["properties"].items()}
        assert j["naming"] == "transformers", j
        assert have["heads"] == ("2", "metadata") and have["image"][0] == "16", have
        assert have["mean"] == ("0.5,0.4,0.3", "metadata") and have["std"][0] == "0.25,0.5,0.5", have
        assert have["resize"] == ("20", "metadata") and have["interpolation"][0] == "bicubic", have
        assert "names        those of transformers" in self.works("info", file).out
        assert j["leftover"] == [] and "left over" not in self.works("info", file).out, j
        out = tiny.tensors(random.Random(3))
        tiny.save(self.path("more.safetensors"), {**out, "pre_logits.fc.weight": ((1,), [0.0]),
                                                  **{n: ((1,), [0.0]) for n in ("mask_token",)}})
        j = json.loads(self.works("info", "more.safetensors", "--json").out)
        assert sorted(j["leftover"]) == ["mask_token", "pre_logits.fc.weight"], j
        assert re.search("left over    2 tensors: .*mask_token", self.works("info", "more.safetensors").out)
        said = "--mean", "0.5,0.4,0.3", "--std", "0.25,0.5,0.5", "--resize", "20"
        tiny.save(self.path("same.safetensors"), tiny.tensors(random.Random(3)))
        bits = "--bits", "w4a4", "--no-images", "-f", "-o"
        self.works("quantize", file, *bits, "a")
        self.works("quantize", "same.safetensors", *said, *bits, "b")
        a, b = (json.loads(self.works("eval", q, "--data", "pictures", "--json").out)
                for q in ("a", "b"))
        assert a["correct"] == b["correct"] and a["n"] == b["n"], (a, b)

    def test_configuration_above(self):
        """model.onnx in a folder onnx/ is read with the configuration one folder up; its own comes first."""
        file = self.hugging_face("hf", self.VIT_CONFIG, self.PREPROCESSOR)
        os.makedirs(self.path("hf", "onnx"))
        self.works("export", "tiny.safetensors", "--mean", "0.1,0.1,0.1", "-o", "plain.onnx")
        with open(self.path("plain.onnx"), "rb") as f:  # without what this library tells
            data = f.read().replace(b"mean", b"meen").replace(b"resize", b"resise")
        for folder in ("hf/onnx", "hf/not-onnx", "onnx"):
            os.makedirs(self.path(folder), exist_ok=True)
            with open(self.path(folder, "model.onnx"), "wb") as f:
                f.write(data)
        shutil.copy(self.path("hf", "preprocessor_config.json"), self.path("preprocessor_config.json"))

        def mean(file):
            return json.loads(self.works("info", file, "--json").out)["properties"]["mean"]

        assert mean(file) == {"value": "0.5,0.4,0.3", "source": "metadata"}
        for file in ("hf/onnx/model.onnx", "onnx/model.onnx", "./onnx/model.onnx"):
            assert mean(file) == {"value": "0.5,0.4,0.3", "source": "metadata"}, file
        assert mean("hf/not-onnx/model.onnx")["source"] == "assumed"
        with open(self.path("hf", "onnx", "preprocessor_config.json"), "w", encoding="utf-8") as f:
            json.dump({**self.PREPROCESSOR, "image_mean": [0.25, 0.25, 0.25]}, f)
        assert mean("hf/onnx/model.onnx")["value"] == "0.25,0.25,0.25"

    def test_swin(self):
        """Stages and windows have a line of their own."""
        tiny.make_swin(self.dir)
        text = self.works("info", "swin.safetensors").out
        assert "blocks       4 in 2 stages, the first of width 32, 2 heads, MLP 64; windows of 4, patches of 4" in text
        j = json.loads(self.works("info", "swin.safetensors", "--json").out)
        assert (j["stages"], j["window"], j["depth"]) == (2, 4, 4), j
        for size, shown in (("32", True), ("36", False)):  # of one window, of several
            r = self.works("quantize", "swin.safetensors", *QUICK, "--image-size", size, "-o", "q", "-f", "--report",
                           "r.html")
            with open(self.path("r.html"), encoding="utf-8") as f:
                assert ("Attention maps" in f.read()) == shown, size
            assert ("the report shows no attention" in r.err) != shown, r.err

    def test_image_size(self):
        """Another side: positions are interpolated, and the result is a network of that side."""
        image = "--image-size", "32"
        j = json.loads(self.works("info", "tiny.safetensors", *image, "--json").out)
        p = {k: (v["value"], v["source"]) for k, v in j["properties"].items()}
        assert j["image"] == 32 and p["image"] == ("32", "option") and p["grid"][0] == "8 x 8", p
        self.works("quantize", "tiny.safetensors", *image, "--bits", "w8a8", "--no-images", "-f",
                   "-o", "large")
        assert json.loads(self.works("info", "large", "--json").out)["image"] == 32
        data = "--data", "pictures", "--resize", "32", "--json"
        accuracy = [json.loads(self.works("eval", *args, *data).out)["correct"]
                    for args in (("tiny.safetensors", *image), ("large",))]
        assert abs(accuracy[0] - accuracy[1]) <= 8, accuracy
        tiny.make_cnn(self.dir)
        for error, *args in (("image_size is 30, must be a multiple of the patch, 4",
                              "tiny.safetensors", "--image-size", "30"),
                             ("image_size is for vision transformers", "cnn.safetensors", *image),
                             ("image_size is for float networks", "large", "--image-size", "16")):
            self.fails(USAGE, error, "info", *args)

    def test_oblong(self):
        """Height and width: every verb takes such an input, and its files keep it."""
        image = "--image-size", "12x20"
        self.works("synth", "tiny.safetensors", *image, "--images", "2", "--iters", "2", "-o", "set")
        self.works("quantize", "tiny.safetensors", *image, "--bits", "w4a8", "--synth", "set", "--no-tune",
                   "-o", "wide")
        self.works("export", "tiny.safetensors", *image, "-o", "wide.onnx")
        for args in (("tiny.safetensors", *image), ("wide",), ("wide.onnx",)):
            j = json.loads(self.works("info", *args, "--json").out)
            assert (j["image"], j["image_height"], j["image_width"]) == (20, 12, 20), j
            assert j["properties"]["image"]["value"] == "12x20", j
            assert "3 x 12 x 20" in self.works("info", *args).out
            self.works("cost", *args, "-a", "eyeriss-16x16")
            self.works("eval", *args, "--data", "pictures", "--resize", "20")
            if len(args) == 1:  # run has no --image-size
                self.works("run", *args, "--image", "pictures/0.png", "--resize", "16x24")
        for text in ("12x", "x12", "12x20x3", "12 20"):
            self.fails(USAGE, "or two as height x width: 224x160", "info", "tiny.safetensors", "--image-size", text)
        self.fails(USAGE, "resize is 12x19, must be at least the input of 12x20", "run", "wide", "--image",
                   "pictures/0.png", "--resize", "12x19")

    def test_pictures_of_a_set(self):
        """Without the exact images a set is read from its pictures, and that is said."""
        self.works("synth", "tiny.safetensors", "--images", "2", "--iters", "2", "-o", "set")
        args = ("quantize", "tiny.safetensors", "--bits", "w4a4", "--synth", "set", "--no-tune", "-o", "q")
        assert "images.safetensors" not in self.works(*args).err
        assert "\ngroups       of " in self.works("info", "q").out
        os.remove(self.path("set", "images.safetensors"))
        assert "set: there is no images.safetensors" in self.works(*args, "--force").err

    def test_configurations(self):
        """Those of timm, and what is wrong in one."""
        os.makedirs(self.path("timm"))
        tiny.save(self.path("timm", "model.safetensors"), tiny.tensors(random.Random(3)), {})
        with open(self.path("timm", "config.json"), "w", encoding="utf-8") as f:
            json.dump({"architecture": "vit_test", "pretrained_cfg": {
                "mean": [0.1, 0.2, 0.3], "std": [1, 1, 1], "crop_pct": 0.8, "input_size": [3, 16, 16],
                "interpolation": "bilinear"}}, f)
        j = json.loads(self.works("info", "timm/model.safetensors", "--heads", "2", "--json").out)
        have = {k: p["value"] for k, p in j["properties"].items()}
        assert (j["name"], j["naming"]) == ("vit_test", "timm"), j
        assert have["mean"] == "0.1,0.2,0.3" and have["resize"] == "20", have
        with open(self.path("timm", "config.json"), "w", encoding="utf-8") as f:
            json.dump({"architecture": "vit_test", "num_classes": 7}, f)
        assert "says 7 classes, the tensors have 5" in self.works("info", "timm/model.safetensors", "--heads", "2").err
        for change, error in (({"hidden_act": "mish"}, 'activation is "mish", must be gelu'),
                              ({"image_size": [16, 24]}, "image is 16x24, must be 16 or have as many patches"),
                              ({"layer_norm_eps": "small"}, "config.json.*layer_norm_eps"),
                              ({"num_attention_heads": 0}, 'heads is "0", must be'),
                              ({"hidden_size": 96}, "says hidden_size 96, the tensors have width of 32"),
                              ({"num_hidden_layers": 12}, "says num_hidden_layers 12, the tensors have depth"),
                              ({"patch_size": 8}, "says patch_size 8, the tensors have patches of 4"),
                              ({"window_size": 7}, "says window_size 7, the tensors have windows of 0")):
            file = self.hugging_face("bad", {**self.VIT_CONFIG, **change}, self.PREPROCESSOR)
            self.fails(INPUT, error, "info", file)
        for change, error in (({"image_mean": [1]}, 'preprocessor_config.json: "image_mean" has 1 entries, must have 3'),
                              ({"resample": 1}, 'interpolation is "lanczos", must be bilinear'),
                              ({"size": {"depth": 3}}, "preprocessor_config.json.*height")):
            file = self.hugging_face("bad", self.VIT_CONFIG, {**self.PREPROCESSOR, **change})
            self.fails(INPUT, error, "info", file)
        with open(self.path("bad", "config.json"), "w", encoding="utf-8") as f:
            f.write("{")
        self.fails(INPUT, "bad/config.json", "info", "bad/model.safetensors")

    NAMES = ["tench, Tinca", "goldfish", "crane", "crane", "ray"]

    def test_class_names(self):
        """Those of a configuration: run prints them, quantized files keep them, and labels.csv may
        have them."""
        own = {**self.VIT_CONFIG, "id2label": {str(i): n for i, n in enumerate(self.NAMES)}}
        file = self.hugging_face("named", own, self.PREPROCESSOR)
        assert json.loads(self.works("info", file, "-j").out)["labels"] == self.NAMES
        assert "labels       tench, Tinca; goldfish; crane; ...\n" in self.works("info", file).out
        self.works("quantize", file, "--bits", "w4a4", "--no-images", "-f", "-o", "q")
        for net in (file, "q"):
            j = json.loads(self.works("run", net, "--image", "pictures/0.png", "-j").out)
            assert all(c["label"] == self.NAMES[c["class"]] for c in j["images"][0]["classes"]), j
        os.makedirs(self.path("words"))
        for i in range(5):
            shutil.copy(self.path("pictures", f"{i}.png"), self.path("words"))
        def rows(*labels):
            with open(self.path("words", "labels.csv"), "w", encoding="utf-8") as f:
                f.write("file,label\n" + "".join(f"{i}.png,{w}\n" for i, w in enumerate(labels)))
            return "words"
        def correct(net, *args):
            j = json.loads(self.works("eval", net, *args, "-j").out)
            return j["n"], j["correct"], j["correct5"]
        def best(net, *words):
            """A word for the class that the network sees in each picture."""
            images = json.loads(self.works("run", net, "--image", *[f"words/{i}.png" for i in range(5)],
                                           "-j").out)["images"]
            return [words[i["classes"][0]["class"]] for i in images]
        assert correct("q", "-d", rows(*best("q", "tench", "goldfish", 2, 3, "ray")))[:2] == (5, 5)
        assert correct("q", "-d", rows(*best("q", "goldfish", "Tinca", 0, 0, 0)))[:2] == (5, 0)
        self.fails(INPUT, 'line 4: the label is "crane", which may be class 2 or class 3',
                   "eval", "q", "-d", rows("Tinca", 1, "crane"))
        self.fails(INPUT, 'line 2: the label is "shark", must be a whole number .*or the name of a class',
                   "eval", "q", "-d", rows("shark"))
        self.fails(INPUT, 'line 2: the label is "goldfish".*give their names by --labels FILE',
                   "eval", "tiny.safetensors", "-d", rows("goldfish"))
        with open(self.path("names.json"), "w", encoding="utf-8") as f:
            json.dump({str(i): [f"n0000000{i}", n] for i, n in enumerate(self.NAMES)}, f)
        told = rows(*best("q", "n00000000", "goldfish", "n00000002", "n00000003", "ray"))
        assert correct("q", "--labels", "names.json", "-d", told)[:2] == (5, 5)

    def test_class_names_of_configurations(self):
        """Placeholders are no names, those of another network are left out, timm's have a list."""
        for names, warns in (({str(i): f"LABEL_{i}" for i in range(5)}, False),
                             ({"0": "a", "1": "b"}, True)):
            file = self.hugging_face("named", {**self.VIT_CONFIG, "id2label": names}, self.PREPROCESSOR)
            r = self.works("info", file, "-j")
            assert "labels" not in json.loads(r.out), r.out
            assert ("id2label has 2 names, the network has 5 classes" in r.err) == warns, r.err
        file = self.hugging_face("named", {**self.VIT_CONFIG, "id2label": {"0": 1}}, self.PREPROCESSOR)
        self.fails(INPUT, "config.json.*must be a string", "info", file)
        with open(self.path("named", "config.json"), "w", encoding="utf-8") as f:
            json.dump({"architecture": "vit_test", "label_names": ["n1", "n2", "n3", "n4", "n5"],
                       "label_descriptions": {"n1": "tench", "n4": "ray"},
                       "pretrained_cfg": {"mean": [0.1, 0.2, 0.3]}}, f)
        j = json.loads(self.works("info", file, "--heads", "2", "-j").out)
        assert j["labels"] == ["tench", "n2", "n3", "ray", "n5"], j

    def test_layer_bits_refused(self):
        def refuse(pattern, *args):
            self.fails(USAGE, pattern, "quantize", "tiny.safetensors", "-o", "q", "--bits", "w4a4",
                       "--no-tune", "--images", "2", "--iters", "1", *args)
        for text in ("head", "head=", "head=w1", "head=w9a4", "head=w4a4x", "=w4", "head=w4,", ""):
            refuse("--layer-bits", "--layer-bits", text)
        refuse("--skip is \"head,\", must have no empty name", "--skip", "head,")
        refuse("similar names: head", "--layer-bits", "haed=w8a8")
        refuse("similar names: blocks.0.mlp.fc1", "--skip", "mlp.fc1")
        refuse("takes act_bits alone", "--layer-bits", "blocks.0.attn.qk=w4a4")
        assert "q" not in self.names()

    def test_shards(self):
        """A model in two files with an index is that model; a missing one is named, with the cure."""
        tiny.make_shards(self.dir)
        told = [json.loads(self.works("info", f, "-j", "-v").out)
                for f in ("tiny.safetensors", "tiny.safetensors.index.json")]
        parts = sum(os.path.getsize(self.path(f"tiny-{k}.safetensors")) for k in range(2))
        assert [j["bytes"] for j in told] == [os.path.getsize(self.path("tiny.safetensors")), parts], told
        for j in told:
            del j["file"], j["bytes"]
        assert told[0] == told[1], told
        os.remove(self.path("tiny-1.safetensors"))
        self.fails(INPUT, r"tiny-1.safetensors: No such file.*shard of tensor .* fetch it",
                   "info", "tiny.safetensors.index.json")
        os.remove(self.path("tiny-0.safetensors"))
        os.remove(self.path("tiny.safetensors.index.json"))

    def test_layers(self):
        """What --verbose tells is what lies in the files, whatever the family and the widths."""
        tiny.make_cnn(self.dir)
        for model, args in (("tiny.safetensors", []), ("tiny.safetensors", ["--mode", "parity"]),
                            ("cnn.safetensors", ["--real", "pictures", "--first-last-bits", "7"])):
            r = self.works("quantize", model, "-o", "q", "-f", "-v", "--json", "--no-tune",
                           "--bits", "w3a4", "--images", "4", *args)
            layers = json.loads(r.out)["layers"]
            for file in (model, "q"):
                told = json.loads(self.works("info", file, "-v", "--json").out)["layers"]
                assert file == model or told == layers, (told, layers)
                have = {}
                header = self.header(file)
                for name, t in header.items():
                    part = re.sub(r"\.(codes|groups|scale|zero_point)$", "", name)
                    if name.endswith((".shape", ".range", ".bits")) or (
                            part != name and part + ".codes" not in header):
                        continue # no values, or of an activation
                    layer = part.rpartition(".")[0] or part
                    begin, end = t.get("data_offsets", (0, 0))
                    have[layer] = have.get(layer, 0) + end - begin
                for layer in told:
                    assert have[layer["name"]] == layer["bytes"], (layer, have)
                    if file == model:
                        assert layer["bytes"] == layer["float_bytes"] == 4 * layer["values"]
                assert sum(v["values"] for v in told) == json.loads(
                    self.works("info", model, "--json").out)["parameters"] + (
                    56 if model == "cnn.safetensors" else 0), told  # running statistics
            bits = {v["name"]: v["bits"] for v in layers}
            own = 7 if model[0] == "c" else 3 if args else 8 # scales of rows: first and last
            assert set(bits.values()) == {3, own, 32}, bits
        for args in (["info", "q"], ["quantize", "tiny.safetensors", "-o", "q", "-f", *QUICK]):
            lines = self.works(*args, "-v").out.splitlines()
            at = next(i for i, text in enumerate(lines) if text.startswith("layer "))
            assert lines[-1].startswith("total ") and max(map(len, lines[at:])) <= 80, lines
        assert "layer " not in self.works("info", "q").out

    def test_no_images(self):
        """A transformer in one call, without synthesis and tuning; the same bits each time."""
        r = self.works("quantize", "tiny.safetensors", "-o", "q", "-f", "--bits", "w4a4",
                       "--no-images", "--json", "--report", "r.html", "--data", "pictures")
        j = json.loads(r.out)
        assert j["act_scale"] == "row" and j["first_last_bits"] == 8 and j["images"] == 128, j
        assert j["act_group"] == 0, j
        first = self.read("q")
        self.works("quantize", "tiny.safetensors", "-o", "q", "-f", "--bits", "w4a4",
                   "--no-images", "-t", "1")
        assert self.read("q") == first
        self.works("quantize", "tiny.safetensors", "-o", "q", "-f", "--bits", "w4a4",
                   "--no-images", "--seed", "1", "-n", "16")
        assert self.read("q") != first
        self.works("quantize", "tiny.safetensors", "-o", "q", "-f", "--bits", "w4a4",
                   "--no-images", "--act-group", "16")
        assert self.read("q") != first
        assert json.loads(self.works("info", "q", "--json").out)["act_group"] == 16
        assert json.loads(self.works("info", "q", "--json").out)["weight_group"] == 16
        page = self.read("r.html")
        assert b"none; weights rounded on 128 of dead leaves" in page
        assert re.search(r", report [\d.]+ s\) and ", r.err), r.err
        for text in (b"Dead leaves, drawn without the network", b"Error of each layer",
                     b"Residual stream"):
            assert text in page, text
        gains = page[page.index(b"<h2>What each part gains"):].decode().split("</table>")[0]
        parts = re.findall(r"(rotation|ridge correction|search of scales|GPTQ|bias correction)<",
                           gains)
        assert parts == ["rotation", "ridge correction", "search of scales", "GPTQ"], gains
        kinds = {q["kind"] for q in json.loads(self.works("info", "q", "--json").out)["quantizers"]}
        assert kinds == {"weight, per channel", "activation, per row at run time",
                         "activation, per group of a row at run time",
                         "activation, per column at run time"}, kinds
        assert "scales found at run time" in self.works("info", "q").out
        for wrong in (("--real", "pictures"), ("--steps", "9"), ("--act-scale", "tensor"), ("--batch", "4"),
                      ("--images", "65537"),
                      ("--mode", "parity"), ("--diagnose", "4")):
            self.fails(USAGE, "--no-images", "quantize", "tiny.safetensors", "-o", "q2", "--bits",
                       "w4a4", "--no-images", *wrong)
        self.fails(USAGE, "--act-scale row is for mode improved", "quantize", "tiny.safetensors",
                   "-o", "q2", "--bits", "w4a4", "--mode", "parity", "--act-scale", "row")
        tiny.make_cnn(self.dir)
        self.fails(USAGE, "--no-images is not for --method ait", "quantize", "cnn.safetensors",
                   "-o", "q2", "--bits", "w4a4", "--no-images")

    def test_eval(self):
        r = self.works("eval", "tiny.safetensors", "--data", "pictures", "--json")
        j = json.loads(r.out)
        assert j["n"] == 100 and j["top1"] == j["correct"] / 100 and j["top5"] == 1
        assert r.out.startswith('{"n":100,"correct":') and r.out.count("\n") == 1
        assert re.search(r"100 images, about .* and .* of memory", r.err)
        assert "eval 50 %" in r.err and "left" in r.err
        text = self.works("eval", "tiny.safetensors", "-d", "pictures", "-q")
        assert f"({j['correct']} of 100)" in text.out and text.err == ""
        few = json.loads(self.works("eval", "tiny.safetensors", "-d", "pictures", "-n", "13",
                                    "-j").out)
        assert few["n"] == 13

    def test_eval_simulated(self):
        """On codes or on floats that stand for them: the same classes, and one token for each."""
        self.works("quantize", "tiny.safetensors", "-b", "w4a4", "--no-images", "-o", "q")
        args = ("eval", "q", "-d", "pictures", "-j")
        run, simulated = (json.loads(self.works(*args, *more).out) for more in ((), ("--simulate",)))
        assert (run["simulated"], simulated["simulated"]) == (0, 1)
        assert abs(run["correct"] - simulated["correct"]) <= 1, (run, simulated)
        self.fails(USAGE, "--simulate", "run", "q", "--image", "pictures/0.png", "--simulate")

    def test_run(self):
        """The classes of all pictures are right as often as eval says."""
        files = [f"pictures/{i}.png" for i in range(100)]
        names = ["a cat", "a dog", "house\x1b[2J", "d", "e"]
        with open(self.path("names.txt"), "w") as f:
            f.write("\n".join(names) + "\n")
        j = json.loads(self.works("run", "tiny.safetensors", "--image", *files, "--json").out)
        assert j["file"] == "tiny.safetensors" and [i["file"] for i in j["images"]] == files, j
        for image in j["images"]:
            p = [c["probability"] for c in image["classes"]]
            assert sorted(c["class"] for c in image["classes"]) == [0, 1, 2, 3, 4], image
            assert p == sorted(p, reverse=True) and abs(sum(p) - 1) < 1e-4, image
        right = sum(v["classes"][0]["class"] == i % 5 for i, v in enumerate(j["images"]))
        assert right == json.loads(self.works("eval", "tiny.safetensors", "-d", "pictures",
                                              "-j").out)["correct"]
        one = json.loads(self.works("run", "tiny.safetensors", "--image", files[3], "--labels",
                                    "names.txt", "-t", "1", "-j").out)["images"][0]["classes"]
        assert [(c["class"], c["probability"]) for c in one] == \
            [(c["class"], c["probability"]) for c in j["images"][3]["classes"]]
        assert all(c["label"] == names[c["class"]] for c in one), one
        text = self.works("run", "tiny.safetensors", "--image", files[3], files[4], "--labels",
                          "names.txt").out.splitlines()
        assert len(text) == 12 and text[0] == files[3] and text[6] == files[4], text
        assert re.match(r" +\d+\.\d %  +\d", text[1]) and "\x1b" not in "".join(text), text
        assert any("house?[2J" in line for line in text), text
        tiny.png(self.path("large.png"), 20, lambda x, y: (x, y, 0))
        err = self.works("run", "tiny.safetensors", "--image", "large.png", files[0]).err
        assert re.search(r"warning: large\.png: .*20 x 20 .*only the middle 16 x 16 count", err), err
        assert err.count("warning") == 1, err
        assert self.works("run", "tiny.safetensors", "--image", "large.png", "--resize", "16").err == ""

    def test_run_refused(self):
        with open(self.path("few.txt"), "w") as f:
            f.write("one\ntwo")
        with open(self.path("broken.png"), "wb") as f:
            f.write(self.read("pictures", "0.png")[:60])
        good = ("run", "tiny.safetensors", "--image", "pictures/0.png")
        self.fails(INPUT, r"few\.txt has 2 lines, must have 5", *good, "--labels", "few.txt")
        self.fails(INPUT, r"none\.txt: No such file", *good, "--labels", "none.txt")
        self.fails(INPUT, r"broken\.png", *good, "broken.png", "-j")
        self.fails(INPUT, r"none\.png", *good, "none.png")
        tiny.png(self.path("small.png"), 15, lambda x, y: (x, y, 0))
        self.fails(INPUT, r"small\.png: the picture is 15 x 15 pixels",
                   "run", "tiny.safetensors", "--image", "small.png", "--resize", "0")
        self.fails(INPUT, "none", "run", "none.safetensors", "--image", "pictures/0.png")

    def test_bench_runtime(self):
        self.works("quantize", "tiny.safetensors", "-b", "w4a4", "--no-images", "-o", "q")
        for option in (("--bits", "w3a3"), ("--mode", "parity"), ("--rounding", "nearest")):
            self.fails(USAGE, f"{option[0]} is for the step of tuning, and --runtime", "bench", "q",
                       "--runtime", *option)
            self.fails(USAGE, "q is quantized, and --bits, --mode and --rounding", "bench", "q", *option)
        for net, integer in (("tiny.safetensors", 0), ("q", 1)):
            j = json.loads(self.works("bench", net, "--runtime", "--batch", "2", "-t", "1", "-j").out)
            assert j["batch"] == 2 and j["gops"] > 0 and j["first_seconds"] >= j["seconds"] > 0, j
            assert (j["integer_macs"] > j["macs"] / 2) == integer and j["shared_bytes"] > 0, j
            assert {"linear", "attention", "layernorm"} <= {p["name"] for p in j["parts"]}, j
            assert sum(p["macs"] for p in j["parts"]) == j["macs"], j
            assert 0 < sum(p["seconds"] for p in j["parts"]) <= j["seconds"] * 1.001, j
            text = self.works("bench", net, "--runtime", "-t", "1").out
            assert "img/s" in text and "shared by clones" in text and "\n  attention" in text, text
            macs = sum(p["macs"] for p in j["parts"] if p["name"] == "linear" and p["integer"] == integer)
            text = self.works("bench", net, "--runtime", "--batch", "512", "-t", "2").out
            kind = "codes" if integer else "floats"
            ms, gops = re.search(rf"  linear +{kind} .* ([\d.]+) ms +([\d.]+) GOPS a thread", text).groups()
            assert 0.9 < 2 * float(ms) * float(gops) * 1e6 / (2 * macs * 512) < 1.1, (macs, text)

    def test_logits_that_are_not_finite(self):
        """Finite weights, logits that overflow: no image is right, by no rank, and it is said."""
        weights = tiny.tensors(random.Random(7))
        for name in ("norm2", "mlp.fc1", "mlp.fc2"):
            name = f"blocks.0.{name}.weight"
            shape, values = weights[name]
            weights[name] = (shape, [max(-9e14, min(9e14, v * 9e15)) for v in values])
        tiny.save(self.path("huge.safetensors"), weights)
        r = self.works("eval", "huge.safetensors", "-d", "pictures", "-j", "-q")
        j = json.loads(r.out)
        assert (j["n"], j["correct"], j["correct5"], j["not_finite"]) == (100, 0, 0, 100), j
        assert "warning: vit_test: 100 of 100 images have logits that are NaN" in r.err, r
        assert r.err.count("\n") == 1, r
        self.fails(FAILED, r"pictures/0\.png: the network's logits are not finite", "run",
                   "huge.safetensors", "--image", "pictures/0.png", "-j")
        text = self.works("eval", "huge.safetensors", "-d", "pictures", "-q")
        assert "top-1 0.0000 (0 of 100), top-5 0.0000" in text.out, text
        assert json.loads(self.works("eval", "tiny.safetensors", "-d", "pictures",
                                     "-j").out)["not_finite"] == 0

    def test_images_as_published(self):
        """Parity: other images, the same from synth as from quantize; iterations as published."""
        few = ("-n", "4", "--batch", "4", "--iters", "3")
        sets = {}
        for name, more in (("a", ()), ("b", ("--mode", "parity")), ("c", ("--mode", "improved"))):
            j = json.loads(self.works("synth", "tiny.safetensors", "-o", name, "-j", *few, *more).out)
            assert (j["mode"], j["iterations"]) == ("parity" if name == "b" else "improved", 3), j
            sets[name] = self.read(name, "images.safetensors")
        assert sets["a"] == sets["c"] != sets["b"]
        tail = ("--bits", "w4a4", "--no-tune", "--mode", "parity")
        self.works("quantize", "tiny.safetensors", "-o", "made.safetensors", *few, *tail)
        self.works("quantize", "tiny.safetensors", "-o", "read.safetensors", "--synth", "b", *tail)
        assert self.read("made.safetensors") == self.read("read.safetensors")
        for kind, iters in (("attention", 2000), ("prior", 2000), ("pse", 1000)):
            j = json.loads(self.works("synth", "tiny.safetensors", "-o", kind, "-j", "-n", "1",
                                      "--mode", "parity", "--kind", kind).out)
            assert j["iterations"] == iters, j

    def unsaid(self, name, **metadata):
        tiny.save(self.path(name), tiny.tensors(random.Random(7)), {"format": "pt", **metadata})

    def test_sources(self):
        self.unsaid("m", architecture="vit_test", heads="2")
        r = self.works("info", "m", "--json", "-q")
        lines = r.err.splitlines()
        assert len(lines) == 1 and "warning" in lines[0] and "--heads" not in lines[0], r
        for part in ("assumed: --image 16", "activation gelu", "--mean 0.5,0.5,0.5", "--resize 16",
                     "--interpolation bicubic", "--arch NAME"):
            assert part in lines[0], r
        have = json.loads(r.out)["properties"]
        assert have["heads"] == {"value": "2", "source": "metadata"}, have
        assert have["patch"] == {"value": "4", "source": "tensors"}, have
        assert have["grid"] == {"value": "4 x 4", "source": "assumed"}, have
        text = self.works("info", "m", "--heads", "4", "--mean", "0,0,0", "--std", "1,1,1").out
        assert re.search(r"heads +4 +option\n", text) and re.search(r"mean +0,0,0 +option", text)
        assert "mean 0 0 0, std 1 1 1" in text and re.search("resize +16 +assumed", text), text
        # Each verb warns of what decides its result.
        for verb, has, hasnot in ((["eval", "-d", "pictures"], "--resize", "--heads"),
                                  (["synth", "-n", "2", "--iters", "1", "-o", "s"], "--mean", "--resize"),
                                  (["cost", "-a", "eyeriss-16x16"], "--image", "--mean")):
            err = self.works(verb[0], "m", *verb[1:], "-q").err
            assert err.count("warning") == 1 and has in err and hasnot not in err, err

    def test_names_that_do_not_fit(self):
        self.unsaid("m", heads="2")
        self.fails(USAGE, 'm: the option arch is "vit_base_patch16_224" .patch: 16., but the tensors are those '
                   'of a 2-block vision transformer .patch: 4.; give the network.s own name or none', "info", "m",
                   "--arch", "vit_base_patch16_224")
        unfit = 'is "vit_base_patch16_224", which does not fit the tensors, those of a 2-block vision'
        self.unsaid("m", heads="2", architecture="vit_base_patch16_224")
        r = self.works("info", "m", "-q")
        assert f"metadata architecture {unfit}" in r.err and "by --arch NAME" in r.err, r
        assert "m does not tell its architecture; assumed: --image 16" in r.err, r
        assert "network      vit, vision" in r.out and "vit_base" not in r.out, r
        self.unsaid("m", heads="2", architecture="vit_of_mine")
        r = self.works("info", "m", "-q")
        assert "m: name vit_of_mine does not tell everything, assumed: --image 16" in r.err, r
        assert "fit" not in r.err and "network      vit_of_mine, vision" in r.out, r

    def test_broken_metadata(self):
        for value in ("abc", "2.5", "0"):
            self.unsaid("m", heads=value)
            self.fails(INPUT, f'heads is "{value}", must be a whole number from 1 to', "info", "m")

    def test_what_cannot_be_told(self):
        self.unsaid("m")
        self.fails(INPUT, "the tensors do not tell the number of attention heads .* --heads N", "info", "m")
        self.fails(INPUT, "tensors and the name vit_of_mine do not tell .* patches of 4",
                   "info", "m", "--arch", "vit_of_mine")
        self.unsaid("m", heads="2")
        self.fails(INPUT, "image is 36, must be 16 or have as many patches of 4 pixels, 16", "info", "m",
                   "--image", "36")
        self.fails(USAGE, "stem is not for vit", "info", "m", "--stem", "stride1")
        self.fails(USAGE, "resize is 5, must be at least the input of 16; give --resize 16 or more",
                   "eval", "m", "-d", "pictures", "--resize", "5")
        self.fails(USAGE, "--resize and --crop exclude each other", "info", "m", "--resize", "16", "--crop",
                   "1")
        for name, value in (("--mean", "0.5"), ("--mean", "0.5,0.5,x"), ("--std", "0.5,0.5,0"),
                            ("--mean", "123.675,116.28,103.53"), ("--std", "58.4,57.1,57.4"),
                            ("--std", "1,1,1,1"), ("--crop", "0"), ("--crop", "1.5"),
                            ("--resize", "-1"), ("--interpolation", "nearest"), ("--stem", "pool")):
            self.fails(USAGE, f"{name} is .*must be", "info", "m", f"{name}={value}")
        self.unsaid("m", heads="2", mean="123.675,116.28,103.53")
        self.fails(INPUT, 'mean is "123.675,.*from -10 to 10 for pixels of 0..1', "info", "m")

    def test_what_was_said_is_kept(self):
        self.unsaid("m")
        said = ("--heads", "4", "--mean", "0.4,0.5,0.6", "--std", "0.2,0.3,0.4", "--crop", "0.8",
                "--interpolation", "bilinear")
        self.works("quantize", "m", *said, "-o", "q", "--no-tune", *QUICK[:2], "--iters", "2", "--bits",
                   "w4a4")
        r = self.works("info", "q", "-j")
        assert r.err == "", r
        have = json.loads(r.out)["properties"]
        for name, value in (("heads", "4"), ("mean", "0.4,0.5,0.6"), ("std", "0.2,0.3,0.4"),
                            ("resize", "20"), ("crop", "16"), ("interpolation", "bilinear")):
            source = "tensors" if name == "patch" else "metadata"
            assert have[name] == {"value": value, "source": source}, have

    def test_quantize_and_eval(self):
        r = self.works("quantize", "tiny.safetensors", "-o", "q.safetensors", *QUICK, "--data",
                       "pictures", "--report", "r.html", "--json")
        assert r.out.count("\n") == 1
        j = json.loads(r.out)
        assert j["bytes"] == os.path.getsize(self.path("q.safetensors")) < j["model_bytes"] / 2
        assert re.search(r"about .*synthesis .*tuning .* of memory with (1 thread|\d+ threads)", r.err)
        e = json.loads(self.works("eval", "q.safetensors", "-d", "pictures", "-j").out)
        assert (e["correct"], e["top5"]) == (j["correct"], j["top5"])
        assert (e["weight_bits"], e["act_bits"]) == (4, 4)
        i = json.loads(self.works("info", "q.safetensors", "-j").out)
        assert i["quantized"] == 1 and len(i["quantizers"]) > 20
        whole = json.loads(self.works("info", "tiny.safetensors", "-j").out)["macs"]
        assert i["macs"] == whole
        page = self.read("r.html").decode()
        for heading in ("Synthetic images", "Attention maps", "Inter-head similarity", "Curves",
                        "Error of each layer", "Quantizers", "Provenance"):
            assert f"<h2>{heading}</h2>" in page, heading
        assert page.count("data:image/png;base64,") == 7 and "src=\"http" not in page
        self.check_frame(page)
        assert re.search(r"<div class=\"verdict\"><p>The (float|quantized) network .*</p>"
                         r"<p>(blocks|logits)\S* has the largest error .*</p></div>", page), page
        assert self.names() == ["pictures", "q.safetensors", "r.html", "tiny.safetensors"]

    def test_verdict(self):
        """In words, and of the numbers beside it: of a network that knows its pictures."""
        def report(bits, *data):
            self.works("quantize", "tiny.safetensors", "-o", "q", "-r", "r.html", "-f", "--no-tune",
                       "--bits", bits, "--images", "8", "--iters", "2", *data)
            text = self.read("r.html").decode()
            return re.search(r"<div class=\"verdict\">(.*?)</div>", text)[1].replace("\xa0", " ")
        assert "Accuracy was not measured; --data PATH" in report("w8a8")
        assert "float network itself is no better than guessing" in report("w8a8", "-d", "pictures")
        self.relabel(40)
        said = report("w8a8", "-d", "pictures")
        kept = re.search(r"keeps ([\d.]+) % of .*: ([\d.]+) % right in place of 100.00 %", said)
        assert kept and abs(float(kept[1]) - float(kept[2])) < 0.06 and float(kept[1]) > 80, said
        said = report("w2a2", "-d", "pictures")
        assert re.search("no better than guessing|keeps", said), said
        assert "To try: tuning, which --no-tune left out; " in said and "wider weights" in said, said

    def relabel(self, n):
        """Leaves n pictures, each with the label that the float network sees."""
        rows = []
        for i in range(n):
            hit = None
            for label in range(tiny.CLASSES):
                with open(self.path("pictures", "labels.csv"), "w", encoding="ascii") as f:
                    f.write(f"file,label\n{i}.png,{label}\n")
                if json.loads(self.works("eval", "tiny.safetensors", "-d", "pictures", "-j",
                                         "-q", "-t", "1").out)["correct"]:
                    hit = label
                    break
            rows.append(f"{i}.png,{hit}\n")
        with open(self.path("pictures", "labels.csv"), "w", encoding="ascii") as f:
            f.write("file,label\n" + "".join(rows))

    def check_frame(self, page):
        """Contents that lead somewhere, and tables that a narrow page scrolls or wraps."""
        links = re.findall("<li><a href=\"#(s\\d+)\">([^<]*)</a></li>", page)
        assert links == re.findall("<a id=\"(s\\d+)\"></a><h2>([^<]*)</h2>", page) and links, links
        assert len(links) == page.count("<h2>")
        tables = page.count("<table")
        assert tables == len(re.findall("scroll\">(?:<table)|<table class=\"key\">", page)), tables

    def test_diagnose(self):
        args = ["quantize", "tiny.safetensors", *QUICK, "--lr", "0.01"]
        self.works(*args, "-o", "plain")
        r = self.works(*args, "-o", "q", "--data", "pictures", "--report", "r.html", "--json",
                       "--diagnose", "6")
        assert self.read("q") == self.read("plain")  # it only looks
        assert "tune 100 %" in r.err and "diagnose 100 %" in r.err and ", diagnosis " in r.err
        d = json.loads(r.out)["diagnosis"]
        assert [(v["of"], v["n"]) for v in d["views"]] == [("synthetic", 6), ("real", 6)]
        for v in d["views"]:
            assert -1 <= v["cosine"] <= 1 and 0 <= v["agree"] <= 6 and 0 <= v["correct"] <= 6
            for name in ("kl", "kl_plain", "ce"):
                assert v[name]["loss"] > 0 and v[name]["trace_error"] > 0, v
                assert v[name]["trace_within_error"] == (abs(v[name]["trace"]) <= v[name]["trace_error"]), v
                assert v[name]["eigenvalue"] != 0 and v[name]["iterations"] > 1, v
        side, weights = d["surface"]["side"], d["weights"]
        for name in ("kl", "kl_plain", "ce"):
            assert len(d["surface"][name]) == side * side
            centre, loss = d["surface"][name][side * side // 2], d["views"][0][name]["loss"]
            assert abs(centre - loss) < 1e-5 * loss
            whole = d["views"][0][name]["trace"]
            assert abs(sum(w[name]["trace"] for w in weights) - whole) < 1e-3 * (1 + abs(whole))
        assert sum(w["values"] for w in weights) == d["values"]
        assert all(0 < w["distance"] <= 1 and w["kappa"] is None for w in weights)
        assert sum(w["changed_per_step"] for w in weights) > 0
        page = self.read("r.html").decode()
        for heading in ("Loss surface", "Gradients and curvature", "Changed codes",
                        "Quantized weights"):
            assert f"<h2>{heading}</h2>" in page, heading
        assert page.count("class=\"heat\"") == 2
        assert not re.search(r"[>\" ]-?nan", page)
        again = self.works(*args, "-o", "q", "-f", "--diagnose", "3", "-q")
        assert "3 synthetic images: " in again.out and again.err == ""
        self.works("quantize", "tiny.safetensors", "-o", "n", "--no-tune", "--bits", "w4a4", "-q",
                   "--images", "8", "--iters", "6", "--diagnose", "3", "-r", "n.html")
        assert "Changed codes" not in self.read("n.html").decode()

    def test_modes_and_kinds(self):
        for i, extra in enumerate((["--mode", "parity"], ["--kind", "prior"], ["--kind", "noise"],
                                   ["--kind", "pse"], ["--real", "pictures"])):
            self.works("quantize", "tiny.safetensors", "-o", f"{i}", "-r", f"{i}.html",
                       *(GIVEN if extra[0] == "--real" else QUICK), *extra)
        plain = self.read("0")
        for i, grid in enumerate((["--weight-grid", "lsq"], ["--weight-grid", "minmax-asym"],
                                  ["--act-grid", "minmax"])):
            self.works("quantize", "tiny.safetensors", "-o", f"g{i}", *QUICK, "--mode", "parity",
                       *grid)
            info = json.loads(self.works("info", f"g{i}", "-j").out)
            assert info["mode"] == "parity" and self.read(f"g{i}") != plain, info
        self.works("quantize", "tiny.safetensors", "-o", "r", *QUICK, "--rotate", "on", "-r",
                   "r.html")
        assert "<h2>Residual stream</h2>" in self.read("r.html").decode()
        assert "Residual stream" not in self.read("0.html").decode()
        assert json.loads(self.works("info", "r", "-j").out)["rotation"] == 1
        assert "rotation     residual stream" in self.works("info", "r").out
        assert "rotation" not in self.works("info", "0").out
        page = self.read("4.html").decode()
        assert "not data-free" in page and "no training image" not in page
        self.works("quantize", "tiny.safetensors", "-o", "n", "--no-tune", "--bits", "w8a8",
                   "--images", "8", "--iters", "6", "-r", "n.html")

    def test_synth_and_use(self):
        r = self.works("synth", "tiny.safetensors", "-o", "s", "-n", "8", "--iters", "6", "--batch",
                       "4", "--json")
        assert json.loads(r.out)["images"] == 8
        names = sorted(os.listdir(self.path("s")))
        assert "labels.csv" in names and "contact.png" in names and "00007.png" in names
        self.works("quantize", "tiny.safetensors", "-o", "a", "--synth", "s", *GIVEN[2:])
        self.works("quantize", "tiny.safetensors", "-o", "b", *QUICK)
        assert self.read("a") == self.read("b")
        with open(self.path("s", "images.safetensors"), "r+b") as f:
            f.seek(-4, os.SEEK_END)  # the label of the last image
            f.write(b"\x0c\0\0\0")
        self.fails(INPUT, r"s/images.safetensors: label \d+ is 12, must be 0 to 4, a class of", "quantize",
                   "tiny.safetensors", "-o", "c", "--synth", "s", *GIVEN[2:])
        os.mkdir(self.path("bare"))
        self.fails(INPUT, "bare: the folder has no images.safetensors of dfq synth", "quantize", "tiny.safetensors",
                   "-o", "c", "--synth", "bare", *GIVEN[2:])

    def test_threads_do_not_matter(self):
        for n in ("1", "2"):
            self.works("quantize", "tiny.safetensors", "-o", n, "-t", n, *QUICK)
            self.works("synth", "tiny.safetensors", "-o", "s" + n, "-t", n, "-n", "6", "--iters",
                       "6")
        assert self.read("1") == self.read("2")
        assert self.read("s1", "images.safetensors") == self.read("s2", "images.safetensors")
        self.works("quantize", "tiny.safetensors", "-o", "3", "--seed", "1", *QUICK)
        assert self.read("3") != self.read("1")

    def test_bench(self):
        j = json.loads(self.works("bench", "tiny.safetensors", "--batch", "2", "-t", "1",
                                  "--json").out)
        assert j["batch"] == 2 and j["threads"] == 1
        for kind in ("forward", "synthesis", "tuning"):
            assert j[kind]["images_per_second"] > 0 and j[kind]["gflops"] > 0

    def test_bench_oblong(self):
        """The work is that of the input's height and width."""
        image = "--image-size", "12x20"
        self.works("quantize", "tiny.safetensors", *image, "-b", "w8a8", "--no-images", "-o", "wide")

        def macs(*args):
            return json.loads(self.works("bench", *args, "--runtime", "-t", "1", "--json").out)["macs"]

        small, wide, high, large = (macs("tiny.safetensors", "--image-size", size)
                                    for size in ("12x12", "12x20", "20x12", "20x20"))
        assert small < wide == high < large, (small, wide, high, large)
        assert macs("wide") == wide
        j = json.loads(self.works("bench", "tiny.safetensors", *image, "--batch", "2", "-t", "1", "--json").out)
        for kind in ("forward", "synthesis", "tuning"):
            assert j[kind]["gflops"] > 0, j


class Cost(Part):
    HARDWARE = {"pe_x": 8, "pe_y": 6, "rf_words": 32, "dataflow": "rs", "pe_type": "fixed",
                "word_bits": 16, "psum_bits": 16, "glb_kb": 64, "clock_mhz": 100,
                "dram_gb_per_s": 1.6, "glb_gb_per_s": 12.8}

    def write(self, file, **changes):
        hardware = {**self.HARDWARE, **changes}
        with open(self.path(file), "w", encoding="utf-8") as f:
            json.dump({k: v for k, v in hardware.items() if v is not None}, f)

    def cost(self, *args):
        return json.loads(self.works("cost", "tiny.safetensors", "--json", *args).out)

    def test_json(self):
        self.write("a.json", name="mine")
        r = self.cost("--accel", "a.json")
        assert r["accelerator"]["name"] == "mine" and r["accelerator"]["pe_x"] == 8, r
        names = [layer["name"] for layer in r["layers"]]
        assert names[0] == "patch_embed.proj" and names[-1] == "head", names
        assert "blocks.1.attn.qk" in names and "blocks.1.attn.qk/softmax" in names, names
        for key in ("cycles", "macs", "dram_bytes"):
            total = sum(layer[key] for layer in r["layers"])
            assert abs(total - r["total"][key]) < 1e-4 * total, key
        info = json.loads(self.works("info", "tiny.safetensors", "--json").out)
        assert info["macs"] == r["total"]["macs"] == sum(x["macs"] for x in r["layers"]), info
        for layer in [*r["layers"], r["total"]]:
            e = dict(layer["energy_pj"])
            assert abs(e.pop("total") - sum(e.values())) < 1e-4 * sum(e.values()), layer
            assert abs(layer["ms"] * 1e5 - layer["cycles"]) < 1e-3 * layer["cycles"], layer
            assert 0 <= layer["utilization"] <= 1, layer
        assert r["area_mm2"] == r["accelerator"]["area_mm2"] > 0
        assert abs(r["images_per_s"] * r["total"]["ms"] - 1000) < 0.1

    ROW = r"^(\S.*?) +([\d.]+) +([\d.]+) +([\d.]+) +([\d.]+) +([\d.]+)$"

    def rows(self, *args):
        """The table as text: name, MMAC, ms and its share, uJ and its share."""
        out = self.works("cost", "tiny.safetensors", "--accel", "eyeriss-16x16", *args).out
        assert max(len(line) for line in out.split("\n")) <= 80, out
        return [(m[0], *map(float, m[1:])) for m in re.findall(self.ROW, out, re.M)], out

    def test_text(self):
        rows, out = self.rows("--bits", "w4a4")
        assert "eyeriss-16x16: 16 x 16 elements (rs, fixed)" in out, out
        assert "mm2 at 45 nm" in out and "w4a4, 8 bits in the first and the last" in out, out
        names = [row[0] for row in rows]
        assert "blocks.0-1.mlp.fc1 x 2" in names, out
        # five lines, what is left, the total; shares are of it
        assert len(rows) == 7 and names[6] == "total" and "--all" in names[5], out
        for k in range(1, 6):
            assert abs(sum(row[k] for row in rows[:6]) - rows[6][k]) < 0.3, (k, out)
        assert rows[6][3] == rows[6][5] == 100, out
        weights = [row[3] + row[5] for row in rows[:5]]
        assert weights == sorted(weights, reverse=True), out
        layers = self.cost("--accel", "eyeriss-16x16", "--bits", "w4a4")["layers"]
        shown = sum(2 if name.endswith(" x 2") else 1 for name in names[:5])
        assert names[5] == f"{len(layers) - shown} others (--all)", out
        fc1 = sum(x["ms"] for x in layers if x["name"].endswith("mlp.fc1"))
        assert abs(dict((row[0], row[2]) for row in rows)["blocks.0-1.mlp.fc1 x 2"] - fc1) < 1e-3

    def test_all(self):
        rows, out = self.rows("--all")
        layers = self.cost("--accel", "eyeriss-16x16")["layers"]
        assert [row[0] for row in rows] == [x["name"] for x in layers] + ["total"], out
        for row, x in zip(rows, layers):
            assert abs(row[2] - x["ms"]) < 1e-4 and abs(row[1] - x["macs"] / 1e6) < 0.01, row

    def test_widths(self):
        wide = self.cost("--accel", "eyeriss-16x16")
        narrow = self.cost("--accel", "eyeriss-16x16", "--bits", "w4a4")
        fc1 = next(x for x in narrow["layers"] if x["name"] == "blocks.0.mlp.fc1")
        assert (fc1["weight_bits"], fc1["input_bits"], fc1["output_bits"]) == (4, 4, 16), fc1
        assert narrow["mj_per_image"] < wide["mj_per_image"] / 2
        # values without a quantizer are as wide as the accelerator keeps it
        assert narrow["accelerator"]["float_bits"] == 16
        self.write("f.json", word_bits=8, psum_bits=24, float_bits=12)
        r = self.cost("--accel", "f.json", "--bits", "w4a4")
        assert r["accelerator"]["float_bits"] == 12, r["accelerator"]
        bits = {x["name"]: (x["input_bits"], x["weight_bits"], x["output_bits"])
                for x in r["layers"]}
        assert bits["blocks.0.attn.qk"] == (4, 4, 12), bits
        assert bits["blocks.0.attn.qk/softmax"] == (12, 0, 4), bits
        assert bits["blocks.0.attn.proj/sum"] == (12, 12, 12), bits
        assert bits["head"] == (8, 8, 12), bits

    def test_act_scale(self):
        """Rows' grids are found at run time, and that is counted; the default is quantize's."""
        bits = "--accel", "eyeriss-16x16", "--bits", "w4a4"
        cost = {scale: self.cost(*bits, "--act-scale", scale)["layers"]
                for scale in ("auto", "row", "tensor")}
        assert cost["auto"] == cost["row"] == self.cost(*bits)["layers"]
        slower = {r["name"] for r, t in zip(cost["row"], cost["tensor"])
                  if r["compute_cycles"] > t["compute_cycles"] and r["mapping"] == t["mapping"]}
        assert "blocks.0.attn.qk/softmax" in slower and "blocks.0.attn.qk" not in slower, slower
        for scale, said in (("row", 1), ("tensor", 0)):
            out = " ".join(self.works("cost", "tiny.safetensors", *bits, "--act-scale", scale)
                           .out.split())
            assert ("scales of rows at run time" in out) == said, out
        self.works("quantize", "tiny.safetensors", "-o", "q", "-f", *QUICK)
        own = json.loads(self.works("cost", "q", "--json", *bits[:2]).out)["layers"]
        assert [x["cycles"] for x in own] == [x["cycles"] for x in cost["row"]]
        self.fails(USAGE, "--act-scale is for --bits", "cost", "tiny.safetensors", *bits[:2],
                   "--act-scale", "row")

    def test_groups(self):
        """Groups of channels and of columns: of a file those that it has, with --bits those that it would have."""
        accel, file = ("--accel", "eyeriss-16x16", "--json"), ("quantize", "tiny.safetensors", "-o", "q", "-f", *QUICK)
        costs = []
        for groups in (("--act-group", "0", "--weight-group", "0"), (), ("--act-group", "16", "--weight-group", "32")):
            self.works(*file, *groups)
            costs.append(json.loads(self.works("cost", "q", *accel).out))
        asked = json.loads(self.works("cost", "tiny.safetensors", *accel, "--bits", "w4a4").out)
        assert asked["layers"] == costs[1]["layers"] and asked["total"] == costs[1]["total"], costs[1]
        plain, auto, own = (next(x for x in c["layers"] if x["name"] == "blocks.1.mlp.fc2") for c in costs)
        groups = [(x["act_group"], x["weight_group"]) for x in (plain, auto, own)]
        assert groups == [(0, 0), (0, 16), (16, 32)], groups  # of 64 channels
        assert plain["grid_bits"] == {"weight": 32 / 64, "input": 36 / 64, "output": 0}, plain
        assert own["grid_bits"] == {"weight": 8 / 32 + 32 / 64, "input": 36 / 16, "output": 0}, own
        assert own["dram_bytes"] > plain["dram_bytes"], (own, plain)
        assert own["energy_pj"]["mac"] > plain["energy_pj"]["mac"], (own, plain)
        out = " ".join(self.works("cost", "q", *accel[:2]).out.split())
        assert "at run time for groups of 16 channels, weights in groups of 32 columns" in out, out

    def test_widths_that_differ(self):
        """What is said of the widths is what the quantizers of the file have, not what was given."""
        static = "--act-scale", "tensor"
        groups = ", weights in groups of 16 columns"
        for said, *args in (("w4a4" + groups, *static),
                            ("w4a4", *static, "--weight-group", "0"),
                            ("mixed (weights 3..4, activations 4..6 bits)" + groups, *static, "--layer-bits",
                             "blocks.0.mlp.fc1=w3a6"),
                            ("mixed (weights 4..8, activations 4 bits)" + groups, *static,
                             "--first-last-bits", "8"),
                            ("mixed (weights 4..8, activations 4..8 bits), scales of rows at run "
                             "time" + groups, "--mode", "improved", "--act-scale", "row")):
            self.works("quantize", "tiny.safetensors", "-o", "q", "-f", *QUICK, *args)
            out = " ".join(self.works("cost", "q", "-a", "eyeriss-16x16").out.split())
            assert f"widths of its quantizers, {said}; values without" in out, out

    def test_the_best_of_many(self):
        self.write("many.json", pe_x=[4, 8], dataflow=["ws", "os", "rs"])
        best = self.cost("--accel", "many.json")
        assert best["accelerator"]["of"] == 6
        least = best["mj_per_image"] * best["total"]["ms"]
        for x in (4, 8):
            for flow in ("ws", "os", "rs"):
                self.write("one.json", pe_x=x, dataflow=flow)
                one = self.cost("--accel", "one.json")
                assert one["mj_per_image"] * one["total"]["ms"] >= least * 0.9999, (x, flow)

    def test_own_mapping(self):
        found = self.cost("--accel", "eyeriss-16x16")
        fc1 = next(x for x in found["layers"] if x["name"] == "blocks.0.mlp.fc1")
        again = self.cost("--accel", "eyeriss-16x16", "--mapping",
                          "blocks.0.mlp.fc1: " + fc1["mapping"])
        assert again["own"]["cycles"] == fc1["cycles"]
        assert again["own"]["energy_pj"] == fc1["energy_pj"]
        slow = self.cost("--accel", "eyeriss-16x16", "--mapping",
                         "blocks.0.mlp.fc1: GLB C32 M64 P17")["own"]
        assert slow["cycles"] == 32 * 64 * 17 and slow["utilization"] < 0.01, slow
        for text, error in (("fc1 GLB", "must be like"), ("fc9: GLB", "layer fc9 does not exist"),
                            ("blocks.0.mlp.fc1: GLB C32", r'layer blocks\.0\.mlp\.fc1: .*over M cover 1 of 64; '
                             r'.*begin with the mapping that the search found: "blocks\.0\.mlp\.fc1: DRAM'),
                            ("blocks.0.mlp.fc1: M3", 'layer blocks.0.mlp.fc1: .*"M3" is not a place; write DRAM'),
                            ("blocks.0.attn.qk/softmax: GLB", "has no mapping")):
            self.fails(USAGE, error, "cost", "tiny.safetensors", "--accel", "eyeriss-16x16",
                       "--mapping", text)

    def test_bad_descriptions(self):
        def bad(code, error):
            self.fails(code, error, "cost", "tiny.safetensors", "--accel", "a.json")

        self.fails(USAGE, "--accel is missing.* eyeriss-isca16, .*hdx-space$", "cost", "tiny.safetensors")
        self.fails(INPUT, "cannot read nofile: there is no such file; presets: eyeriss-chip, .*hdx-space",
                   "cost", "tiny.safetensors", "-a", "nofile")
        bad(INPUT, "a.json")  # neither a preset nor a file
        self.write("a.json", pe_x=0)
        bad(INPUT, '"pe_x" is 0, must be')
        self.write("a.json", glb_kb=None, glb=64)
        bad(INPUT, '"glb" has no unit; write "glb_kb"')
        self.write("a.json", colour="red")
        bad(INPUT, 'key "colour" is not known')
        self.write("a.json", float_bits=17)
        bad(INPUT, '"float_bits" is 17, must be 2 to 16')
        self.write("a.json", word_bits=4)
        self.fails(USAGE, "operands have 8 bits, must be at most the accelerator's word_bits, 4", "cost",
                   "tiny.safetensors", "--accel", "a.json", "--bits", "w4a4")


class Cnn(Part):
    """A generator beside the student (AIT), and sets of images for convolutional networks."""
    SET = ("--bits", "w4a4", "--batch", "8", "--steps", "20")
    FEW = (*SET, "--generator", "qimera")
    LONG = ("--bits", "w4a4", "--batch", "4", "--steps", "100", "--data", "pictures", "--generator", "qimera")

    def setup(self):
        super().setup()
        tiny.make_cnn(self.dir)

    def quantize(self, out, *args):
        return json.loads(self.works("quantize", "cnn.safetensors", "-o", out, "--json", *args).out)

    def test_quantize(self):
        r = self.works("quantize", "cnn.safetensors", "-o", "q", *self.FEW, "--data", "pictures",
                       "--report", "r.html", "--json", "--first-last-bits", "8")
        j = json.loads(r.out)
        assert (j["method"], j["generator"], j["loss"]) == ("ait", "qimera", "ait"), j
        assert (j["steps"], j["warmup_steps"], j["batch"], j["first_last_bits"]) == (20, 5, 8, 8), j
        assert 0 < j["crossed_on_target"] <= 1 and "best_step" not in j and "images" not in j, j
        assert "generator qimera, 8 images a step: 5 steps alone, 15 steps of tuning by ait" in r.err
        assert re.search(r"about .*tuning .*evaluation .* of memory with (1 thread|\d+ threads)", r.err), r
        assert re.search("tune 50 %, loss .* left", r.err), r
        e = json.loads(self.works("eval", "q", "-d", "pictures", "-j").out)
        assert (e["correct"], e["top5"]) == (j["correct"], j["top5"])
        i = json.loads(self.works("info", "q", "-j").out)
        bits = [q["bits"] for q in i["quantizers"] if q["name"].endswith(".weight")]
        assert bits == [8, 4, 4, 4, 4, 8], bits
        assert {q["kind"] for q in i["quantizers"]} == {"weight, per channel, min-max range",
                                                        "activation, per tensor"}
        text = self.works("info", "q").out
        assert "weights 4 bit (first and last 8)" in text, text
        assert "11: 6 of weights, 5 of activations" in text, text
        page = self.read("r.html").decode()
        for heading in ("Synthetic images", "Curves", "Error of each layer", "Quantizers",
                        "Provenance"):
            assert f"<h2>{heading}</h2>" in page, heading
        for words in ("Generator", "Tuning", "Changed codes of each weight", "layer2.0.conv1.relu", "logits",
                      "8 new images in each step, generator qimera", "first and last weight"):
            assert words in page, words
        assert page.count("data:image/png;base64,") == 1 and "Attention maps" not in page
        # a weight too small to be asked for a code may have changed none: no line on a log scale
        assert page.count('class="line faint"') in (5, 6), page.count('class="line faint"')
        assert self.names() == ["cnn.safetensors", "pictures", "q", "r.html", "tiny.safetensors"]

    def test_losses_and_modes(self):
        self.quantize("a", *self.FEW)
        alone = self.quantize("kl", *self.FEW, "--crossing-target", "0", "-r", "kl.html")
        self.quantize("much", *self.FEW, "--crossing-target", "0.2")
        assert "crossed_on_target" not in alone and self.read("kl") != self.read("much"), alone
        assert ">KL divergence<" in self.read("kl.html").decode()
        kl_ce = self.quantize("b", *self.FEW, "--loss", "kl-ce", "-r", "b.html")
        assert kl_ce["loss"] == "kl-ce" and "crossed_on_target" not in kl_ce, kl_ce
        page = self.read("b.html").decode()
        assert "KL divergence and cross-entropy" in page and "Changed codes of each weight" not in page
        r = self.works("quantize", "cnn.safetensors", "-o", "c", *self.FEW, "--mode", "parity")
        assert "warning: the averaged ranges of mode parity" in r.err, r
        files = [self.read(name) for name in "abc"]
        assert len(set(files)) == 3

    def test_generators(self):
        files = set()
        for generator in ("gdfq", "qimera", "arc"):
            j = self.quantize(generator, *self.FEW, "--steps", "10", "--generator", generator, "-r", "r.html", "-f")
            assert j["generator"] == generator and f"generator {generator}" in self.read("r.html").decode(), j
            files.add(self.read(generator))
        assert len(files) == 3

    def test_no_tune(self):
        """The weights stay; ranges come from a warm-up of the generator."""
        j = self.quantize("q", "--bits", "w8a8", "--batch", "2", "--no-tune", "--generator", "qimera",
                          "-d", "pictures")
        assert j["steps"] == j["warmup_steps"] == 250 and j["loss"] is None, j
        assert abs(j["top1"] - j["float_top1"]) <= 0.1, j

    def test_sets_of_images(self):
        inundate = ("--crossing-target", "0.02")
        real = self.quantize("a", *self.SET, "--real", "pictures", "-n", "16", "-r", "a.html", *inundate)
        assert real["images"] == 16 and real["generator"] is None and real["crossed_on_target"] > 0, real
        page = self.read("a.html").decode()
        assert "not data-free" in page and "Changed codes of each weight" in page
        assert "Synthetic images" not in page and "Error of each layer" in page
        made = self.quantize("c", *self.SET, "--synth", "pictures", "-n", "16", "-r", "c.html", *inundate)
        assert made["images"] == 16 and self.read("c") == self.read("a"), made
        assert "Synthetic images" in self.read("c.html").decode()
        bns = self.quantize("d", *self.SET, "--kind", "bns", "-n", "16", "--iters", "5", "-r", "d.html")
        assert bns["images"] == 16 and bns["generator"] is None, bns
        self.quantize("e", *self.SET, "-n", "16", "--iters", "5")
        assert self.read("e") == self.read("d")  # what mode improved does by itself
        page = self.read("d.html").decode()
        assert "16, kind bns" in page and "</i>distance of BatchNorm statistics" in page
        plain = self.quantize("b", "--bits", "w4a4", "--real", "pictures", "--no-tune")
        assert plain["steps"] == 0 and plain["loss"] is None, plain

    def test_diagnose(self):
        j = self.quantize("q", *self.FEW, "--diagnose", "6", "-d", "pictures", "-r", "q.html")
        d = j["diagnosis"]
        assert [v["of"] for v in d["views"]] == ["synthetic", "real"], d["views"]
        assert d["divided_by_classes"] == 1 and d["temperature"] == 20, d
        names = [w["name"] for w in d["weights"]]
        assert len(names) == 6 and names[0].startswith("conv1") and d["weights"][1]["kappa"] >= 1, d
        self.quantize("p", *self.FEW)
        assert self.read("p") == self.read("q")

    def test_threads_and_seeds(self):
        for name, extra in (("1", "-t1"), ("2", "-t2"), ("3", "-s1")):
            self.quantize(name, *self.FEW, extra)
        assert self.read("1") == self.read("2") != self.read("3")

    def test_synth(self):
        """Every kind of images there is for CNNs, at any number of threads; a set can be used."""
        few = ("-n", "6", "--iters", "5", "--batch", "4")
        for kind in ("bns", "gdfq", "qimera", "arc", "prior", "noise", "leaves"):
            r = self.works("synth", "cnn.safetensors", "-o", kind, "--kind", kind, *few, "--json")
            j = json.loads(r.out)
            assert j["kind"] == kind and j["images"] == 6, j
            known = kind not in ("prior", "noise", "leaves")
            assert (j["distance_after"] is not None) == known, j
            assert "contact.png" in os.listdir(self.path(kind))
            self.works("synth", "cnn.safetensors", "-o", "2", "--kind", kind, *few, "-t", "2", "-f")
            assert self.read(kind, "images.safetensors") == self.read("2", "images.safetensors")
        r = self.works("synth", "cnn.safetensors", "-o", "auto", *few)
        assert self.read("auto", "labels.csv") == self.read("bns", "labels.csv")
        assert "distance of BatchNorm statistics" in r.out, r.out
        self.quantize("q", *self.SET, "--synth", "bns")
        self.fails(INPUT, "no attention heads; take kind bns, gdfq", "synth", "cnn.safetensors", "-o",
                   "s", "--kind", "pse")
        self.fails(INPUT, "no BatchNorm.*kind attention, pse", "synth", "tiny.safetensors", "-o",
                   "s", "--kind", "gdfq")

    def test_refusals(self):
        def refuse(pattern, *args, model="cnn.safetensors", code=USAGE):
            self.fails(code, pattern, "quantize", model, "-o", "q", "--bits", "w4a4", *args)
        refuse("--gamma is not for --method ait; leave it out", "--gamma", "3")
        refuse("--iters is for a set of images, and here a generator", "--iters", "3", "--generator", "gdfq")
        refuse("--generator is for a generator, and here", "--kind", "bns", "--generator", "gdfq")
        refuse("--images is for a set of images, and here a generator", "--images", "3", "--mode", "parity")
        refuse("--generator is for a generator", "--real", "pictures", "--generator", "gdfq")
        refuse("--loss is for a generator", "--real", "pictures", "--loss", "ait")
        refuse("--method mimiq needs attention heads", "--method", "mimiq")
        refuse("--generator is \"x\", must be gdfq, qimera or arc", "--generator", "x")
        refuse("--loss is \"x\", must be ait or kl-ce", "--loss", "x")
        refuse("--method is \"x\", must be mimiq or ait", "--method", "x")
        refuse("--first-last-bits is 9, must be a whole number from 2 to 8", "--first-last-bits", "9")
        refuse("--loss and --no-tune exclude each other", "--no-tune", "--loss", "kl-ce")
        refuse("--loss kl-ce and --crossing-target exclude", "--loss", "kl-ce", "--crossing-target", "0.1")
        refuse("--crossing-target is 0.6, must be", "--crossing-target", "0.6")
        self.fails(INPUT, "cannot be rotated: it is a convolutional network", "quantize",
                   "cnn.safetensors", "-o", "q", "--bits", "w4a4", "--rotate", "on")
        refuse("--rotate is \"x\", must be auto, off or on", "--rotate", "x")
        refuse("--act-group is for scales of rows", "--act-group", "16", "--mode", "parity",
               model="tiny.safetensors")
        refuse("--weight-group is for --mode improved", "--weight-group", "16", "--mode", "parity",
               model="tiny.safetensors")
        refuse("weight_group is 24, must be 0 or a multiple of 16", "--weight-group", "24", "--no-images",
               model="tiny.safetensors")
        refuse("has weights of at most 4 bits of several such groups", "--weight-group", "256",
               "--no-images", model="tiny.safetensors")
        refuse("weight_group is 16, and groups of weights are for mode improved", "--weight-group", "16")
        refuse("--classes is for images, and --no-images makes none", "--classes", "none", "--no-images",
               model="tiny.safetensors")
        refuse("act_group is 24, must be 0 or a multiple of 16", "--act-group", "24", "--no-images",
               model="tiny.safetensors")
        refuse("no linear layer of vit_test has inputs of several such groups", "--act-group", "4096",
               "--no-images", model="tiny.safetensors")
        refuse("--weight-grid is not for --method ait", "--mode", "parity", "--weight-grid", "lsq")
        refuse("--weight-grid and --act-grid are for --mode parity", "--act-grid", "minmax",
               model="tiny.safetensors")
        refuse("--steps is 3, must be 4 or more", "--steps", "3", "--loss", "ait")
        refuse("--steps is 9, must be 10 or more", "--steps", "9", "--mode", "parity")
        refuse("batch is 1, must be 2 to 4096", "--batch", "1", "--generator", "gdfq")
        refuse("--method ait needs BatchNorm", "--method", "ait",
               model="tiny.safetensors")
        for name, value in (("--generator", "gdfq"), ("--loss", "ait"), ("--crossing-target", "0")):
            refuse(f"{name} is not for --method mimiq", name, value, model="tiny.safetensors")

    def test_backbone(self):
        """A network without a head: images by attention alone, distilled on features, not judged."""
        weights = tiny.tensors(random.Random(3))
        del weights["head.weight"], weights["head.bias"]
        tiny.save(self.path("m.safetensors"), weights, {"heads": "2"})
        how = ("--images", "4", "--batch", "4", "--iters", "2")
        assert "features, no head" in self.works("info", "m.safetensors").out
        self.works("synth", "m.safetensors", "--kind", "attention", "--classes", "none", "-o", "s", *how)
        self.works("quantize", "m.safetensors", "-b", "w4a4", "-o", "low", "--steps", "2", *how)
        self.fails(INPUT, "has no head, its outputs are features", "eval", "low", "-d", "pictures")
        self.fails(INPUT, "has no head, its outputs are features", "run", "low", "--image",
                   "pictures/0.png")

    def test_stem(self):
        macs = set()
        for stem in ("stride1", "stride1+pool", "stride2", "stride2+pool"):
            tiny.save(self.path("m"), tiny.cnn(random.Random(9)), {**tiny.CNN, "stem": stem})
            j = json.loads(self.works("info", "m", "-j").out)
            assert j["properties"]["stem"] == {"value": stem, "source": "metadata"}, j
            said = json.loads(self.works("info", "cnn.safetensors", "--stem", stem, "-j").out)
            assert said["macs"] == j["macs"] and said["properties"]["stem"]["source"] == "option"
            macs.add(j["macs"])
        assert len(macs) == 4, macs
        unsaid = {k: v for k, v in tiny.CNN.items() if k != "stem"}
        tiny.save(self.path("m"), tiny.cnn(random.Random(9)), unsaid)
        r = self.works("info", "m")
        assert "assumed: --stem stride1;" in r.err and "stem" in r.out, r

    def test_broken_files(self):
        def broken(pattern, edit=None, **change):
            weights = tiny.cnn(random.Random(9))
            for name, value in change.get("weights", {}).items():
                weights[name] = value
            for name in change.get("without", ()):
                weights = {n: w for n, w in weights.items() if name not in n}
            tiny.save(self.path("bad.safetensors"), weights, tiny.CNN, edit)
            pattern = r"bad\.safetensors.*" + pattern
            self.fails(INPUT, pattern, "info", "bad.safetensors")
            self.fails(INPUT, pattern, "quantize", "bad.safetensors", "-o", "q", *self.FEW)

        broken("has no BatchNorm", without=["running_"])
        for values in ([0.0] * 4, [1.0, -1.0, 1.0, 1.0], [1.0, float("nan"), 1.0, 1.0]):
            broken(r"tensor layer1\.0\.bn2\.running_var",
                   weights={"layer1.0.bn2.running_var": ((4,), values)})
        broken(r"tensor linear.bias is \[6\], must be \[5\]",
               weights={"linear.bias": ((6,), [0.0] * 6)})
        broken(r"layer2\.0\.conv2\.weight", without=["layer2.0.conv2"])
        self.quantize("q", *self.FEW)
        self.fails(INPUT, r"q is already quantized \(w4a4\)", "quantize", "q", "-o", "qq",
                   *self.FEW)

    def test_bench(self):
        j = json.loads(self.works("bench", "cnn.safetensors", "--batch", "4", "-t", "1",
                                  "--json").out)
        for kind in ("forward", "synthesis", "tuning"):
            assert j[kind]["images_per_second"] > 0 and j[kind]["gflops"] > 0
        assert j["tuning"]["bytes"] > 1e6, j
        self.quantize("q", *self.FEW)
        j = json.loads(self.works("bench", "q", "--batch", "4", "-t", "1", "--json").out)
        assert j["forward"]["seconds"] > 0 and "tuning" not in j, j


class Files(Part):
    """Model files that are not what they should be: each names the file and what is wrong."""

    def broken(self, pattern, edit=None, **change):
        weights = tiny.tensors(random.Random(7))
        for name, value in change.get("weights", {}).items():
            if value is None:
                del weights[name]
            else:
                weights[name] = value
        tiny.save(self.path("bad.safetensors"), weights, edit=edit)
        pattern = r"bad\.safetensors.*" + pattern
        self.fails(INPUT, pattern, "info", "bad.safetensors")
        self.fails(INPUT, pattern, "eval", "bad.safetensors", "-d", "pictures")
        self.fails(INPUT, pattern, "quantize", "bad.safetensors", "-o", "q", *QUICK)
        self.fails(INPUT, pattern, "synth", "bad.safetensors", "-o", "s")
        self.fails(INPUT, pattern, "bench", "bad.safetensors")

    def test_not_there(self):
        self.fails(INPUT, "cannot read nothing: No such file", "info", "nothing")
        self.fails(INPUT, "cannot read pictures: it is a folder", "info", "pictures")

    def test_no_safetensors(self):
        for name, content, pattern in (
                ("a.txt", b"hello", "5 bytes, which are too few"),
                ("b.txt", b"hello, this is a text" * 9, "the file is not safetensors"),
                ("c.pth", b"PK\3\4" + bytes(100), "zip archive.*save_file"),
                ("d.png", self.read("pictures", "0.png"), "PNG picture")):
            with open(self.path(name), "wb") as f:
                f.write(content)
            self.fails(INPUT, name + ".*" + pattern, "quantize", name, "-o", "q", *QUICK)

    def test_offsets(self):
        def far(header):
            header["head.weight"]["data_offsets"][1] += 1000000
        self.broken("tensor \"head.weight\" is at bytes .* which has only", far)

        def short(header):
            header["head.weight"]["data_offsets"][1] -= 4
        self.broken("tensor \"head.weight\" has 636 bytes of data, must have 640",
                    short)

        def twice(header):
            header["norm.bias"]["data_offsets"] = header["norm.weight"]["data_offsets"]
        self.broken("norm.*overlap", twice)

    def test_cut_short(self):
        data = self.read("tiny.safetensors")
        with open(self.path("cut.safetensors"), "wb") as f:
            f.write(data[:-100])
        self.fails(INPUT, r"cut\.safetensors: tensor .* the file is cut short or damaged",
                   "quantize", "cut.safetensors", "-o", "q", *QUICK)

    def test_missing_tensor(self):
        self.broken("tensor blocks.1.mlp.fc2.weight", weights={"blocks.1.mlp.fc2.weight": None})

    def test_wrong_shape(self):
        self.broken(r"tensor head.bias is \[6\], must be \[5\]",
                    weights={"head.bias": ((6,), [0.0] * 6)})

    def test_weights_that_are_no_numbers(self):
        for value in (float("nan"), float("inf")):
            bad = [0.0] * 32
            bad[17] = value
            self.broken("tensor blocks.0.norm1.bias holds -?(nan|inf) at element 17",
                        weights={"blocks.0.norm1.bias": ((32,), bad)})

    def test_quantized_twice(self):
        self.works("quantize", "tiny.safetensors", "-o", "q.safetensors", "--no-tune", "--kind",
                   "noise", "--images", "4", "--bits", "w4a4")
        self.fails(INPUT, r"q\.safetensors is already quantized \(w4a4\)", "quantize",
                   "q.safetensors", "-o", "qq", *QUICK)
        data = bytearray(self.read("q.safetensors"))
        with open(self.path("cut"), "wb") as f:
            f.write(data[:len(data) // 2])
        self.fails(INPUT, "cut", "eval", "cut", "-d", "pictures")


class Inputs(Part):
    """Image folders that are not what they should be."""

    def both(self, pattern, code=INPUT):
        self.fails(code, pattern, "eval", "tiny.safetensors", "-d", "pictures")
        self.fails(code, pattern, "quantize", "tiny.safetensors", "-o", "q", "-d", "pictures",
                   *QUICK)

    def csv(self, change):
        with open(self.path("pictures", "labels.csv"), encoding="ascii") as f:
            lines = f.read().splitlines()
        change(lines)
        with open(self.path("pictures", "labels.csv"), "w", encoding="ascii") as f:
            f.write("\n".join(lines) + "\n")

    def test_broken_pictures(self):
        picture = self.path("pictures", "50.png")
        whole = self.read("pictures", "50.png")
        for content in (whole[:100], b"", b"no picture at all, but long enough to be read"):
            with open(picture, "wb") as f:
                f.write(content)
            self.both(r"50\.png")
        os.rename(picture, self.path("pictures", "50.jpg"))
        self.csv(lambda lines: lines.__setitem__(51, "50.jpg,0"))
        with open(self.path("pictures", "50.jpg"), "wb") as f:
            f.write(b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(40))
        self.both(r"50\.jpg")
        os.unlink(self.path("pictures", "50.jpg"))
        self.both(r"labels\.csv line 52: there is no file \"50\.jpg\"")

    def test_labels(self):
        self.csv(lambda lines: lines.__setitem__(3, "2.png,5"))
        self.both(r"labels\.csv line 4: label is 5, must be 0 to 4, a class of the network; use")
        self.csv(lambda lines: lines.__setitem__(3, "2.png,-1"))
        self.both(r"labels\.csv line 4: the label is \"-1\", must be a whole number from 0 on")
        self.csv(lambda lines: lines.__setitem__(3, "2.png"))
        self.both(r"labels\.csv line 4")
        self.csv(lambda lines: lines.__setitem__(0, "picture,class"))
        self.both(r"labels\.csv line 1: the line is .*, must be \"file,label\"")

    def test_data_that_does_not_fit(self):
        """Evaluated all the same, but not without a word."""
        def classes(folder, names):
            shutil.rmtree(self.path(folder), ignore_errors=True)
            for name in names:
                os.makedirs(self.path(folder, name))
                shutil.copy(self.path("pictures", "0.png"), self.path(folder, name, "0.png"))
        def told(pattern, *more):
            err = self.works("eval", "tiny.safetensors", "-d", "d", "-q", *more).err
            assert re.search(pattern, err) and err.count("warning") == 1, err
        classes("d", ("n2", "n7"))
        told("warning: d: there are 2 class folders, and the network has 5 classes")
        with open(self.path("l"), "w", encoding="ascii") as f:
            f.write("folder,label\nn7,4\nn2,1\n")
        r = self.works("eval", "tiny.safetensors", "-d", "d", "--labels-from", "l", "-q")
        assert r.err == "", r
        self.fails(USAGE, "--labels-from is for --data", "quantize", "tiny.safetensors",
                   "--bits", "w4a4", "-o", "q", "--labels-from", "l")
        classes("d", "abcde")
        os.rename(self.path("d", "e", "0.png"), self.path("d", "e", "0.bmp"))
        err = self.works("eval", "tiny.safetensors", "-d", "d", "-q").err
        assert "1 picture is left out, being neither PNG, JPEG nor WebP: e/0.bmp;" in err, err
        for i in range(100):
            tiny.png(self.path("pictures", f"{i}.png"), 20, lambda x, y: (x, y, 0))
        r = self.works("eval", "tiny.safetensors", "-d", "pictures", "-n", "30", "-t1")
        assert re.search("of memory with 1 thread$", r.err, re.M), r
        assert "30 of 100 pictures are larger than the crop and are not resized" in r.err, r
        r = self.works("eval", "tiny.safetensors", "-d", "pictures", "-n", "30", "--crop", "1")
        assert "larger" not in r.err, r

    def test_no_data(self):
        os.mkdir(self.path("empty"))
        self.fails(INPUT, "empty: the folder has neither labels.csv nor class folders", "eval", "tiny.safetensors",
                   "-d", "empty")
        self.fails(INPUT, "nowhere", "eval", "tiny.safetensors", "-d", "nowhere")
        self.fails(INPUT, "tiny.safetensors.*CIFAR-10", "eval", "tiny.safetensors", "-d",
                   "tiny.safetensors")
        self.fails(USAGE, "--images is 101, must be at most 100, those of pictures", "eval", "tiny.safetensors", "-d",
                   "pictures", "-n", "101")

    def test_images_to_learn_from(self):
        for option in ("--synth", "--real"):
            self.fails(INPUT, "nowhere", "quantize", "tiny.safetensors", "-o", "q", option,
                       "nowhere", *GIVEN)
        self.works("synth", "tiny.safetensors", "-o", "set", "-n", "2", "--iters", "1")
        for option, folder, have in (("--synth", "set", 2), ("--real", "pictures", 100)):
            self.fails(USAGE, f"--images is 101, must be at most {have}, those of {folder}", "quantize",
                       "tiny.safetensors", "-o", "q", option, folder, "-n", "101", "--no-tune",
                       "--bits", "w4a4")
        os.mkdir(self.path("s"))
        weights = {"images": ((2, 3, 16, 16), [float("nan")] * 1536)}
        tiny.save(self.path("s", "images.safetensors"), weights)
        self.fails(INPUT, "images.safetensors", "quantize", "tiny.safetensors", "-o", "q",
                   "--synth", "s", *GIVEN)
        for option in ("--synth", "--real"):
            for unread in (("--kind", "prior"), ("--iters", "3")):
                self.fails(USAGE, f"{unread[0]} is for images to be made, and {option} takes some", "quantize",
                           "tiny.safetensors", "-o", "q", option, "pictures", *GIVEN, *unread)


class Outputs(Part):
    def test_nothing_is_replaced(self):
        for name in ("q", "r.html"):
            with open(self.path(name), "w", encoding="ascii") as f:
                f.write("mine")
        os.mkdir(self.path("s"))
        self.fails(USAGE, "q exists already; add --force", "quantize", "tiny.safetensors", "-o",
                   "q", *QUICK)
        self.fails(USAGE, "r.html exists already; add --force", "quantize", "tiny.safetensors",
                   "-o", "new", "-r", "r.html", *QUICK)
        self.fails(USAGE, "s exists already", "synth", "tiny.safetensors", "-o", "s")
        assert self.read("q") == b"mine" and self.read("r.html") == b"mine"
        self.works("quantize", "tiny.safetensors", "-o", "q", "-r", "r.html", "--force", *QUICK)
        assert self.read("q") != b"mine" and self.read("r.html").startswith(b"<!DOCTYPE")
        for _ in range(2):
            self.works("synth", "tiny.safetensors", "-o", "s", "-f", "-n", "2", "--iters", "2")

    def test_places(self):
        self.fails(OUTPUT, "folder no/where does not exist", "quantize", "tiny.safetensors", "-o",
                   "no/where/q", *QUICK)
        self.fails(OUTPUT, "folder no does not exist", "quantize", "tiny.safetensors", "-o", "q",
                   "--report", "no/r.html", *QUICK)
        self.fails(USAGE, "-o q is --report q, which this run writes too", "quantize", "tiny.safetensors", "-o", "q",
                   "--report", "q", *QUICK)
        self.fails(USAGE, "--report /dev/null is not a regular file", "quantize", "tiny.safetensors",
                   "-o", "q", "--report", "/dev/null", *QUICK)

    def test_full_disk(self):
        self.fails(OUTPUT, "cannot write /dev/full: No space left on device; make room", "quantize",
                   "tiny.safetensors", "-o", "/dev/full", *QUICK)
        with open("/dev/full", "wb") as full:
            r = self.dfq("info", "tiny.safetensors", stdout=full)
        assert r.code == OUTPUT and "cannot write the results to stdout" in r.err, r

    def test_reader_that_has_gone(self):
        """"dfq info -v MODEL | head" ends without a word."""
        for args in (["info", "-v", "tiny.safetensors"], ["--help"]):
            out, into = os.pipe()
            os.close(out)
            with os.fdopen(into, "wb") as f:
                r = self.dfq(*args, stdout=f)
            assert r.code in (OUTPUT, -signal.SIGPIPE) and r.err == "", r

    def test_file_that_may_not_grow(self):
        limit = ["sh", "-c", 'ulimit -f 8; exec "$@"', "sh", self.program]
        before = self.names()
        for args in (["quantize", "tiny.safetensors", "-o", "q", *QUICK],
                     ["synth", "tiny.safetensors", "-o", "s", "-n", "4", "--iters", "2"]):
            p = subprocess.run(limit + args, cwd=self.dir, capture_output=True, check=False)
            assert p.returncode == OUTPUT, p
            assert b"File too large" in p.stderr.splitlines()[-1], p
            left = [n for n in self.names() if n not in before and not n.endswith(".resume")]
            assert left == [], left
            for root, _, names in os.walk(self.dir):
                assert not [n for n in names if ".tmp" in n or n.endswith(".part")], (root, names)

    def test_tiny_disk(self):
        """A file system of its own, where that is allowed."""
        disk = self.path("disk")
        os.mkdir(disk)
        script = 'mount -t tmpfs -o size=16k tmpfs disk || exit 77; "$@"; c=$?; ls -A disk; exit $c'
        p = subprocess.run(["unshare", "-rm", "sh", "-c", script, "sh", self.program, "quantize",
                            "tiny.safetensors", "-o", "disk/q", *QUICK], cwd=self.dir,
                           capture_output=True, check=False)
        if p.returncode in (1, 77) or b"unshare" in p.stderr:
            return "a mount of its own is not allowed here"
        lines = p.stderr.decode().splitlines()
        assert p.returncode == OUTPUT and "disk/q" in lines[-1] and len(lines) == 1, p
        assert p.stdout == b"", p
        return None


class Stopping(Part):
    """Starts, interrupts, goes on."""
    MODEL = "tiny.safetensors"
    LONG = ("--images", "8", "--batch", "4", "--iters", "400", "--steps", "300", "--bits", "w4a4",
            "--data", "pictures")

    def interrupt(self, args, seen, sig=signal.SIGINT):
        """Runs until `seen` is on stderr, then sends a signal. Returns exit code and stderr. The program
        cannot run far ahead of what is read here: a few lines fill the socket."""
        ours, theirs = socket.socketpair()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        with ours, ours.makefile("rb") as err:
            with theirs:
                p = subprocess.Popen([self.program, *args], cwd=self.dir, stdout=subprocess.PIPE,
                                     stderr=theirs)
            text = b""
            while seen.encode() not in text:
                line = err.readline()
                assert line, text
                text += line
            p.send_signal(sig)
            text += err.read()
        out = p.communicate(timeout=HANGS)[0]
        assert out == b"" or p.returncode == DONE, out
        return p.returncode, text.decode()

    def many_pictures(self, n):
        with open(self.path("pictures", "labels.csv"), "w", encoding="ascii") as f:
            f.write("file,label\n")
            for i in range(n):
                name = f"l{i}.png"
                os.link(self.path("pictures", f"{i % 100}.png"), self.path("pictures", name))
                f.write(f"{name},{i * 7 % 5}\n")

    def check_quantize(self, stops, extra=()):
        args = ["quantize", self.MODEL, *self.LONG, *extra]
        whole = self.works(*args, "-o", "whole", "--json")
        for i, (seen, sig) in enumerate(stops):
            name = f"part{i}"
            code, err = self.interrupt([*args, "-o", name, *(["--resume"] if i % 2 else [])], seen,
                                       sig)
            if code == DONE: # was faster than the signal
                continue
            assert code == INTERRUPTED, err
            if sig == signal.SIGINT:
                assert f"{name}.resume" in self.names(), (seen, err)
                command = err.splitlines()[-1].split("go on with: ")[1]
                assert command.endswith("--resume") or "--resume" in command, err
            assert name not in self.names() or "quantized" in seen, (seen, self.names())
            last = self.works(*args, "-o", name, "--resume", "--json", "-t", "1")
            assert self.read(name) == self.read("whole"), seen
            a, b = json.loads(whole.out), json.loads(last.out)
            assert (a["correct"], a["float_top1"]) == (b["correct"], b["float_top1"])
            assert f"{name}.resume" not in self.names()


class Resume(Stopping):
    def test_quantize(self):
        self.check_quantize([("synth 10 %", signal.SIGINT), ("synth 60 %", signal.SIGINT),
                             ("round ", signal.SIGINT), ("tune 20 %", signal.SIGINT),
                             ("tune 80 %", signal.SIGTERM), ("quantized 10 %", signal.SIGINT)])

    def test_parity(self):
        self.check_quantize([("tune 40 %", signal.SIGINT)], ("--mode", "parity"))

    def test_reconstruct(self):
        """Stopped inside a unit and behind all of them; the report tells what they gained."""
        own = ("--reconstruct", "150")
        self.check_quantize([("reconstruct 30 %", signal.SIGINT), ("tune 20 %", signal.SIGINT)], own)
        r = self.works("quantize", self.MODEL, *self.LONG, "-o", "without")
        assert self.read("without") != self.read("whole") and "reconstruct" not in r.err
        few = ("-n", "4", "--iters", "2", "-b", "w4a4", "--no-tune", "-o", "few", "-r", "r.html")
        r = self.works("quantize", self.MODEL, *few, *own, "--json")
        assert json.loads(r.out)["reconstruct"] == 150
        assert "150 steps a unit; error before and after" in self.read("r.html").decode()

    def test_report_after_resume(self):
        args = ["quantize", "tiny.safetensors", *self.LONG, "-r", "r.html", "-o", "q"]
        code, err = self.interrupt(args, "tune 30 %")
        assert code == INTERRUPTED, err
        self.works(*args, "--resume")
        page = self.read("r.html").decode()
        assert "<h2>Curves</h2>" in page and "Inter-head similarity" in page

    def test_diagnose(self):
        """Counting codes makes the steps of tuning one by one; to the same bits."""
        args = ["quantize", "tiny.safetensors", *self.LONG]
        self.works(*args, "-o", "whole")
        args += ["-o", "q", "--diagnose", "8"]
        for seen in ("tune 30 %", "diagnose 20 %"):
            code, err = self.interrupt([*args, "--resume"], seen)
            assert code == INTERRUPTED and seen in err, err
        r = self.works(*args, "--resume")
        assert self.read("q") == self.read("whole") and "8 synthetic images: " in r.out
        assert "q.resume" not in self.names()

    def test_stop_twice(self):
        args = ["quantize", "tiny.safetensors", *self.LONG]
        self.works(*args, "-o", "whole")
        for seen in ("synth 30 %", "tune 30 %"):
            code, err = self.interrupt([*args, "-o", "q", "--resume"], seen)
            assert code == INTERRUPTED, err
        self.works(*args, "-o", "q", "--resume")
        assert self.read("q") == self.read("whole")

    def test_killed(self):
        """Checkpoints are also written now and then: a job that was killed goes on."""
        args = ["quantize", "tiny.safetensors", *self.LONG]
        self.works(*args, "-o", "whole")
        code, _ = self.interrupt([*args, "-o", "q", "--checkpoint", "0.05"], "tune 70 %",
                                 signal.SIGKILL)
        assert code == -signal.SIGKILL and "q.resume" in self.names() and "q" not in self.names()
        r = self.works(*args, "-o", "q", "--resume")
        assert self.read("q") == self.read("whole")
        assert "synth 50 %" not in r.err, r

    def test_diverged(self):
        """Numbers that are not finite would come again: what is kept of such a job is in nobody's way."""
        args = ["quantize", self.MODEL, *QUICK, "--steps", "200", "--mode", "parity", "-o", "q", "--lr"]
        r = self.dfq(*args, "1000", "--report", "r.html")
        assert r.code == FAILED and re.search("step .* is not finite, .*; lower the learning rate", r.err), r
        assert "q" not in self.names() and "q.resume" not in self.names(), self.names()
        self.works(*args, "1e-5")

    def test_other_options(self):
        args = ["quantize", "tiny.safetensors", *self.LONG, "-o", "q"]
        code, err = self.interrupt(args, "synth 30 %")
        assert code == INTERRUPTED, err
        self.fails(USAGE, "q.resume is left from an interrupted run; add --resume", *args)
        self.fails(USAGE, "--seed is 3, and q.resume was started with 0", *args, "--resume", "--seed",
                   "3")
        self.fails(USAGE, "--bits is w4a8, and q.resume was started with w4a4", *args, "--resume",
                   "--bits", "w4a8")
        for name, value in (("--mean", "0.5,0.5,0.25"), ("--heads", "4"), ("--crop", "0.5")):
            self.fails(USAGE, f"{name} is {value}, and q.resume was started with", *args, "--resume",
                       name, value)
        tiny.save(self.path("tiny.safetensors"), tiny.tensors(random.Random(8)))
        self.fails(USAGE, "tiny.safetensors is not the model", *args, "--resume")
        job = self.read("q.resume", "job.txt")
        assert job.endswith(b"\nend\n"), job
        for n in range(len(job)):
            with open(self.path("q.resume", "job.txt"), "wb") as f:
                f.write(job[:n])
            if n % 40 == 0 or n > len(job) - 5 or job[n - 1:n] == b"\n":
                self.fails(INPUT, "q.resume/job.txt: the file is (cut short|not of an).* with --force without --resume",
                           *args, "--resume")
        with open(self.path("q.resume", "job.txt"), "w", encoding="ascii") as f:
            f.write("nonsense")
        self.fails(INPUT, "job.txt", *args, "--resume")
        with open(self.path("q.resume", "mine"), "w", encoding="ascii") as f:
            f.write("what is not dfq's own is left alone")
        self.works(*args, "--force")
        assert os.listdir(self.path("q.resume")) == ["mine"]

    def test_damaged_checkpoint(self):
        args = ["quantize", "tiny.safetensors", *self.LONG, "-o", "q"]
        code, err = self.interrupt(args, "tune 30 %")
        assert code == INTERRUPTED, err
        with open(self.path("q.resume", "tune.safetensors"), "r+b") as f:
            f.truncate(1000)
        self.fails(INPUT, "tune.safetensors", *args[:-4], "-o", "q", "--data", "pictures",
                   "--resume")

    def test_synth(self):
        args = ["synth", "tiny.safetensors", "-n", "8", "--batch", "4", "--iters", "800"]
        self.works(*args, "-o", "whole")
        code, err = self.interrupt([*args, "-o", "s"], "synth 40 %")
        assert code == INTERRUPTED and "go on with" in err, err
        assert "s" not in self.names() and "s.resume" in self.names()
        self.works(*args, "-o", "s", "--resume")
        for name in os.listdir(self.path("whole")):
            assert self.read("s", name) == self.read("whole", name), name
        assert "s.resume" not in self.names() and not [n for n in self.names() if ".part" in n]

    def test_synth_killed(self):
        """Finished images lie in a file beside the checkpoint, and go with it."""
        args = ["synth", "tiny.safetensors", "-n", "20", "--batch", "2", "--iters", "160"]
        self.works(*args, "-o", "whole")
        code, _ = self.interrupt([*args, "-o", "s", "--checkpoint", "0.05"], "synth 60 %",
                                 signal.SIGKILL)
        assert code == -signal.SIGKILL and "s" not in self.names()
        kept = self.path("s.resume", "synth.safetensors.images-a")
        assert os.path.getsize(kept) >= 64 + 2 * 3 * 16 * 16 * 4, os.listdir(self.path("s.resume"))
        r = self.works(*args, "-o", "s", "--resume")
        assert "synth 10 %" not in r.err, r
        for name in os.listdir(self.path("whole")):
            assert self.read("s", name) == self.read("whole", name), name
        assert "s.resume" not in self.names()

    def test_eval(self):
        self.many_pictures(2000)
        args = ["eval", "tiny.safetensors", "-d", "pictures", "--json"]
        whole = json.loads(self.works(*args).out)
        code, err = self.interrupt([*args, "-t", "1"], "eval 10 %")
        if code == DONE:
            return "was faster than the signal"
        assert code == INTERRUPTED, err
        command = err.splitlines()[-1].split("go on with: ")[1].split()
        last = json.loads(self.works(*command[1:]).out)
        for key in ("n", "correct", "top1", "top5"):
            assert last[key] == whole[key], (last, whole)
        token = command[-1]
        for other in (["-d", "./pictures"], ["-d", "pictures", "--resize", "20"]):
            self.fails(USAGE, "the token of another model, other --data or other options", "eval",
                       "tiny.safetensors", *other, "--resume-at", token)
        for bad in ("x", "1-2-3-4", "10-20-30-0123456789abcdef"):
            self.fails(USAGE, "--resume-at", *args, "--resume-at", bad)
        return None


class ResumeCnn(Stopping):
    MODEL = "cnn.safetensors"
    LONG = Cnn.LONG

    def setup(self):
        super().setup()
        tiny.make_cnn(self.dir)

    def test_quantize(self):
        """In the warm-up of the generator, behind it, and when the result is judged."""
        self.check_quantize([("tune 10 %", signal.SIGINT), ("tune 50 %", signal.SIGINT),
                             ("quantized 10 %", signal.SIGINT)])

    def test_synth(self):
        """While a generator is trained."""
        args = ["synth", self.MODEL, "--kind", "gdfq", "-n", "8", "--batch", "8", "--iters", "150"]
        self.works(*args, "-o", "whole")
        code, err = self.interrupt([*args, "-o", "s"], "synth 40 %")
        assert code == INTERRUPTED and "go on with" in err, err
        self.works(*args, "-o", "s", "--resume")
        assert self.read("s", "images.safetensors") == self.read("whole", "images.safetensors")

    def test_warm_up(self):
        self.LONG = ("--bits", "w4a4", "--batch", "2", "--no-tune", "--data", "pictures", "--generator",
                     "qimera")
        self.check_quantize([("tune 30 %", signal.SIGINT)])

    def test_report_after_resume(self):
        """What the generator made is still there when judging was interrupted."""
        self.many_pictures(4000)
        args = ["quantize", self.MODEL, *self.LONG, "-r", "r.html", "-o", "q"]
        code, err = self.interrupt(args, "quantized 10 %")
        if code == DONE:
            return "was faster than the signal"
        assert code == INTERRUPTED, err
        assert "images.safetensors" in os.listdir(self.path("q.resume", "samples"))
        self.works(*args, "--resume")
        page = self.read("r.html").decode()
        for words in ("Synthetic images", "Changed codes of each weight", "Error of each layer"):
            assert words in page, words
        assert "q.resume" not in self.names()
        return None

    def test_other_options(self):
        args = ["quantize", self.MODEL, *self.LONG, "-o", "q"]
        code, err = self.interrupt(args, "tune 20 %")
        assert code == INTERRUPTED, err
        for name, value, was in (("--loss", "kl-ce", "ait"), ("--first-last-bits", "8", "auto"),
                                 ("--layer-bits", "fc=w8", "none"), ("--skip", "fc", "none"),
                                 ("--generator", "arc", "qimera")):
            self.fails(USAGE, f"{name} is {value}, and q.resume was started with {was}", *args,
                       "--resume", name, value)


class Explore(Stopping):
    """Co-exploration: a few steps in the smallest space on eight accelerators."""
    HARDWARE = {"pe_x": [8, 12], "pe_y": 8, "rf_words": [16, 64], "dataflow": ["ws", "os"],
                "pe_type": "fixed", "word_bits": 16, "psum_bits": 16, "glb_kb": 108,
                "clock_mhz": 200, "dram_gb_per_s": 3.2, "glb_gb_per_s": 25.6}
    BASE = ("explore", "cifar10-small", "--accel", "a.json", "--data", "pictures", "--batch", "2")
    SHORT = (*BASE, "--warmup-steps", "4", "--steps", "2", "--train-steps", "2")
    LIMITS = ("--fps", "900", "--energy-mj", "0.2", "--area-mm2", "0.6")
    STEPS = ("likeliest", "snapshot", "repair", "local search", "exact method", "least costs")

    def setup(self):
        super().setup()
        with open(self.path("a.json"), "w", encoding="ascii") as f:
            json.dump(self.HARDWARE, f)

    def explore(self, out, *args, code=DONE):
        r = self.dfq(*self.SHORT, "-o", out, "--json", "-q", *args)
        assert r.code == code, r
        return json.loads(r.out)

    def weights(self, name):
        """The tensors of a file, without what is said about them."""
        raw = self.read(name)
        return raw[8 + int.from_bytes(raw[:8], "little"):]

    def test_certified(self):
        r = self.explore("net", *self.LIMITS, "--test-data", "pictures", "--trajectory", "course",
                         "--seed", "3", "--report", "page.html")
        assert r["verdict"] == "certified" and r["file"] == "net", r
        c = r["costs"]
        assert c["fps"] >= 900 and c["energy_mj"] <= 0.2 and c["area_mm2"] <= 0.6, r
        assert abs(c["fps"] * c["latency_ms"] - 1000) < 0.1 and r["limits"]["fps"] == 900, r
        a = r["accelerator"]
        assert a["of"] == 8 and a["pe_x"] in (8, 12) and a["area_mm2"] == c["area_mm2"], r
        assert f"{a['pe_x']} x 8 elements ({a['dataflow']}, fixed)" in a["words"], r
        assert len(r["cells"]) == 9 and r["macs"] > 1e6 and r["seed"] == 3, r
        for cell in r["cells"]:
            kernel = re.fullmatch(r"k(\d)e(\d)", cell["choice"])
            words = f"{kernel[1]}x{kernel[1]} kernel, expansion {kernel[2]}" if kernel else "left out"
            assert cell["words"] == words, cell
            assert cell["chosen_by"] in self.STEPS, cell
            assert cell["chosen_by"] != "likeliest" or cell["choice"] == cell["raw"], cell
        assert a["chosen_by"] in self.STEPS, a
        assert r["n"] == 100 and 0 <= r["top1"] <= 1 and "tightest" not in r, r
        assert 0.1 <= r["chance"] < 1 and r["above_chance"] == 0, r  # two steps teach nothing
        assert r["steps"] == {"warmup": 4, "explore": 2, "train": 2}, r
        rows = self.read("course.csv").decode().splitlines()
        assert len(rows) == 3 and rows[0].startswith('step,loss,"latency_ms"'), rows
        assert b"</svg>" in self.read("course.svg") and "net.resume" not in self.names()
        page = self.read("page.html").decode()
        assert page.count("<circle") > 900 and page.rstrip().endswith("</html>"), page[-300:]
        for part in ("certified", "limit 0.6", "5x5 kernel", "Curves", "Training loss, final network", "--seed 3",
                     "Estimated loss over latency", "Estimated loss over area", "limit 0.2 mJ",
                     "certified result: latency", "likeliest, before repair: latency"):
            assert part in page, part
        assert "\u2212soft" not in page and "\u2212size" not in page and "\u2212weak" not in page
        for part in ("cover accuracy: accuracy at chance level", "<span>accuracy at chance level",
                     "<th>Chosen by</th>"):
            assert part in page, part
        chosen = {c["chosen_by"] for c in [*r["cells"], a]}
        assert ("met the limits without repair" in page) == (chosen == {"likeliest"}), chosen
        assert "<script" not in page and "http" not in page
        text = self.works(*self.SHORT, *self.LIMITS, "-o", "text", "--seed", "3", "-t", "1",
                          "--test-data", "pictures")
        assert self.read("text") == self.read("net")
        assert re.search(r"every limit is met;\n +accuracy at chance level \(.* %; one class for all "
                         r"images gets .* %\)\nchosen       \d+ .*, of 15 choices", text.out), text.out
        for cell in r["cells"]:
            by = "" if cell["chosen_by"] == "likeliest" else f" ({cell['chosen_by']})"
            assert f"  {cell['name']:<10} {cell['words']}{by}\n" in text.out, text.out
        assert "verdict      certified" in text.out and "; limit 0.6" in text.out, text
        assert re.search(r"about .* \(tables .*, 4 steps of warm-up .*, 2 of exploring .*, repair .*, 2 of "
                         r"training .*, statistics .*, judging 100 images .*\) on 100 images and .* "
                         r"of memory", text.err), text.err

    def test_space_in_a_file(self):
        space = {"dfq_space": 1, "name": "two", "network": "mbconv", "image_px": 32, "classes": 10,
                 "stem": 8, "first": 8, "head": 16,
                 "stages": [{"width": 8, "cells": 2, "stride": 2}],
                 "choices": [{"kernel": 3, "expand": 1}, {"kernel": 5, "expand": 2}]}

        def write():
            with open(self.path("space.json"), "w", encoding="ascii") as f:
                json.dump(space, f)
        args = ["explore", "space.json", *self.SHORT[2:], *self.LIMITS]
        write()
        r = json.loads(self.works(*args, "-o", "net", "--json").out)
        assert r["space"] == "space.json" and r["verdict"] == "certified", r
        assert len(r["cells"]) == 2, r
        assert all(c["choice"] in ("k3e1", "k5e2", "skip") for c in r["cells"]), r
        os.remove(self.path("space.json"))  # the network's file holds it
        info = json.loads(self.works("info", "net", "--json").out)
        assert info["name"] == "two" and info["image"] == 32, info
        space["stages"][0]["width"] = 0
        write()
        self.fails(INPUT, 'space.json: "width" of "stages" is 0', *args, "-o", "again")

    def small(self):
        """A space that networks learn within seconds."""
        space = {"dfq_space": 1, "name": "two", "network": "mbconv", "image_px": 32, "classes": 10,
                 "stem": 8, "first": 8, "head": 16,
                 "stages": [{"width": 8, "cells": 3, "stride": 2}],
                 "choices": [{"kernel": 3, "expand": 1}, {"kernel": 5, "expand": 2}]}
        with open(self.path("space.json"), "w", encoding="ascii") as f:
            json.dump(space, f)
        return ["explore", "space.json", *self.SHORT[2:], *self.LIMITS, "--evaluator", "networks"]

    def test_networks(self):
        args = self.small()
        r = self.works(*args, "-o", "net", "--json", "--report", "page.html", "--evaluator-steps",
                       "4000")
        for said in ("evaluator networks", "about .* to train the evaluator .4000 steps., then the "
                     "hw-generator .1000 steps.", "evaluator 50 %", "hw-generator 50 %",
                     "about .* of warm-up .* on 100 images"):
            assert re.search(said, r.err), (said, r.err)
        assert r.err.index("hw-generator 100 %") < r.err.index("of warm-up"), r.err
        whole = json.loads(r.out)
        assert whole["verdict"] == "certified" and whole["evaluator"] == "networks", whole
        n = whole["networks"]
        for metric in ("latency_ms", "energy_mj"):
            assert 0 < n["mean_error"][metric] <= 0.01, n
            assert n["mean_error"][metric] < n["p99_error"][metric] < 0.1, n
            assert 0 < n["gap"][metric] < 0.2, n
        assert n["mean_error"]["area_mm2"] == n["gap"]["area_mm2"] == 0, n
        assert n["evaluator_steps"] == 4000, n
        assert 0 <= n["hw_generator_accuracy"] <= 1 and n["hw_generator_regret"] >= 0, n
        page = self.read("page.html").decode()
        for part in ("evaluator networks", "The evaluator", "At the result", "steps of the evaluator"):
            assert part in page, part
        text = self.works(*args, "-o", "text", "--evaluator-steps", "4000", "-t", "1", "-q")
        assert self.read("text") == self.read("net")
        assert re.search(r"evaluator    networks: latency .* % off on average", text.out), text
        long = [*args, "-o", "again", "--evaluator-steps", "4000", "--resume"]
        for seen in ("evaluator 30 %", "hw-generator 20 %"):
            code, err = self.interrupt(long, seen)
            assert code == INTERRUPTED and "go on with: " in err, err
        self.fails(USAGE, "--evaluator is tables, and again.resume was started with networks",
                   *[a for a in long if a not in ("--evaluator", "networks", "--evaluator-steps",
                                                  "4000")])
        r = self.works(*long, "--json")
        assert "evaluator 50 %" not in r.err and self.read("again") == self.read("net"), r.err
        assert json.loads(r.out)["networks"] == n, r.out

    def test_networks_that_are_not_good_enough(self):
        args = self.small()
        r = self.dfq(*args, "-o", "net", "--evaluator-steps", "5", "-q")
        assert r.code == FAILED and len(r.err.splitlines()) == 1, r
        assert re.search("evaluator: the mean relative error of latency_ms is .* % on 8192 "
                         "held-out samples, must be at most 1 %; train longer than 5 steps", r.err), r.err
        assert "net" not in self.names(), self.names()
        page = self.explore("tables", *self.LIMITS)
        assert page["evaluator"] == "tables" and "networks" not in page, page

    def test_infeasible(self):
        r = self.explore("net", "--fps", "1e6", "--area-mm2", "5", "--trajectory", "course",
                         "--report", "page.html", code=INFEASIBLE)
        page = self.read("page.html").decode()
        for part in ("No choices in the space meet all limits", "closest: latency",
                     "Energy over latency", "no estimates of losses", "limit 0.001 ms"):
            assert part in page, part
        assert "Estimated loss" not in page and "met the limits without repair" not in page
        assert "repair" in {c["chosen_by"] for c in [*r["cells"], r["accelerator"]]}, r
        assert r["verdict"] == "infeasible" and r["file"] is None and r["proved"] == 1, r
        assert 1000 < r["tightest"]["fps"] < 1e6 and len(r["cells"]) == 9, r
        assert r["tightest"]["fps"] <= r["least"]["fps"] < 1e6, r
        assert r["least"]["area_mm2"] < 5 and r["least"]["energy_mj"] is None, r
        assert "course.csv" in self.names(), self.names()
        assert "net" not in self.names() and "net.resume" not in self.names()
        r = self.dfq(*self.SHORT, "-o", "net", "-q", "--fps", "1e6")
        assert r.code == INFEASIBLE and len(r.err.splitlines()) == 1, r
        assert "no choice meets latency_ms" in r.err and "would do" in r.err, r
        assert "verdict      infeasible" in r.out and "least within the other limits" in r.out, r
        assert re.search(r"limit 0.001, 1e\+06 images/s, [\d.]+ times that", r.out) and "nearest: latency_ms" in r.err, r
        r = self.dfq(*self.BASE, "-o", "net", "--fps", "1e6")
        assert r.code == INFEASIBLE and "no choice meets these limits" in r.err, r
        assert "warm-up 10 %" not in r.err, r

    def test_limits_that_are_each_impossible(self):
        r = self.explore("net", "--fps", "1e6", "--energy-mj", "1e-4", "--report", "page.html",
                         code=INFEASIBLE)
        assert r["tightest"]["latency_ms"] is None and r["tightest"]["energy_mj"] is None, r
        least = r["least"]
        assert 0.01 < least["latency_ms"] < 1 and least["energy_mj"] > 1e-4, r
        assert abs(least["latency_ms"] * least["fps"] - 1000) < 0.1, r
        assert f"least of all choices: {least['latency_ms']:.4g}" in self.read("page.html").decode()
        r = self.dfq(*self.SHORT, "-o", "net", "-q", "--fps", "1e6", "--energy-mj", "1e-4")
        assert r.code == INFEASIBLE and len(r.err.splitlines()) == 1, r
        assert r.err.count("no other value would do; least ") == 2, r
        assert f"least of all choices: {least['energy_mj']:.4g}" in r.out, r
        assert r.out.count("no other value of this limit alone would do") == 2, r

    def test_size_and_power(self):
        """Further limits, told with the others: met, and what would do."""
        r = self.explore("net", "--size-mb", "3", "--power-mw", "400", "--trajectory", "course", "--report", "page.html")
        c = r["costs"]
        assert c["size_mb"] <= 3 and c["power_mw"] <= 400 and r["limits"]["power_mw"] == 400, r
        assert abs(c["power_mw"] - 1000 * c["energy_mj"] / c["latency_ms"]) < 1e-4 * c["power_mw"], r
        assert '"size_mb","power_mw"' in self.read("course.csv").decode().splitlines()[0].replace(" ", "")
        page = self.read("page.html").decode()
        assert "limit 400" in page and "Power of the mixture, mW" in page and "Estimated loss over power" in page, page[:300]
        r = self.dfq(*self.SHORT, "-o", "net", "-f", "-q", "--power-mw", "1", "--fps", "900")
        assert r.code == INFEASIBLE and re.search("power_mw <= 1 \\(.* would do, .* times; least", r.err), r
        assert re.search("power .* mW on average; limit 1, .* times that; least within the other limits", r.out), r
        self.fails(USAGE, "limits of size and power need the tables", *self.SHORT, "-o", "net2", "--power-mw", "400",
                   "--evaluator", "networks")

    def test_weights_serve_again(self):
        first = self.explore("a", *self.LIMITS, "--save-supernet", "warm")
        args = [*self.BASE, "--steps", "2", "--train-steps", "2", *self.LIMITS]
        second = json.loads(self.works(*args, "-o", "b", "--supernet", "warm", "--json").out)
        assert self.read("a") == self.read("b") and first["cells"] == second["cells"]
        assert second["steps"]["warmup"] == 0, second
        self.fails(INPUT, "the supernet of space cifar10-small", "info", "warm")
        self.fails(INPUT, "must be F32 .*; give a supernet of this space", "explore", "cifar10-full", *args[2:], "-o", "c",
                   "--supernet", "warm")

    def test_rules(self):
        for rule in ("none", "penalty", "absolute", "frank-wolfe", "network-first", "alternate", "project"):
            weight = ["--cost-weight", "0.1"] if rule in ("none", "network-first") else []
            r = self.explore(rule, *self.LIMITS, "--rule", rule, *weight)
            assert r["rule"] == rule and r["verdict"] == "certified", r
        courses = set()
        for function in ("mean", "reference", "edap"):
            r = self.explore(function, *self.LIMITS, "--rule", "none", "--cost-weight", "2",
                             "--cost-function", function, "--report", function + ".html", "--steps", "4",
                             "--trajectory", function)
            courses.add(self.read(function + ".csv"))
            assert r["cost_function"] == function and r["cost_weight"] == 2, r
            assert f"{function}, weight 2" in self.read(function + ".html").decode()
            assert ("reference" in r) == (function != "mean"), r
            if function != "mean":  # all 5x5 with expansion 6 on 12 x 8 elements and 64 words
                ref = r["reference"]
                assert ref["latency_ms"] > 0.5 and 0.6 < ref["area_mm2"] < 2, ref
        assert len(courses) == 3
        with open(self.path("slow.json"), "w", encoding="ascii") as f:
            json.dump({**self.HARDWARE, "clock_mhz": 20, "dram_gb_per_s": 0.32}, f)
        r = self.explore("product", "--accel", "slow.json", "--fps", "150", "--rule", "product",
                         "--penalty", "0.5")
        assert r["rule"] == "product" and r["verdict"] == "certified", r

    def test_plan(self):
        """The memory of the plan is the whole job's, not what the process has taken so far: two
        million steps leave records of some 100 MB."""
        told = []
        for steps in ("20", "2000000"):
            code, err = self.interrupt([*self.BASE, *self.LIMITS, "--warmup-steps", "4", "--steps",
                                        steps, "-t", "1", "-o", "n" + steps], "of memory")
            assert code in (DONE, INTERRUPTED), err
            told.append(float(re.search(r"([\d.]+) MB of memory", err).group(1)))
        assert 50 < told[1] - told[0] < 200, told

    def test_without_training(self):
        r = self.explore("net", *self.LIMITS, "--train-steps", "0", "--warmup-steps", "0")
        assert r["steps"] == {"warmup": 0, "explore": 2, "train": 0} and r["file"] == "net", r

    def test_resume(self):
        args = [*self.BASE, *self.LIMITS, "--warmup-steps", "40", "--steps", "12", "--train-steps",
                "40", "--test-data", "pictures"]
        self.works(*args, "-o", "whole", "--save-supernet", "warm")
        for seen in ("warm-up 20 %", "explore 30 %", "train 40 %"):
            extra = ["-o", "net", "--resume", "--save-supernet", "again"]
            code, err = self.interrupt([*args, *extra], seen)
            assert code == INTERRUPTED and "go on with: " in err, err
        self.fails(USAGE, "--steps is 21, and net.resume was started with 12", *args, "-o", "net",
                   "--resume", "--steps", "21")
        self.fails(USAGE, "the weights after the warm-up of this job were not kept", *args, "-o", "net", "--resume",
                   "--save-supernet", "late")
        self.works(*args, "-o", "net", "--resume", "--save-supernet", "again", "-t", "1")
        assert self.read("net") == self.read("whole") and "net.resume" not in self.names()
        assert self.weights("again") == self.weights("warm")
        code, _ = self.interrupt([*args, "-o", "killed"], "explore 20 %", signal.SIGKILL)
        assert code == -signal.SIGKILL and "killed.resume" in self.names()
        r = self.works(*args, "-o", "killed", "--resume")
        assert self.read("killed") == self.read("whole") and "warm-up 50 %" not in r.err, r

    def test_wrong_lines(self):
        def wrong(pattern, *args, code=USAGE):
            self.fails(code, pattern, "explore", *args)
        full = [*self.SHORT[1:], "-o", "net", *self.LIMITS]
        wrong("the search space or model is missing")
        wrong("give one search space, not a and b", "a", "b")
        wrong("-o OUT is missing", "cifar10-small")
        wrong("--accel is missing", "cifar10-small", "-o", "net")
        wrong("a limit is missing; give --fps", "cifar10-small", "-o", "net", "--accel", "a.json")
        wrong("--data is missing", "cifar10-small", "-o", "net", "--accel", "a.json", "--fps", "9")
        for limit in ("--fps", "--energy-mj", "--area-mm2", "--size-mb", "--power-mw"):
            for value in ("0", "-1", "nan", "inf", "", "x"):
                wrong(f"{limit} is .*must be a number", *full, limit, value)
        wrong("search space \"cifar100\" is not known; built in are cifar10-small", "cifar100", *full[1:])
        wrong("cannot read nowhere: there is no such file; presets: .*hdx-space", *full,
              "--accel", "nowhere", code=INPUT)
        wrong("nowhere", *full, "--data", "nowhere", code=INPUT)
        wrong("nowhere", *full, "--test-data", "nowhere", code=INPUT)
        wrong("nowhere", *self.BASE[1:], "-o", "net", "--fps", "9", "--supernet", "nowhere",
              code=INPUT)
        wrong("--rule exact is for losses that are known beforehand", *full, "--rule", "exact")
        wrong("--rule is \"x\", must be constraint-gradient, .*, network-first, product, alternate or project", *full,
              "--rule", "x")
        wrong("rule product takes logarithms; energy_mj is .* must be above 1", *full, "--rule",
              "product")
        wrong("--penalty is not for --rule project", *full, "--penalty", "2")
        wrong("--cost-function is \"x\", must be mean, reference or edap", *full, "--cost-weight",
              "1", "--cost-function", "x")
        wrong("--cost-function is for --cost-weight above 0; add that", *full,
              "--cost-function", "edap")
        wrong("--evaluator is \"both\", must be tables or networks", *full, "--evaluator", "both")
        wrong("--evaluator-steps is for --evaluator networks", *full, "--evaluator-steps", "9")
        for rule in ("frank-wolfe", "network-first", "product", "alternate", "project"):
            wrong(f"--evaluator networks and --rule {rule} exclude each other", *full, "--evaluator",
                  "networks", "--rule", rule)
        wrong("--supernet and --warmup-steps exclude each other", *full, "--supernet", "w")
        wrong("--warmup-steps 0 and --save-supernet exclude each other", *full, "--warmup-steps", "0", "--save-supernet", "w")
        wrong("--batch is 1, must be a whole number from 2", *full, "--batch", "1")
        wrong("-o net is --save-supernet net, which this run writes too", *full, "--save-supernet", "net")
        wrong("--trajectory is empty", *full, "--trajectory", "")
        wrong("folder nowhere does not exist", *full, "--trajectory", "nowhere/x", code=OUTPUT)
        wrong("option --skip.* is not known", *full, "--skip", "head")
        wrong("-o a.json is --accel a.json, which this run reads", *full, "-o", "a.json")
        wrong("tiny.safetensors exists already", *full, "-o", "tiny.safetensors")

    def test_labels(self):
        args = [*self.SHORT, *self.LIMITS, "-o", "net"]
        shutil.copytree(self.path("pictures"), self.path("more"))
        with open(self.path("more", "labels.csv"), "a", encoding="ascii") as f:
            f.write("100.png,10\n")
        shutil.copy(self.path("more", "0.png"), self.path("more", "100.png"))
        self.fails(INPUT, "label is 10, must be 0 to 9, a class of space cifar10-small", *args, "--data",
                   "more")
        self.fails(INPUT, "label is 10, must be 0 to 4", *args, "--test-data",
                   "more")

    def goes_on(self, space, family, *args):
        """Explores, and compares what the other verbs tell of the network; returns its info."""
        r = json.loads(self.works("explore", space, *self.SHORT[2:-2], *self.LIMITS, "--train-steps",
                                  "20", "-o", "net", "--test-data", "pictures", "--json",
                                  *args).out)
        j = json.loads(self.works("eval", "net", "--data", "pictures", "--json").out)
        assert j["n"] == r["n"] == 100 and j["correct"] == round(100 * r["top1"]), (j, r)
        config = str(r["accelerator"]["config"])
        j = json.loads(self.works("cost", "net", "--accel", "a.json", "--config", config,
                                  "--json").out)
        have = (j["total"]["ms"], j["images_per_s"], j["mj_per_image"], j["area_mm2"])
        c = r["costs"]
        assert have == (c["latency_ms"], c["fps"], c["energy_mj"], c["area_mm2"]), (have, c)
        macs = json.loads(self.works("info", "net", "--json").out)["macs"]
        assert macs == j["total"]["macs"] == r["macs"], (macs, j["total"], r)
        for key in ("config", "pe_x", "rf_words", "dataflow"):
            assert j["accelerator"][key] == r["accelerator"][key], (j["accelerator"], r)
        text = self.works("cost", "net", "--accel", "a.json", "--config", config).out
        assert f"number {config} of 8\n" in text, text
        assert max(len(line) for line in text.split("\n")) <= 80, text
        j = json.loads(self.works("info", "net", "--json").out)
        assert j["name"] == r["space"] and j["family"] == family, j
        assert j["cells"] == " ".join(cell["choice"] for cell in r["cells"]), (j, r)
        text = self.works("info", "net").out
        assert family in text and j["cells"] in text, text
        return j

    def test_network_goes_on(self):
        info = self.goes_on("cifar10-small", "MBConv network of a search space")
        assert info["batchnorms"] > 10 and "patch" not in info, info
        self.fails(USAGE, "--config is 8, must be 0 to 7, an accelerator of a.json", "cost", "net",
                   "--accel", "a.json", "--config", "8")
        q = json.loads(self.works("quantize", "net", "--bits", "w4a4", "-o", "q", "--steps", "10", "--images", "8",
                                  "--iters", "2", "--batch", "4", "--data", "pictures", "--json").out)
        assert q["float_top1"] == json.loads(
            self.works("eval", "net", "--data", "pictures", "--json").out)["top1"], q
        j = json.loads(self.works("eval", "q", "--data", "pictures", "--json").out)
        assert (j["correct"], j["weight_bits"], j["name"]) == (q["correct"], 4, "cifar10-small"), j
        j = json.loads(self.works("info", "q", "--json").out)
        assert j["quantized"] == 1 and j["parameters"] == info["parameters"], j
        assert j["macs"] == info["macs"] and q["bytes"] < 0.4 * info["bytes"], (j, info)
        self.works("cost", "q", "--accel", "a.json")
        self.works("quantize", "net", "--bits", "w6a6", "-o", "p", "--no-tune", "--real", "pictures",
                   "--images", "8")

    def test_stages_go_on(self):
        info = self.goes_on("cifar10-vit-small", "vision transformer of a search space",
                            "--fps", "300")
        assert info["patch"] == 4 and info["width"] == 64 and "heads" not in info, info
        self.fails(INPUT, "which no method quantizes", "quantize", "net", "--bits",
                   "w4a4", "-o", "q")
        self.fails(INPUT, "must be a ViT, DeiT or Swin", "synth", "net", "-o", "q")
        j = json.loads(self.works("bench", "net", "--batch", "2", "--json").out)
        assert j["forward"]["images_per_second"] > 1 and "tuning" not in j, j


class Embedded(Part):
    """The main path on the network that lies in examples/, on figures that it has never seen."""
    N = 300

    def test_vit_figures(self):
        model = os.path.join(os.environ["DFQ_TEST_EXAMPLES"], "figures_vit.safetensors")
        draw = os.environ.get("DFQ_TEST_FIGURES")
        if not draw:
            return "the examples are not built"
        subprocess.run([draw, "test.bin", str(self.N), "4242"], cwd=self.dir, check=True)
        whole = json.loads(self.works("eval", model, "--data", "test.bin", "--json").out)
        assert whole["n"] == self.N and whole["correct"] >= 297, whole  # measured: 300
        few = ("--images", "16", "--batch", "8", "--iters", "20")
        r = json.loads(self.works("synth", model, "-o", "set", *few, "--json").out)
        assert r["images"] == 16 and 0 < r["similarity_after"] < 1, r
        r = json.loads(self.works("quantize", model, "--bits", "w8a8", "-o", "q", "--synth", "set", "--steps",
                                  "10", "--batch", "8", "--data", "test.bin", "--report", "r.html",
                                  "--json").out)
        assert r["float_top1"] == whole["top1"] and r["correct"] >= whole["correct"] - 9, r  # 1 less
        j = json.loads(self.works("eval", "q", "--data", "test.bin", "--json").out)
        assert j["correct"] == r["correct"] and j["weight_bits"] == 8, (j, r)
        page = self.read("r.html").decode()
        assert "vit_figures" in page and page.endswith("</html>\n")
        assert json.loads(self.works("info", "q", "--json").out)["quantized"] == 1
        return None

    def test_memory_is_its_own(self):
        """Not that of the process which started it, with which the system's count begins."""
        if self.is_sanitized():
            return "this build takes memory of its own"
        model = os.path.join(os.environ["DFQ_TEST_EXAMPLES"], "figures_vit.safetensors")
        ballast = b"x" * (300 << 20)
        r = self.works("eval", model, "-d", "pictures", "-j", "--resize", "32")
        told = float(re.search(r" and ([\d.]+) MB of memory", r.err).group(1))
        assert len(ballast) > 3e8 and told < 150 and json.loads(r.out)["peak_bytes"] < 150e6, r
        return None

    def test_memory_of_the_plan(self):
        """What is told before the work is what the process takes, and grows with the images."""
        if self.is_sanitized():
            return "this build takes memory of its own"
        model = os.path.join(os.environ["DFQ_TEST_EXAMPLES"], "figures_vit.safetensors")
        for n, more in ((16, ()), (256, ()), (256, ("--rounding", "nearest"))):
            r = self.works("quantize", model, "--bits", "w4a4", "-o", "q", "-f", "-j", "--no-images", "-n", str(n),
                           *more)
            told = 1e6 * float(re.search(r" and ([\d.]+) MB of memory", r.err).group(1))
            taken = json.loads(r.out)["peak_bytes"]
            assert taken / 1.5 < told < 1.5 * taken, (n, more, told, taken)
        return None


class Assets(Part):
    """The real model, where it is."""

    def test_vit_tiny(self):
        shared = os.environ.get("DFQ_TEST_ASSETS", "")
        model = os.path.join(shared, "models", "vit_tiny_patch16_224.safetensors")
        data = os.path.join(shared, "data", "imagenet_val_650")
        if not os.path.exists(model) or not os.path.exists(data):
            return "DFQ_TEST_ASSETS has no model"
        j = json.loads(self.works("info", model, "--json").out)
        assert (j["depth"], j["heads"], j["classes"]) == (12, 3, 1000)
        assert j["properties"]["resize"] == {"value": "248", "source": "name"}, j
        # The pictures are crops already: their central 224 pixels are what was published for them.
        r = self.works("eval", model, "--data", data, "--resize", "0", "--json")
        j = json.loads(r.out)
        assert (j["n"], j["correct"], j["correct5"]) == (650, 535, 624) and "warning" not in r.err, r
        return None

    def test_resnet20(self):
        shared = os.environ.get("DFQ_TEST_ASSETS", "")
        model = os.path.join(shared, "models", "resnet20_cifar10.safetensors")
        data = os.path.join(shared, "data", "cifar10", "test_1000.bin")
        if not os.path.exists(model) or not os.path.exists(data):
            return "DFQ_TEST_ASSETS has no model"
        j = json.loads(self.works("info", model, "--json").out)
        assert (j["family"], j["batchnorms"], j["parameters"]) == ("ResNet", 19, 269722), j
        assert "patch" not in j and abs(j["macs"] / 40.8e6 - 1) < 0.02, j
        assert "19 convolutions with BatchNorm" in self.works("info", model).out
        j = json.loads(self.works("eval", model, "--data", data, "--json").out)
        assert (j["n"], j["correct"], j["correct5"]) == (1000, 915, 998), j
        j = json.loads(self.works("quantize", model, "--bits", "w4a4", "-o", "q", "--steps", "24",
                                  "--images", "64", "--batch", "32", "--lr", "1e-4", "--data", data,
                                  "--json").out)
        assert j["float_top1"] == 0.915 and j["top1"] > 0.6 and j["bytes"] < 180000, j
        return None


class Onnx(Part):
    """Networks that PyTorch exported (tests/golden/make_onnx.py), from one end to the other."""

    def setup(self):
        super().setup()
        golden = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "golden")
        for name in ("cnn_folded", "cnn_norms", "vit_pieces"):
            shutil.copy(os.path.join(golden, f"import_{name}.onnx"), self.path(name + ".onnx"))

    def low(self, name, *args):
        """The network at 8 bits reads back, runs and is an ONNX file again."""
        self.works("quantize", name + ".onnx", "--bits", "w8a8", "-o", "q", "-f", *args)
        j = json.loads(self.works("info", "q", "--json").out)
        assert (j["weight_bits"], j["act_bits"]) == (8, 8), j
        self.works("export", "q", "-o", "again.onnx", "-f")
        self.works("bench", "--runtime", "q")

    def test_transformer(self):
        j = json.loads(self.works("info", "vit_pieces.onnx", "--json").out)
        assert j["depth"] > 0 and j["heads"] > 1, j
        self.low("vit_pieces", "--no-images")
        r = self.works("synth", "vit_pieces.onnx", "-o", "s", "-n", "2", "--iters", "2")
        assert "inter-head similarity" in r.out, r.out

    def test_convolutions(self):
        """Where BatchNorm is folded away, no statistics are left, and drawn images are."""
        few = ("-n", "8", "--iters", "2")
        told = ("--mean", "0.5,0.5,0.5", "--std", "0.5,0.5,0.5")
        self.works("synth", "cnn_norms.onnx", "-o", "bns", "--kind", "bns", *few)
        self.low("cnn_norms", "--synth", "bns", "--no-tune")
        self.fails(INPUT, "no BatchNorm; take kind prior, noise or leaves$", "synth",
                   "cnn_folded.onnx", "-o", "s", "--kind", "bns", *told)
        j = json.loads(self.works("synth", "cnn_folded.onnx", "-o", "leaves", "--kind", "leaves",
                                  *few, "--json").out)
        assert j["distance_after"] is None, j
        self.low("cnn_folded", "--synth", "leaves", "--no-tune")


def main():
    parts = {c.__name__.lower(): c for c in Part.__subclasses__() + Stopping.__subclasses__()}
    part = parts[sys.argv[2]](os.path.abspath(sys.argv[1]))
    tests = [n for n in dir(part) if n.startswith("test_")]
    print(f"1..{len(tests)}")
    for i, name in enumerate(tests):
        part.setup()
        begin = time.time()
        try:
            skip = getattr(part, name)()
            print(f"ok {i + 1} - {name}" + (f" # SKIP {skip}" if skip else ""))
        except Exception: # the next test shall run all the same
            print(f"not ok {i + 1} - {name}")
            traceback.print_exc()
        finally:
            part.teardown()
        print(f"{name}: {time.time() - begin:.1f} s", file=sys.stderr)
        sys.stdout.flush()


if __name__ == "__main__":
    main()
