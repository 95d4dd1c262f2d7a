#!/usr/bin/env python3
"""Prototypes in the public headers = lib/dfq.map = exported symbols of the shared library.
Usage: symbols.py SOURCE_ROOT LIBRARY"""
import pathlib
import re
import subprocess
import sys


def prototypes(root):
    found = set()
    for path in sorted((root / 'include/dfq').glob('*.h')):
        text = re.sub(r'/\*.*?\*/', ' ', path.read_text(encoding='utf-8'), flags=re.S)
        for declaration in re.findall(r'\bDFQ_(?:API|CHECKED)\b([^;{]*)[;{]', text):
            match = re.search(r'\b(dfq_\w+)\s*\(', declaration)
            if match:
                found.add(match.group(1))
    return found


def mapped(root):
    text = (root / 'lib/dfq.map').read_text(encoding='utf-8')
    names = re.findall(r'^\s*(dfq\w+);', text, re.M)
    twice = sorted({name for name in names if names.count(name) > 1})
    return set(names), twice


def exported(library):
    out = subprocess.run(['nm', '-D', '--defined-only', library], check=True,
                         stdout=subprocess.PIPE, text=True).stdout
    symbols = set()
    for line in out.splitlines():
        kind, name = line.split()[-2:]
        if kind != 'A':  # the version node itself
            symbols.add(name.split('@')[0])
    return symbols


def main():
    root, library = pathlib.Path(sys.argv[1]), sys.argv[2]
    headers, (names, twice) = prototypes(root), mapped(root)
    symbols = exported(library)
    bad = [f'{name}: twice in lib/dfq.map' for name in twice]
    bad += [f'{name}: declared, but not in lib/dfq.map' for name in sorted(headers - names)]
    bad += [f'{name}: in lib/dfq.map, but in no public header' for name in sorted(names - headers)]
    bad += [f'{name}: in lib/dfq.map, but not exported' for name in sorted(names - symbols)]
    bad += [f'{name}: exported, but not in lib/dfq.map' for name in sorted(symbols - names)]
    walked = set(re.findall(r'ROW\((dfq_\w+),', (root / 'tests/api/options.c').read_text(encoding='utf-8')))
    inits = {name[:-5] for name in headers if name.endswith('_options_init')}
    bad += [f'{name}: not walked by tests/api/options.c' for name in sorted(inits - walked)]
    for line in bad:
        print(line)
    print(f'{len(headers)} prototypes, {len(symbols)} symbols, {len(bad)} complaints')
    return 1 if bad or not headers else 0


if __name__ == '__main__':
    sys.exit(main())
