#!/usr/bin/env python3
"""The binary interface as text: sizes and offsets of structs, values of constants, prototypes.

usage: abi.py SOURCE_ROOT "C COMPILER"            compares with tests/abi/abi.txt
       abi.py SOURCE_ROOT "C COMPILER" --write    accepts what the headers say now

A program made from the headers measures them, so the numbers are the compiler's. A field may be
renamed or take the place of a reserved one, and things may be added; whatever moves an offset,
changes a value or takes something away breaks programs that are compiled already."""
import difflib
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

SKIP = 77  # meson: the test was skipped


def headers(root):
    """The text of all public headers without comments and preprocessor lines."""
    text = '\n'.join(p.read_text(encoding='utf-8')
                     for p in sorted((root / 'include/dfq').glob('*.h')))
    text = re.sub(r'/\*.*?\*/', ' ', text, flags=re.S)
    macros = sorted(re.findall(r'^#define (DFQ_[A-Z_]+) \d+$', text, re.M))
    return re.sub(r'^\s*#.*$', '', text, flags=re.M), macros


def structs(text):
    """[(struct, [(field, declaration)])]"""
    found = []
    for name, body in re.findall(r'typedef struct (dfq_\w+)\s*\{(.*?)\}\s*\1;', text, re.S):
        fields = []
        for declaration in filter(None, (d.strip() for d in body.split(';'))):
            pointer = re.search(r'\(\s*\*\s*(\w+)\s*\)\s*\(', declaration)
            plain = re.search(r'(\w+)\s*(?:\[[^\]]*\])?$', declaration)
            fields.append(((pointer or plain).group(1), re.sub(r'\s+', ' ', declaration)))
        found.append((name, fields))
    return found


def constants(text):
    bodies = re.findall(r'\benum\s*\{(.*?)\}', text, re.S)
    return [n for body in bodies for n in re.findall(r'\b(DFQ_\w+)\s*(?:=|,|$)', body)]


def prototypes(text):
    found = re.findall(r'\bDFQ_(?:API|CHECKED)\b([^;{]*);', text)
    found += re.findall(r'\btypedef\s[^;{]*\(\s*\*\s*dfq_\w+\s*\)[^;]*;', text)
    return [re.sub(r'\s+', ' ', p).strip().rstrip(';') for p in found]


def program(text, macros):
    lines = ['#include <dfq/dfq.h>', '#include <stddef.h>', '#include <stdio.h>',
             'int main(void)', '{']

    def show(form, *values):
        args = ''.join(f', (long)({v})' for v in values)
        lines.append(f'    printf("{form}\\n"{args});')

    for name in macros + constants(text):
        if not name.startswith('DFQ_VERSION'):  # they change with each release
            show(f'{name} = %ld', name)
    for name, fields in structs(text):
        show(f'struct {name}: %ld bytes', f'sizeof({name})')
        for f, declaration in fields:
            show(f'    {declaration} at %ld, %ld bytes', f'offsetof({name}, {f})',
                 f'sizeof((({name} *)0)->{f})')
    return '\n'.join(lines + ['    return 0;', '}', ''])


def measure(root, compiler):
    text, macros = headers(root)
    with tempfile.TemporaryDirectory() as folder:
        source, binary = pathlib.Path(folder) / 'abi.c', pathlib.Path(folder) / 'abi'
        source.write_text(program(text, macros), encoding='utf-8')
        subprocess.run([*shlex.split(compiler), '-std=c99', '-I', root / 'include', source, '-o',
                        binary], check=True)
        out = subprocess.run([binary], check=True, stdout=subprocess.PIPE, text=True).stdout
    return out + ''.join(p + '\n' for p in sorted(prototypes(text)))


def main():
    root, compiler = pathlib.Path(sys.argv[1]), sys.argv[2]
    if sys.maxsize < 2**32:
        print('abi.txt is of machines with 64-bit pointers')
        return SKIP
    path = root / 'tests/abi/abi.txt'
    now = measure(root, compiler)
    if '--write' in sys.argv[3:]:
        path.write_text(now, encoding='utf-8')
    then = path.read_text(encoding='utf-8')
    if now != then:
        sys.stdout.writelines(difflib.unified_diff(then.splitlines(True), now.splitlines(True),
                                                   'tests/abi/abi.txt', 'headers'))
        print('The binary interface changed. If that is meant: tests/abi/abi.py ROOT cc --write')
        return 1
    print(f'{len(now.splitlines())} lines agree')
    return 0


if __name__ == '__main__':
    sys.exit(main())
