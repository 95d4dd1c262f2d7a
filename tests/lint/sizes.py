#!/usr/bin/env python3
"""Files of the library and the program have 400 lines at most, functions 60: a screen.
Usage: sizes.py [SOURCE_ROOT]"""
import pathlib
import re
import sys

FILE, FUNCTION = 400, 60


def functions(lines):
    """(line, name, lines) of what begins with a brace in the first column, a function's body."""
    name, start = '', None
    for number, line in enumerate(lines, 1):
        begins = re.match(r'[A-Za-z].*?(\w+)\(', line)
        name = begins.group(1) if begins else name
        if line == '{':
            start = number
        elif line == '}' and start is not None:
            yield start, name, number - start + 1
            start = None


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else '.')
    bad, count = [], 0
    for path in [p for folder in ('lib', 'tools') for p in sorted((root / folder).rglob('*.[ch]'))]:
        lines = path.read_text(encoding='utf-8').splitlines()
        if len(lines) > FILE:
            bad.append(f'{path.relative_to(root)}: {len(lines)} lines, must be at most {FILE}')
        for line, name, size in functions(lines):
            count += 1
            if size > FUNCTION:
                bad.append(f'{path.relative_to(root)}:{line}: {name}() has {size} lines, must be at '
                           f'most {FUNCTION}')
    if count < 1000:
        bad.append(f'{count} functions found: wrong source root?')
    print('\n'.join([*bad, f'{count} functions, {len(bad)} complaints']))
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
