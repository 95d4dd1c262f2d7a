"""What a run reads and writes is looked at before the work: nothing is lost, nothing is written twice.
Usage: test_places.py DFQ PART."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys

import test_cli
import tiny
from test_cli import DONE, GIVEN, HANGS, INTERRUPTED, OUTPUT, QUICK, USAGE, Part, Stopping


class Places(Part):
    """One look at all places, by device and inode and by parent and name."""

    def setup(self):
        super().setup()
        os.symlink("tiny.safetensors", self.path("link"))
        os.link(self.path("tiny.safetensors"), self.path("hard"))
        os.mkdir(self.path("sub"))
        os.symlink("..", self.path("sub", "up"))

    def refused(self, pattern, *args, code=USAGE):
        self.fails(code, pattern, *args, *(GIVEN if args[0] == "quantize" else []))

    def test_one_file_in_two_spellings(self):
        for other in ("q", "./q", "sub/../q", "sub/up/q", os.path.join(self.dir, "q")):
            self.refused("-o q is --report .*q, which this run writes too", "quantize",
                         "tiny.safetensors", "-o", "q", "--report", other)
        with open(self.path("old"), "w", encoding="ascii") as f:
            f.write("mine")
        os.symlink("old", self.path("soft"))
        os.link(self.path("old"), self.path("twin"))
        for other in ("soft", "twin"):
            self.refused("is --report", "quantize", "tiny.safetensors", "-o", "old", "-f",
                         "--report", other)
        self.refused(r"q\.resume, which this run writes too", "quantize", "tiny.safetensors", "-o",
                     "q", "--report", "./q.resume")
        full = ["explore", "cifar10-small", "--accel", "hdx-space", "--fps", "1", "--data",
                "pictures", "-o", "net"]
        self.refused("-o net is --save-supernet ./net", *full, "--save-supernet", "./net")
        self.refused(r"-o n.csv is --trajectory ./n.csv", *full[:-1], "n.csv", "--trajectory",
                     "./n")
        self.refused(r"--report n.svg is --trajectory ./n.svg", *full, "--report", "n.svg",
                     "--trajectory", "./n")

    def test_force_covers_no_input(self):
        model = self.read("tiny.safetensors")
        for out in ("tiny.safetensors", "./tiny.safetensors", "link", "hard"):
            for args in (["-o", out], ["-o", "q", "--report", out]):
                self.refused("is tiny.safetensors, which this run reads", "quantize",
                             "tiny.safetensors", "-f", *args)
        assert self.read("tiny.safetensors") == model
        labels, picture = self.read("pictures", "labels.csv"), self.read("pictures", "3.png")
        os.link(self.path("pictures", "3.png"), self.path("three"))
        os.symlink("pictures", self.path("same"))
        for option in ("--data", "--real"):
            for out in ("pictures/labels.csv", "pictures/3.png", "pictures/new", "same/new"):
                self.refused(f"is in {option} pictures, which this run reads", "quantize",
                             "tiny.safetensors", "-f", option, "pictures", "-o", out)
            self.refused(f"-o three is a file of {option} pictures", "quantize",
                         "tiny.safetensors", "-f", option, "pictures", "-o", "three")
        assert (self.read("pictures", "labels.csv"), self.read("pictures", "3.png")) == \
            (labels, picture)
        for out in ("pictures", "same", "sub/up/pictures"):
            self.refused(f"-o {out} is a folder with other files, and a set of images must have a "
                         f"folder of its own; give a new name, for example -o {out}/images", "synth",
                         "tiny.safetensors", "-f", "-o", out)
        for out in (".", "./.", "pictures/.."):
            self.refused(f"-o {out} is a folder in use, and a set of images must have a folder of its "
                         f"own; give a new name, for example -o {out}/images", "synth",
                         "tiny.safetensors", "-f", "-o", out)
        self.refused(f"-o {self.dir} is the folder of tiny.safetensors", "synth",
                     "tiny.safetensors", "-f", "-o", self.dir)
        assert self.read("pictures", "labels.csv") == labels

    def test_shards_are_inputs(self):
        """Of a model in several files each is read, not the index alone."""
        tiny.make_shards(self.dir)
        before = [self.read(f"tiny-{k}.safetensors") for k in range(2)]
        os.symlink("tiny-0.safetensors", self.path("soft"))
        os.link(self.path("tiny-1.safetensors"), self.path("hard-1"))
        index = "sub/up/tiny.safetensors.index.json"
        for out in ("tiny-0.safetensors", "sub/../tiny-1.safetensors", "soft", "hard-1"):
            for verb, *args in (["export"], ["quantize", *QUICK], ["synth"]):
                self.fails(USAGE, f"-o {out} is a file of {index}, which this run reads", verb, index, *args, "-o", out, "-f")
            self.refused("--report .* is a file of", "quantize", index, "-o", "q", "-f", "--report", out)
        assert before == [self.read(f"tiny-{k}.safetensors") for k in range(2)]
        self.works("export", index, "-o", "tiny-2.safetensors")

    def test_every_option_that_names_a_file(self):
        """An option that is new must be in the table of places too."""
        for name in ("thing", "thing.json"):
            shutil.copy(self.path("tiny.safetensors"), self.path(name))
        os.mkdir(self.path("x"))
        needs = {"quantize": ["tiny.safetensors", *GIVEN],
                 "synth": ["tiny.safetensors"],
                 "explore": ["cifar10-small", "--fps", "1", "--data", "pictures", "--accel",
                             "hdx-space"]}
        seen = set()
        for verb, args in needs.items():
            for name, value in re.findall(r"(--[\w-]+) (FILE|DIR|PATH|PREFIX)\b",
                                          self.works(verb, "--help").out):
                writes = name in ("--report", "--save-supernet", "--trajectory", "--bits-file-out")
                out = "thing.csv" if value == "PREFIX" else "thing"
                needed = [*args, "--data", "pictures"] if name == "--labels-from" else args
                if verb == "quantize" and name in ("--accel", "--damages"):  # they are for limits, which choose the bits
                    limit = ["--limit-energy-mj", "1"] if name == "--accel" else ["--mean-bits", "4"]
                    needed = [a for a in args if a not in ("--bits", "w4a4")] + limit
                if verb == "explore" and name in ("--damages", "--synth", "--bits-file-out"):
                    needed = ["tiny.safetensors", "--fps", "1", "--accel", "hdx-space"]  # of a model
                self.fails(USAGE, f"-o ./{out} is {name} .*{out}, which this run "
                           f"{'writes too' if writes else 'reads'}", verb, *needed, "-f", name,
                           "thing", "-o", "./" + out)
                seen.add(name)
        assert len(seen) >= 9, seen
        for verb, args in (("quantize", QUICK), ("synth", ()), ("explore", needs["explore"][1:])):
            self.fails(USAGE, "-o x/../thing.json is ./thing.json, which this run reads", verb,
                       "./thing.json", *args, "-f", "-o", "x/../thing.json")

    def test_impossible_places(self):
        os.mkdir(self.path("there"))
        os.mkdir(self.path("taken.resume"))
        with open(self.path("taken.resume", "diary"), "w", encoding="ascii") as f:
            f.write("mine")
        with open(self.path("file.resume"), "w", encoding="ascii") as f:
            f.write("mine")
        quantize = ["quantize", "tiny.safetensors"]
        for args, pattern, code in (
                (["-o", "new/"], "new/ names no file", USAGE),
                (["-o", "there"], "there is a folder", USAGE),
                (["-o", "there", "-f"], "there is a folder", USAGE),
                (["-o", "q", "-r", "there", "-f"], "--report there is a folder", USAGE),
                (["-o", "q", "-r", "new/"], "--report new/ names no file", USAGE),
                (["-o", "q", "-r", ""], "--report \"\" names no file", USAGE),
                (["-o", "x" * 249], "File name too long; choose a shorter", OUTPUT),
                (["-o", "x" * 255], "File name too long; choose a shorter", OUTPUT),
                (["-o", "x" * 256], "File name too long; choose a shorter", OUTPUT),
                (["-o", "q", "-r", "x" * 256], "File name too long; choose a shorter", OUTPUT),
                (["-o", "/proc/q"], "cannot write /proc/q", OUTPUT),
                (["-o", "q", "-r", "/proc/q"], "cannot write /proc/q", OUTPUT),
                (["-o", "taken"], "holds files that no run has left there", USAGE),
                (["-o", "taken", "-f"], "holds files that no run has left there", USAGE),
                (["-o", "file", "-f"], "file.resume must be a folder", USAGE)):
            self.refused(pattern, *quantize, *args, code=code)
        assert self.read("taken.resume", "diary") == b"mine"
        self.refused("labels.csv must be a folder", "synth", "link", "-o",
                     self.path("pictures", "labels.csv"), "-f")
        self.refused("/proc/q", "synth", "tiny.safetensors", "-o", "/proc/q", code=OUTPUT)
        self.refused("x.resume: File name too long", "synth", "tiny.safetensors", "-o", "x" * 255,
                     code=OUTPUT)

    def test_long_names_work(self):
        before = self.names()
        out, report = "o" * 248, "\u00e4" * 127  # 254 bytes
        self.works("quantize", "tiny.safetensors", "-o", out, "--report", report, *QUICK)
        assert self.names() == sorted([*before, out, report])
        self.works("synth", "tiny.safetensors", "-o", "s" * 248, "-n", "2", "--iters", "2")
        assert self.names() == sorted([*before, out, report, "s" * 248])

    def test_resume_folders_are_no_place(self):
        os.mkdir(self.path("other.resume"))
        for name in ("job.txt", "tune.safetensors"):
            with open(self.path("other.resume", name), "w", encoding="ascii") as f:
                f.write("of another run")
        self.refused("other.resume belongs to an interrupted run", "quantize", "tiny.safetensors",
                     "-o", "other.resume/tune.safetensors", "-f")
        os.mkdir(self.path("q.resume"))
        shutil.copytree(self.path("pictures"), self.path("q.resume", "samples"))
        for option in ("--real", "--synth"):
            self.refused(f"{option} q.resume/samples is in q.resume, which this run writes",
                         "quantize", "tiny.safetensors", "-o", "q", "-f", option,
                         "q.resume/samples")
        assert len(os.listdir(self.path("q.resume", "samples"))) == 101

    def test_sets_are_whole(self):
        few = ["synth", "tiny.safetensors", "-n", "2", "--iters", "2", "-o", "s"]
        self.works(*few)
        with open(self.path("s", "diary"), "w", encoding="ascii") as f:
            f.write("mine")
        first = self.read("s", "images.safetensors")
        self.refused("s exists already", *few)
        limit = ["sh", "-c", 'ulimit -f 8; exec "$@"', "sh", self.program]
        p = subprocess.run([*limit, *few, "-f", "-n", "16"], cwd=self.dir, capture_output=True,
                           check=False)
        assert p.returncode == OUTPUT and b"synth 50 %" not in p.stderr, p
        assert b"File too large, and about" in p.stderr, p
        assert self.read("s", "images.safetensors") == first
        self.works(*few, "-f", "-s", "1")
        assert self.read("s", "images.safetensors") != first and self.read("s", "diary") == b"mine"
        assert not [n for n in self.names() if n.startswith("s.")]

    def test_other_owners(self):
        if os.geteuid() != 0 or not shutil.which("setpriv"):
            return "needs root and setpriv"
        os.chmod(self.dir, 0o1777)
        with open(self.path("theirs"), "w", encoding="ascii") as f:
            f.write("theirs")
        os.mkdir(self.path("shut"))

        def run(*args):
            return subprocess.run(["setpriv", "--reuid=54321", "--clear-groups", self.program,
                                   "quantize", "tiny.safetensors", *QUICK, *args],
                                  cwd=self.dir, capture_output=True, check=False)
        for out, pattern in (("shut/q", b"folder shut: Permission denied"),
                             ("theirs", b"it belongs to another user")):
            p = run("-f", "-o", out)
            assert p.returncode == OUTPUT and pattern in p.stderr, p
            assert b"synth" not in p.stderr, p
        return None


class Streams(Part):
    """Descriptors 0, 1 and 2 that are closed, or are a file that is read or written."""

    def run_shell(self, line):
        p = subprocess.run(["sh", "-c", 'exec "$@" ' + line, "sh", self.program, "quantize",
                            "tiny.safetensors", *QUICK, "-o", "q"], cwd=self.dir,
                           capture_output=True, check=False)
        return p.returncode, p.stdout.decode(), p.stderr.decode()

    def test_closed_stdout(self):
        before = self.names()
        code, _, err = self.run_shell(">&-")
        assert code == OUTPUT and "cannot write the results to stdout: Bad file" in err, err
        assert "synth" not in err and self.names() == before, (err, self.names())
        code, _, err = self.run_shell("1<pictures/0.png")
        assert code == OUTPUT and "synth" not in err and self.names() == before, err
        model = "tiny.safetensors"
        for args in (["--help"], ["help", "quantize"], ["version"], ["info", model],
                     ["eval", model, "-d", "pictures"], ["run", model, "--image", "pictures/0.png"],
                     ["export", model, "-o", "n.onnx"], ["bench", model, "--runtime"],
                     ["cost", model, "-a", "eyeriss-16x16"]):
            p = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", self.program, *args],
                               cwd=self.dir, capture_output=True, check=False)
            assert p.returncode == OUTPUT and p.stderr.count(b"\n") == 1, p
            assert self.names() == before, args
            with open("/dev/full", "wb") as full:
                assert self.dfq(*args, stdout=full).code == OUTPUT, args
            if args[0] == "export":
                os.unlink(self.path("n.onnx"))

    def test_closed_stdin_and_stderr(self):
        code, out, err = self.run_shell("")
        assert code == DONE and "synth" in err, err
        whole = self.read("q")
        for line in ("2>&-", "<&-", "<&- 2>&-"):
            os.unlink(self.path("q"))
            code, out, err = self.run_shell(line)
            assert code == DONE and out.startswith("q: "), (line, out, err)
            assert self.read("q") == whole, line
        assert self.names() == ["pictures", "q", "tiny.safetensors"]

    def test_results_into_a_file(self):
        code, _, err = self.run_shell("-f >q")
        assert code == USAGE and "-o q is stdout, which this run writes too" in err, err
        code, _, err = self.run_shell("--data pictures -f -r r >>r")
        assert code == USAGE and "--report r is stdout" in err, err
        os.unlink(self.path("q"))
        self.works("quantize", "tiny.safetensors", *QUICK, "-o", "p")
        code, _, err = self.run_shell(">all 2>&1")
        assert code == DONE and self.read("q") == self.read("p"), err


class Locks(Stopping):
    """Two runs, one output."""
    ARGS = ("quantize", "tiny.safetensors", *Stopping.LONG)

    def begin(self, *args):
        p = subprocess.Popen([self.program, *self.ARGS, *args], cwd=self.dir,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while b"%" not in p.stderr.readline():
            assert p.poll() is None, args
        return p

    def test_second_is_refused(self):
        os.symlink("q", self.path("other"))
        first = self.begin("-o", "q", "-r", "r.html")
        for args in (["-o", "q"], ["-o", "./q", "--force"], ["-o", "q", "--resume"],
                     ["-o", "p", "-r", "r.html"]):
            r = self.dfq(*self.ARGS, *args, "-s", "1")
            assert r.code == USAGE and "another run is writing" in r.err, r
            assert "synth" not in r.err, r
        first.communicate(timeout=HANGS)
        assert first.returncode == DONE
        assert self.names() == ["other", "pictures", "q", "r.html", "tiny.safetensors"]

    def test_dies_with_the_run(self):
        p = self.begin("-o", "q")
        p.send_signal(signal.SIGKILL)
        p.communicate(timeout=HANGS)
        self.works("quantize", "tiny.safetensors", *QUICK, "-o", "q", "--force")
        assert self.names() == ["pictures", "q", "tiny.safetensors"]
        p = self.begin("-o", "p")
        p.send_signal(signal.SIGINT)
        p.communicate(timeout=HANGS)
        assert p.returncode == INTERRUPTED
        assert self.names() == ["p.resume", "pictures", "q", "tiny.safetensors"]

    def test_what_came_meanwhile(self):
        """Not replaced without --force, and the work is kept."""
        self.works(*self.ARGS, "-o", "whole", "--json")
        p = self.begin("-o", "q")
        with open(self.path("q"), "w", encoding="ascii") as f:
            f.write("mine")
        err = p.communicate(timeout=HANGS)[1].decode()
        assert p.returncode == OUTPUT and self.read("q") == b"mine", err
        assert "q exists since this run began" in err and "what was done is kept" in err, err
        command = err.splitlines()[-1].split("go on with: ")[1].split()
        r = self.dfq(*command[1:], "--force")
        assert r.code == DONE and "tune 50 %" not in r.err, r
        assert self.read("q") == self.read("whole")
        assert self.names() == ["pictures", "q", "tiny.safetensors", "whole"]


if __name__ == "__main__":
    test_cli.main()
