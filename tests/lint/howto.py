#!/usr/bin/env python3
"""The diffs of docs/howto/ apply to the sources as they are: the lines that a hunk takes for granted
lie there together, but for two at most at either end, as the program patch has it. A page that begins on another page's change names it: <!-- after PAGE -->.
Usage: howto.py [SOURCE_ROOT]"""
import pathlib
import re
import sys

FUZZ = 2
root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else '.')


def change(text, lines):
    """The text with a hunk applied, None if it does not fit."""
    for fuzz in range(FUZZ + 1):
        some = lines
        for _ in range(fuzz):
            some = some[some[0][0] == ' ':]
            some = some[:len(some) - (some[-1][0] == ' ')]
        have = '\n'.join(line[1:] for line in some if line[0] != '+')
        want = '\n'.join(line[1:] for line in some if line[0] != '-')
        if have in text:
            return text.replace(have, want, 1)
    return None


def apply(page, tree, bad):
    """Changes `tree`, {path: text}, by the diffs of a page."""
    text = (root / 'docs/howto' / page).read_text(encoding='utf-8')
    for before in re.findall(r'<!-- after ([\w-]+\.md) -->', text):
        apply(before, tree, bad)
    for diff in re.findall(r'```diff\n(.*?)```', text, re.S):
        for old, new, hunks in re.findall(r'^--- (\S+).*\n\+\+\+ (\S+).*\n((?:(?!--- )[@ +\-].*\n|\n)+)',
                                          diff, re.M):
            path = new.split('/', 1)[1]
            if old == '/dev/null':
                tree[path] = ''
            elif path not in tree:
                source = root / path
                tree[path] = source.read_text(encoding='utf-8') if source.exists() else ''
            for head, body in re.findall(r'^(@@ .*)\n((?:[ +\-].*\n|\n)+)', hunks, re.M):
                changed = change(tree[path], [line or ' ' for line in body.splitlines()])
                if changed is None:
                    bad.append(f'docs/howto/{page}: {path} {head[:40]} does not apply')
                else:
                    tree[path] = changed


def main():
    pages = sorted(p.name for p in (root / 'docs/howto').glob('*.md') if p.name != 'README.md')
    bad = []
    for page in pages:
        tree = {}
        apply(page, tree, bad)
        if not tree:
            bad.append(f'docs/howto/{page}: has no diff')
    if len(pages) < 6:
        bad.append(f'{len(pages)} pages found, there should be 6 or more')
    print('\n'.join([*bad, f'{len(pages)} pages, {len(bad)} complaints']))
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
