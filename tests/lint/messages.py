"""Texts that people see keep to the wordings of CONTRIBUTING.md and the terms of docs/GLOSSARY.md.
Usage: messages.py ROOT. Reads the string literals in the calls that report faults, and all
sentences of the program, its help and its reports."""
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
WORDS = {  # in any text: figures of speech, and terms that have been renamed
    r"\b[Ll]ies?\b": "is",
    r"\basked for\b": "given",
    r"\bany pair\b": "all choices",
    r"\bon the way\b": "during the search",
    r"\bpulls? apart\b": "conflict",
    r"\bstands? (?:out|in the way)\b": "say what is measured",
    r"\b(?:knows?|says?|tells?) nothing\b": "does not cover",
    r"\bhas taught\b|\b(?:not )?told from\b": "say what is estimated",
    r"\bthe nearest (?:that|pair|result|choices?)\b|\bcame nearest\b": "the closest",
    r"\ball else\b": "the other limits",
    r"\blooks? (?:at|into|for)\b": "reads, checks or searches",
    r"\blive (?:range|generator)\b": "min-max range, generator network",
    r"\bhosts?\b(?!'s own thread)": "generator network",
    r"\bhardware fields?\b": "hardware parameters",
    r"\bedge[ _-]bits\b": "first and last bits",
    r"\b(?:landscape|survey|badness|lenient|soften|shelf|hunt)\w*": "see docs/MIGRATION.md",
    r"\b(?:zero|step)s of (?:the |a )?quantizers?\b": "zero points, scales",
    r"\bnatural images\b": "multi-scale parametrisation",
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


def sentences(source):
    """(line, text) of all adjacent literals with a space, joined."""
    for run in re.finditer(r'"(?:[^"\\\n]|\\.)*"(?:\s*"(?:[^"\\\n]|\\.)*")*', source):
        text = "".join(LITERAL.findall(run[0]))
        if " " in text.strip() and re.search("[a-z]{2} [a-z]{2}", text):
            yield source.count("\n", 0, run.start()) + 1, text


def old_words(text):
    for old, new in WORDS.items():
        hit = re.search(old, text)
        if hit:
            yield f'"{hit[0]}": write "{new}"'


def main(root):
    bad = 0
    for folder in ("lib", "tools"):
        for path in sorted(glob.glob(os.path.join(root, folder, "**", "*.[ch]"), recursive=True)):
            with open(path, encoding="utf-8") as f:
                source = re.sub(r"/\*.*?\*/", lambda m: "\n" * m[0].count("\n"), f.read(), flags=re.S)
            found = [(line, text, fault) for line, text in messages(source) for fault in faults(text)]
            found += [(line, text, fault) for line, text in sentences(source) for fault in old_words(text)]
            for line, text, fault in found:
                print(f"{os.path.relpath(path, root)}:{line}: {text}\n    {fault}")
            bad += len(found)
    return bad > 0


sys.exit(main(sys.argv[1]))
