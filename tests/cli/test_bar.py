"""The progress bar on terminals of many widths, and the quickstart. Usage: test_bar.py DFQ PART."""
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios

import test_cli
from test_cli import DONE, QUICK, Part


class Bar(Part):
    def watch(self, args, width, resize=None):
        """Runs with stderr on a terminal; returns what was shown. `resize`: another width, from
        the first bar on."""
        leader, follower = pty.openpty()

        def set_width(w):
            fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, w, 0, 0))
        set_width(width)
        p = subprocess.Popen([self.program, *args], cwd=self.dir, stdout=subprocess.PIPE,
                             stderr=follower)
        if resize is None:
            os.close(follower)
        shown = b""
        while True:
            try:
                block = os.read(leader, 4096)
            except OSError:
                break
            if not block:
                break
            shown += block
            if resize is not None and b"%" in shown:
                set_width(resize)
                shown = b""
                resize = None
                os.close(follower)
        out = p.communicate()[0]
        os.close(leader)
        assert p.returncode == DONE, shown
        return shown.decode(), out.decode()

    def bars(self, shown):
        """Each state of a bar: what stands between an erased line and what comes next."""
        return [t for t in re.findall("\r\x1b\\[K([^\r\n\x1b]*)", shown) if t.strip()]

    def test_whole_bar(self):
        shown, out = self.watch(["eval", "tiny.safetensors", "-d", "pictures"], 80)
        assert "top-1" in out and "top-1" not in shown
        assert "[########################] 100 %" in shown, shown

    def test_no_line_wraps(self):
        args = ["quantize", "tiny.safetensors", *QUICK, "--data", "pictures", "-f", "-o", "q"]
        for width in (2, 10, 20, 30, 40, 50, 60, 70, 79, 80, 81, 82, 200):
            bars = [b for b in self.bars(self.watch(args, width)[0]) if not b.startswith("dfq ")]
            assert bars and max(map(len, bars)) < width, (width, bars)
            if width >= 80:
                assert any("loss" in b and "in all" in b and "[" in b for b in bars), bars
            if width >= 40: # the time left is the last to go
                assert all(" left" in b or "took" in b for b in bars), (width, bars)

    def test_width_is_not_told(self):
        bars = self.bars(self.watch(["eval", "tiny.safetensors", "-d", "pictures"], 0)[0])
        assert max(map(len, bars)) < 80 and "[####" in bars[-1], bars

    def test_resize(self):
        args = ["quantize", "tiny.safetensors", *QUICK, "--iters", "3000", "--no-tune", "-o", "q"]
        args.remove("--steps")
        args.remove("6")
        bars = self.bars(self.watch(args, 100, resize=44)[0])
        assert len(bars) > 4 and max(map(len, bars[1:])) < 44, bars


class Quickstart(Part):
    """examples/quickstart.sh with a build that is there and a job that is short."""

    def test_a_screen(self):
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        figures = os.path.join(os.path.dirname(self.program), "..", "examples", "figures")
        if not os.path.exists(figures):
            return "the examples are not built"
        tools = (("bin/meson", 'echo "$@" >> meson.log; seq 400\n'),
                 ("build/tools/dfq", f'case $1 in quantize) set -- "$@" --images 4 --batch 4 '
                  f'--iters 2 --steps 2;; esac\nexec {self.program} "$@"\n'),
                 ("build/examples/figures", f'exec {figures} "$1" 50 "$3" "$4"\n'))
        for name, text in tools:
            os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
            with open(self.path(name), "w", encoding="utf-8") as f:
                f.write("#!/bin/sh\n" + text)
            os.chmod(self.path(name), 0o755)
        env = dict(os.environ, DFQ_BUILD_DIR=self.path("build"),
                   PATH=self.path("bin") + ":" + os.environ["PATH"])
        p = subprocess.run(["sh", os.path.join(root, "examples", "quickstart.sh"), "out"],
                           cwd=self.dir, env=env, capture_output=True, check=False, text=True)
        assert p.returncode == DONE and p.stderr == "", p
        assert len(p.stdout.splitlines()) <= 12 and "quantized:  top-1" in p.stdout, p
        with open(self.path("meson.log"), encoding="utf-8") as f:
            setup, build = f.read().splitlines()
        assert "-Dtests=false -Dbench=false" in setup, setup
        assert build.endswith(" dfq:executable figures:executable"), build
        for name in ("report.html", "figures-w4a4.safetensors", "test.png"):
            assert os.path.getsize(self.path("out", name)) > 1000, name
        return None


if __name__ == "__main__":
    test_cli.main()
