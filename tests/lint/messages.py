"""Texts that people see keep to the wordings of CONTRIBUTING.md. Usage: messages.py ROOT.
Reads the string literals in the calls that report faults, in lib/ and tools/."""
import glob
import os
import re
import sys

CALLS = re.compile(r"\b(?:dfqi_fail|dfqi_log|dfqi_graph_fail|session_error|option_wrong)\s*\(")
LITERAL = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
OLD = {  # what is not written any more, and what is written in its place
    r" asked for": "NAME is VALUE, must be LIMIT",
    r" (?:is|are|was) possible": "must be",
    r"\bexpected\b": "must be",
    r"\bmust be within\b": "must be A to B",
    r"the limit is": "must be at most",
    r"this library knows (?:version )?%": "must be",
    r"(?<!there )\bis no\b(?! class)": "is not a",
    r"[Ll]ook at (?:the )?images": "check the images",
    r"say(?:s)? the same|not both": "exclude each other; leave one out",
    r"there is no tensor|wrong shape": "tensor NAME is missing or misshapen",
    r"not enough memory|no memory": "out of memory",
    r"is there already": "exists already",
    r"\bunknown\b(?! pixel)": "is not known",
}


def arguments(source, start):
    """The text between the bracket before `start` and its partner."""
    depth, at, quoted = 1, start, False
    while depth and at < len(source):
        c = source[at]
        if quoted:
            at += c == "\\"
            quoted = c != '"'
        elif c == '"':
            quoted = True
        else:
            depth += (c == "(") - (c == ")")
        at += 1
    return source[start:at - 1]


def messages(source):
    """(line, text) of each call's adjacent literals, joined."""
    for call in CALLS.finditer(source):
        inside = arguments(source, call.end())
        text = "".join(LITERAL.findall(re.sub(r"%?\s*PRI[a-z]\d\d\s*", '"64d"', inside)))
        if text:
            yield source.count("\n", 0, call.start()) + 1, text


def faults(text):
    if text.endswith((".", "\\n", "!")) or "\\n" in text:
        yield "ends in a dot or has a line break"
    for old, new in OLD.items():
        hit = re.search(old, text)
        if hit:
            yield f'"{hit[0].strip()}": write "{new}"'


def main(root):
    bad = 0
    for folder in ("lib", "tools"):
        for path in sorted(glob.glob(os.path.join(root, folder, "**", "*.[ch]"), recursive=True)):
            with open(path, encoding="utf-8") as f:
                source = re.sub(r"/\*.*?\*/", lambda m: "\n" * m[0].count("\n"), f.read(), flags=re.S)
            for line, text in messages(source):
                for fault in faults(text):
                    print(f"{os.path.relpath(path, root)}:{line}: {text}\n    {fault}")
                    bad += 1
    return bad > 0


sys.exit(main(sys.argv[1]))
