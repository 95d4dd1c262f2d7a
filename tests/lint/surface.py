#!/usr/bin/env python3
"""Holds the public functions to a test and to a comment that tells what a caller must know: which
statuses are returned, who owns a result, the type of tensors, what NULL does. What comments and
pages name is there. Usage: surface.py [SOURCE_ROOT]"""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else '.')
# A comment that names another function passes its rules on.
SAME = re.compile(r'\b[Aa]s (?:there|by |for |in )?(?:dfq_\w+\(\)|the functions)|dfq_\w+\(\) (?:that|of|without|with)')
OWNED = re.compile(r'[Bb]orrowed|[Ss]tatic|reference|NULL gives')
GIVEN_BACK = re.compile(r'release\(\)|reference|\bnew\b|shared')
TYPED = re.compile(r'\b(?:F32|F16|I32|I64|I8|U8)\b|\blike\b|shape|as `scales`')


def without_comments(text):
    return re.sub(r'/\*.*?\*/', ' ', text, flags=re.S)


def functions(text):
    """(line, comment, result, name, parameters) of each function of a header."""
    pattern = (r'(?:/\*\*((?:(?!\*/).)*)\*/\s*)?\bDFQ_(?:API|CHECKED)\s+([\w ]+?[\s*]+)(dfq_\w+)'
               r'\(([^;]*?)\);')
    for m in re.finditer(pattern, text, re.S):
        comment = re.sub(r'\s*\n \*\s*', ' ', m.group(1) or '')
        yield (text.count('\n', 0, m.start(3)) + 1, comment, ' '.join(m.group(2).split()),
               m.group(3), [' '.join(p.split()) for p in m.group(4).split(',')])


def told(comment, result, name, parameters):
    """Yields what the comment of a function does not tell."""
    if not comment:
        yield 'no comment'
        return
    same = SAME.search(comment)
    if result == 'dfq_status' and '@return' not in comment and not same:
        yield 'does not tell its statuses: @return'
    if result.endswith('*') and not OWNED.search(comment):
        yield 'does not tell whose its result is: borrowed, static, or a reference'
    if name.endswith('_release') and 'NULL' not in comment:
        yield 'does not tell what NULL does'
    for p in parameters:
        handle = re.fullmatch(r'dfq_(\w+) \*\*(\w+)', p)
        if handle and not same and not GIVEN_BACK.search(comment):
            yield f'does not tell who gives {handle.group(2)} back'
        if re.match(r'(?:const )?dfq_tensor \*\*?\w', p) and name.split('_')[1] != 'tensor' and not (
                same or TYPED.search(comment)):
            yield f'does not tell type and shape: {p}'


def main():
    headers = {p: p.read_text(encoding='utf-8') for p in sorted((root / 'include/dfq').glob('*.h'))}
    public = without_comments('\n'.join(headers.values()))
    known = set(re.findall(r'\b(?:dfq|DFQ)_\w+', public))
    tests = '\n'.join(without_comments(p.read_text(encoding='utf-8'))
                      for p in sorted((root / 'tests').rglob('*.[ch]')))
    called = set(re.findall(r'\bdfq_\w+', tests))
    bad, count = [], 0
    for path, text in headers.items():
        for line, comment, result, name, parameters in functions(text):
            at, count = f'{path.relative_to(root)}:{line}: {name}', count + 1
            bad += [f'{at} {what}' for what in told(comment, result, name, parameters)]
            if name not in called:
                bad.append(f'{at} is called by no test in C')
    declared = len(re.findall(r'\bDFQ_(?:API|CHECKED)\s+\w[^;{]*\bdfq_\w+\s*\(', public))
    if count != declared or not count:
        bad.append(f'{declared} functions are declared, {count} were read')
    nouns = (root / 'docs/ARCHITECTURE.md').read_text(encoding='utf-8')
    for handle in re.findall(r'^typedef struct (dfq_\w+) \1;', headers[root / 'include/dfq/types.h'],
                             re.M):
        if f'`{handle}`' not in nouns:
            bad.append(f'docs/ARCHITECTURE.md: does not tell what {handle} is inside')
    pages = [p for p in [*root.glob('*.md'), *(root / 'docs').rglob('*.md'), *headers]
             if p.name not in ('CHANGELOG.md', 'MIGRATION.md')]  # they tell of what was
    for path in pages:
        for number, line in enumerate(path.read_text(encoding='utf-8').splitlines(), 1):
            for name in re.findall(r'\b(?:dfq_[a-z_0-9]+[a-z0-9](?=\()|(?<=::)(?:dfq|DFQ)_\w+)', line):
                if name not in known:
                    bad.append(f'{path.relative_to(root)}:{number}: there is no {name}')
    print('\n'.join([*bad, f'{count} functions, {len(bad)} complaints']))
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
