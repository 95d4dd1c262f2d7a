"""Command lines in the documents are lines that dfq takes. Usage: test_docs.py DFQ ROOT; prints TAP.
Each runs in an empty folder, where it must get past its options: any exit code but that of usage."""
import glob
import os
import re
import shlex
import subprocess
import sys
import tempfile

USAGE = 2
WORDS = {"MODEL": "model.safetensors", "wXaY": "w4a4", "SPACE": "cifar10-small", "X": "2", "N": "2"}
BLOCK = re.compile(r"^(?: {4}|)(?:\$ |nice |time )?(?:\S*/)?dfq (.*)$")


def lines(path):
    """Command lines of the page's blocks: indented by four, or between fences."""
    fenced, text = False, open(path, encoding="utf-8").read().replace("\\\n", " ")
    for line in text.split("\n"):
        if line.startswith("```"):
            fenced = not fenced
        hit = BLOCK.match(line)
        if hit and (fenced or line.startswith("    ")) and not re.match(r"\w+: |VERB", hit[1]):
            yield hit[1]


def arguments(line):
    """None for what a shell must expand first."""
    line = re.split(r"\s#|\s[|>&]|;", re.sub(r"\[(-[^]]*)\]", r"\1", line.replace("[options]", "")))[0]
    if "$" in line or "..." in line:
        return None
    return [WORDS.get(word, word) for word in shlex.split(line)]


def check_line(dfq, args):
    """What is wrong with the line, or nothing."""
    with tempfile.TemporaryDirectory() as folder:
        r = subprocess.run([dfq, *args, *([] if args[0].startswith("-") or args[0] in ("version", "help")
                                          else ["-q"])], cwd=folder, stdin=subprocess.DEVNULL,
                           capture_output=True, timeout=100, check=False)
    return r.stderr.decode().strip() if r.returncode == USAGE else ""


def check_spans(path, options):
    """Options in `dfq VERB ...` between the words of a text are the verb's."""
    for span in re.findall(r"`dfq (\w+ [^`]*)`", open(path, encoding="utf-8").read().replace("\n", " ")):
        verb = span.split()[0]
        for option in re.findall(r"(?<!\S)--[a-z][a-z0-9-]*", span):
            if verb in options and option not in options[verb]:
                yield f"`dfq {span}`: {option} is not an option of {verb}"


def main(dfq, root):
    pages = [os.path.join(root, name) for name in ("README.md", "CHANGELOG.md", "bench/RESULTS.md")]
    pages += sorted(glob.glob(os.path.join(root, "docs", "**", "*.md"), recursive=True))
    pages += sorted(glob.glob(os.path.join(root, "studies", "*.md")))
    verbs = re.findall(r"^  (\w+) ", subprocess.check_output([dfq, "--help"], text=True), re.M)
    options = {verb: set(re.findall(r"--[a-z][a-z0-9-]*", subprocess.check_output(
        [dfq, verb, "--help"], text=True))) for verb in verbs}
    print(f"1..{len(pages)}")
    bad = tried = 0
    for i, page in enumerate(pages, 1):
        wrong = list(check_spans(page, options))
        for line in lines(page):
            args = arguments(line)
            if args:
                tried += 1
                said = check_line(dfq, args)
                wrong += [f"dfq {line}\n#   {said}"] if said else []
        print("not ok" if wrong else "ok", i, "-", os.path.relpath(page, root))
        for one in wrong:
            print("#", one)
        bad += len(wrong)
    print("#", tried, "command lines")
    return bad > 0 or tried < 10


sys.exit(main(os.path.abspath(sys.argv[1]), sys.argv[2]))
