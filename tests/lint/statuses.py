#!/usr/bin/env python3
"""Holds lib/ to looking at every status. Functions and function pointers of headers that return one
are DFQI_CHECKED, so that the compiler complains; static functions are not, and no statement may
begin with a call of one. Usage: statuses.py [source root]"""
import pathlib
import re
import sys

from layers import code_only

UNCHECKED = re.compile(r'^(?!\s*(?:DFQI_CHECKED|typedef|static))\s*dfq_status\s+(?:dfqi_\w+\(|\(\*)')
STATIC = re.compile(r'^static dfq_status (\w+)\(', re.M)


def dropped(code):
    """Yields (line, name) of statements that call a static function and drop its status."""
    for name in sorted(set(STATIC.findall(code))):
        # behind the end of a statement, a brace, a label or a condition; (void) says that it is meant
        for call in re.finditer(r'(?:[;{}]|(?<!\(void)\)|\belse|^\s*(?:case\b[^:\n]*|\w+):)\s*(' + name + r')\s*\(',
                                code, re.M):
            yield code.count('\n', 0, call.start(1)) + 1, name


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else '.')
    complaints, found = [], 0
    for path in sorted((root / 'lib').rglob('*.[ch]')):
        name = path.relative_to(root)
        code = code_only(path.read_text(encoding='utf-8'))
        found += len(STATIC.findall(code))
        if path.suffix == '.h':
            for number, line in enumerate(code.splitlines(), 1):
                if UNCHECKED.match(line):
                    complaints.append(f'{name}:{number}: returns a status and is not DFQI_CHECKED')
        complaints += [f'{name}:{number}: the status of {what}() is dropped'
                       for number, what in dropped(code)]
    if not found:
        complaints.append('nothing to check: wrong source root?')
    print('\n'.join(complaints + [f'{found} static functions, {len(complaints)} complaints']))
    return 1 if complaints else 0


if __name__ == '__main__':
    sys.exit(main())
