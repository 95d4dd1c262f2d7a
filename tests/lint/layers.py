#!/usr/bin/env python3
"""Holds lib/ to the floors of docs/ARCHITECTURE.md: includes go down only, and some calls and
headers belong to some folders only. Holds sources and pages to naming no file that is not here.
Usage: layers.py [source root]"""
import pathlib
import re
import sys

# What may be called or included where (an empty set: nowhere). Folders as in the floors table.
CALLS = [
    (r'(?:malloc|calloc|realloc|aligned_alloc|posix_memalign|strdup)', {'base'},
     'use base/memory.h'),
    (r'free', {'base', 'io'}, 'use base/memory.h'),  # io: what libc and the file libraries hand out
    (r'(?:s?rand|random|drand48)', set(), 'use base/rng.h'),
    (r'(?:abort|exit|_Exit|_exit|assert)', set(), 'return dfqi_fail()'),
    (r'getenv', {'base', 'kernel'}, 'take an option'),
    (r'(?:printf|vprintf|puts|putchar|perror)', set(), 'use dfqi_log()'),
    # What these write and read depends on the locale of the host.
    (r'(?:vsnprintf|strto[df]|atof|v?f?s?scanf|strerror\w*|\w*locale|strcoll|strftime)', {'base'},
     'use base/text.h'),
    (r'pthread_\w+', {'base', 'kernel'}, 'use base/parallel.h'),
]
WORDS = [(r'\b(?:stdout|stderr)\b', set(), 'the library does not print')]
HEADERS = [
    (r'(?:libxsmm\w*|blis\w*|cblas)\.h', {'kernel'}),
    (r'(?:jansson|png|jpeglib|turbojpeg)\.h', {'io'}),
    (r'(?:onnx\.pb-c|protobuf-c)\.h', {'exchange'}),
    (r'pthread\.h', {'base', 'kernel'}),
    (r'omp\.h', set()),
]


def floors(root):
    """{folder: (floor, {folders it also sees})} from the marked table."""
    text = (root / 'docs/ARCHITECTURE.md').read_text(encoding='utf-8')
    table = re.search(r'<!-- floors:.*?-->(.*?)<!-- /floors -->', text, re.S).group(1)
    rows = re.findall(r'^\| (\d+) \| `([\w/]+)` \|([^|]*)\|', table, re.M)
    return {name: (int(level), set(re.findall(r'`([\w/]+)`', also))) for level, name, also in rows}


def home(name, table):
    """The folder of the table that a path under lib/ lies in, the innermost; None: none does."""
    parts = name.split('/')[:-1]
    while parts and '/'.join(parts) not in table:
        parts.pop()
    return '/'.join(parts) or None


def code_only(text):
    """The text without comments and string contents, line numbers kept."""
    def blank(match):
        token = match.group(0)
        if token.startswith('/'):
            return re.sub(r'[^\n]', ' ', token)
        return token[0] + ' ' * (len(token) - 2) + token[-1]
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text,
                  flags=re.S)


def check_file(path, place, folder, table):
    """Yields (line, complaint)."""
    text = path.read_text(encoding='utf-8')
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r'\s*#\s*include\s+(["<])([^">]+)[">]', line)
        if not match:
            continue
        kind, name = match.groups()
        target = home(name, table)
        if '..' in name.split('/'):
            yield number, f'{name}: write the path below lib/'
        if name.endswith('_priv.h') and name.rpartition('/')[0] != place:
            yield number, f'{name} is for its own folder alone'
        if kind == '"' and target is not None and target != folder:
            level, also = table[folder]
            if table[target][0] >= level and target not in also:
                yield number, f'{folder}/ may not see {name}'
        for pattern, allowed in HEADERS:
            if re.fullmatch(pattern, name.split('/')[-1]) and folder not in allowed:
                yield number, f'<{name}> belongs to {", ".join(sorted(allowed))}'
    if folder != 'base':
        for number in fractions(text):
            yield number, 'snprintf() of a fraction: use dfqi_print()'
    for number, line in enumerate(code_only(text).splitlines(), 1):
        for pattern, allowed, cure in CALLS:
            # Not a member (x->free, o.free) and not the tail of a longer name.
            match = re.search(r'(?<![\w.>])(' + pattern + r')\s*\(', line)
            if match and folder not in allowed:
                yield number, f'{match.group(1)}() in {folder}/: {cure}'
        for pattern, allowed, cure in WORDS:
            match = re.search(pattern, line)
            if match and folder not in allowed:
                yield number, f'{match.group(0)} in {folder}/: {cure}'


def fractions(text):
    """Yields the line of each snprintf() that writes a number with a fraction: its point may be a comma."""
    for call in re.finditer(r'\bsnprintf\s*\([^;]*;', text):
        if re.search(r'%[-+ #0]*[\d*]*(?:\.[\d*]+)?[aefgAEFG]', call.group(0)):
            yield text.count('\n', 0, call.start()) + 1


def lost_documents(root):
    """Yields (path, line, complaint)."""
    documents = {path.name for path in root.rglob('*.md')}
    for folder in ('bench', 'docs', 'examples', 'include', 'lib', 'studies', 'tests', 'tools'):
        for path in sorted((root / folder).rglob('*')):
            if path.suffix not in ('.c', '.h', '.build', '.md', '.py', '.sh'):
                continue
            for number, line in enumerate(path.read_text(encoding='utf-8').splitlines(), 1):
                for name in set(re.findall(r'\b[\w-]+\.md\b', line)) - documents:
                    yield path, number, f'{name} is not in the repository'


def lost_files(root):
    """Yields (path, line, complaint): files of the tree that a page names and that are not there."""
    pages = [*root.glob('*.md'), *(root / 'docs').rglob('*.md'), *root.glob('[bst]*/*.md')]
    for path in pages:
        if path.name in ('CHANGELOG.md', 'MIGRATION.md'):  # they tell of what was
            continue
        for number, line in enumerate(path.read_text(encoding='utf-8').splitlines(), 1):
            for name in re.findall(r'`([\w*-]+/[\w./*-]+\.(?:c|h|py|sh))`', line):
                near = (root, root / 'lib', root / 'lib/kernel', root / 'include', path.parent)
                if not any(any(folder.glob(name)) for folder in near):
                    yield path, number, f'{name} is not in the repository'


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else '.')
    table = floors(root)
    bad = 0
    count = 0
    for path in sorted((root / 'lib').rglob('*.[ch]')):
        folder = home(path.relative_to(root / 'lib').as_posix(), table)
        name = path.relative_to(root)
        count += 1
        if folder is None:
            print(f'{name}: its folder is not in the floors table')
            bad += 1
            continue
        place = path.parent.relative_to(root / 'lib').as_posix()
        for number, complaint in check_file(path, place, folder, table):
            print(f'{name}:{number}: {complaint}')
            bad += 1
    for path, number, complaint in [*lost_documents(root), *lost_files(root)]:
        print(f'{path.relative_to(root)}:{number}: {complaint}')
        bad += 1
    if not table or not count:
        print('nothing to check: wrong source root?')
        bad += 1
    print(f'{count} files, {len(table)} folders, {bad} complaints')
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
