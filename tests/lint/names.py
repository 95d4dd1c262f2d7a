#!/usr/bin/env python3
"""Holds docs/MIGRATION.md to the tree: what a name became is there, and the old name is gone from
public headers, the program's texts and the documents. Also: the names that docs/GLOSSARY.md,
docs/ABI.md and docs/API.md quote are those of the headers, and words that have gone stay away.
Usage: names.py [SOURCE_ROOT]"""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else '.')


def read(pattern):
    return {str(p.relative_to(root)): p.read_text(encoding='utf-8')
            for p in sorted(root.glob(pattern))}


def names(text):
    """Names of C and options of the program that a cell of a table or a paragraph quotes."""
    found = [re.sub(r'\(.*', '', w) for quote in re.findall(r'`([^`]+)`', text)
             for w in re.split(r'[ ,=]+', quote)]
    return [w for w in found if re.fullmatch(r'--[a-z][a-z-]+|(?:dfq_|DFQ_)\w+|[a-z]+_[a-z_]+', w)
            and not w.endswith('_')]


headers = read('include/dfq/*.h')
public = '\n'.join(headers.values())
options = set(re.findall(r'"([a-z][a-z-]+)"', (root / 'tools/option_table.c').read_text()))
texts = dict(headers, **read('docs/**/*.md'), **read('README.md'),
             **{'tools/option_table.c': (root / 'tools/option_table.c').read_text()},
             **read('examples/*.[chpr]*'), **read('examples/*.jl'))
texts.pop('docs/MIGRATION.md')
# Words that fields and parameters of public headers had, whose meanings have other names now.
IDENTIFIERS = set('host live lo hi zero rate warm moves looks memory capped follow rho pull lenient '
                  'fill badness found soften arm fields notes natural'.split())
# Words that have gone, and that no row of the table quotes as they stand.
WORDS = re.compile(
    r'(?<![a-zA-Z])(?:DFQ_LIVE_|DFQ_ACTS_|DFQ_WEIGHTS_|QUANTIZER_RANGED|RULE_PULL|create_live|'
    r'dfq_generator_create|tuner_show|cost_try|get_looks|lenient|n_fields|field_rate|'
    r'edge[_-]bits|--host\b|surveys?\b|landscapes?\b|dfqi_template|hunts?\b|shelf\b|badness|soften|'
    r'(?:step|zero|weight)_rate\b|dfq_evaluate\b|natural images)')
bad = []
# formats of files have other words
table = (root / 'docs/MIGRATION.md').read_text(encoding='utf-8').split('## Files')[0]


def is_there(name):
    if name.startswith('--'):
        return name[2:] in options
    return re.search(r'\b%s\b' % name, public) is not None


rows = [line.split('|')[1:3] for line in table.splitlines()
        if line.startswith('| ') and not line.startswith('| before')]
now = [n for row in rows for n in names(row[1])]
for name in sorted(set(now)):
    if not is_there(name) and name != 'save_file':
        bad.append(f'docs/MIGRATION.md: {name} is no name of today')
for name in sorted({n for row in rows for n in names(row[0])} - set(now)):
    for path, text in texts.items():
        if path.startswith('docs/howto') and name.startswith('--'):
            continue
        for m in re.finditer(r'(?<![\w-])%s(?![\w-])' % re.escape(name), text):
            bad.append(f'{path}:{text.count(chr(10), 0, m.start()) + 1}: {name} has another name '
                       'now, see docs/MIGRATION.md')
for path, text in headers.items():
    code = re.sub(r'/\*.*?\*/', ' ', text, flags=re.S)
    bad += [f'{path}: {word} is an old name, see docs/MIGRATION.md'
            for word in sorted(set(re.findall(r'\w+', code)) & IDENTIFIERS)]
helped = dict(texts, **read('CONTRIBUTING.md'), **read('[bst]*/*.md'), **read('tools/**/*.[ch]'),
              **read('lib/**/*.[ch]'))
for path, text in helped.items():
    for m in WORDS.finditer(text):
        bad.append(f'{path}:{text.count(chr(10), 0, m.start()) + 1}: {m.group(0)} is an old word, '
                   'see docs/MIGRATION.md and docs/GLOSSARY.md')
for path in ('docs/GLOSSARY.md', 'docs/ABI.md', 'docs/API.md'):
    for name in names(texts[path]):
        if re.match('dfq_|DFQ_|--', name) and not is_there(name):
            bad.append(f'{path}: there is no {name}')

print('\n'.join(bad) or f'{len(set(now))} names of today, and none of before')
sys.exit(bool(bad))
