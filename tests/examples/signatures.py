#!/usr/bin/env python3
"""Types that the examples of other languages write down by hand are those of the library.

usage: signatures.py ABI_TEXT EXAMPLES

Reads the calls, structs and constants of these examples, and compares
each with its prototype, layout or value in tests/abi/abi.txt. A struct of an example has the first
fields of the library's, in order. So an example stays right where its language is not at hand to
run it."""
import ast
import pathlib
import re
import sys

NUMBERS = {  # C: Rust, Julia, Python
    'int32_t': ('i32', 'Int32', 'c_int32'), 'uint32_t': ('u32', 'UInt32', 'c_uint32'),
    'int64_t': ('i64', 'Int64', 'c_int64'), 'uint64_t': ('u64', 'UInt64', 'c_uint64'),
    'uint8_t': ('u8', 'UInt8', 'c_uint8'), 'float': ('f32', 'Float32', 'c_float'),
    'double': ('f64', 'Float64', 'c_double'),
    'size_t': ('usize', 'Csize_t', 'c_size_t'), 'dfq_status': ('i32', 'Int32', 'c_int32'),
    'void': ('()', 'Cvoid', 'None')}
RUST, JULIA, PYTHON = range(3)
FUNCTIONS = 'dfq_progress_fn', 'dfq_log_fn'


class Abi:
    def __init__(self, path):
        text = pathlib.Path(path).read_text(encoding='utf-8')
        self.functions, self.structs = {}, {}
        self.constants = dict(re.findall(r'^(DFQ_\w+) = (-?\d+)$', text, re.M))
        prototype = r'^((?:const )?\w+ \*?)(dfq_\w+)\((.*)\)$'
        for result, name, args in re.findall(prototype, text, re.M):
            params = [re.sub(r'\w+$', '', a).strip() for a in args.split(', ') if args != 'void']
            self.functions[name] = (result.strip(), params)
        for name, body in re.findall(r'^struct (dfq_\w+):.*\n((?:    .*\n)*)', text, re.M):
            self.structs[name] = [(re.search(r'(\w+)(?:\[\d+\])? at', line).group(1),
                                   re.sub(r'\w+ at.*$', '', line).strip())
                                  for line in body.splitlines() if '(*' not in line]


def camel(name):
    """dfq_tuner_options -> TunerOptions"""
    return ''.join(part.capitalize() for part in name.split('_')[1:])


def allowed(abi, c, language):
    """How a type of C may be written."""
    plain = c.replace('const ', '')
    if plain in NUMBERS:
        return {NUMBERS[plain][language]}
    stars, base = plain.count('*'), plain.replace('*', '').strip()
    const = c.startswith('const ')
    if language == PYTHON:
        if base == 'char':
            return {'c_char_p'}
        number = NUMBERS.get(base, ('', '', 'c_char'))[PYTHON]
        return {'c_void_p', 'PROGRESS' if base == 'dfq_progress_fn' else f'POINTER({number})'}
    if base in FUNCTIONS:
        return {'*const c_void', 'Ptr{Cvoid}'}
    if base == 'char':
        return {'*const c_char', 'Cstring', 'Ptr{UInt8}'}
    if base == 'void':
        return {'*const c_void' if const else '*mut c_void', 'Ptr{Cvoid}'}
    if base in NUMBERS:
        own = NUMBERS[base]
        return {('*const ' if const else '*mut ') + own[RUST], f'Ptr{{{own[JULIA]}}}'}
    if base not in abi.structs:  # a handle
        return {'*mut Raw', 'Ref{Raw}'} if stars == 2 else {'Raw'}
    own = camel(base)
    return {('*const ' if const else '*mut ') + own, f'Ref{{{own}}}'} | (
        {'*const c_void', 'Ptr{Cvoid}'} if const else set())


class Check:
    def __init__(self, abi, path):
        self.abi, self.path, self.seen, self.wrong = abi, path, 0, []

    def say(self, text):
        self.wrong.append(f'{self.path.name}: {text}')

    def call(self, name, result, params, language):
        self.seen += 1
        if name not in self.abi.functions:
            return self.say(f'the library has no {name}')
        want, wants = self.abi.functions[name]
        if len(params) != len(wants):
            return self.say(f'{name} has {len(params)} arguments, the library takes {len(wants)}')
        for i, (have, c) in enumerate(zip([result, *params], [want, *wants])):
            if have not in allowed(self.abi, c, language):
                self.say(f'{name}: {"argument %d" % i if i else "the result"} is {have}, in C {c}')

    def struct(self, own, fields, language):
        self.seen += 1
        name = next((n for n in self.abi.structs if camel(n) == own), None)
        if name is None:
            return self.say(f'the library has no struct for {own}')
        wants = self.abi.structs[name]
        if len(fields) > len(wants):
            return self.say(f'{own} has {len(fields)} fields, {name} {len(wants)}')
        for (have, kind), (want, c) in zip(fields, wants):
            if have != want or kind not in allowed(self.abi, c, language):
                self.say(f'{own}: {have} {kind}, in C {c} {want}')


def pieces(text):
    """The members of a list, which may have a comma at its end."""
    return [p.strip() for p in text.replace('\n', ' ').split(',') if p.strip()]


def rust(check, text):
    for body in re.findall(r'extern "C" \{(.*?)\n\}', text, re.S):
        for name, args, result in re.findall(r'fn (\w+)\(([^)]*)\)(?: -> ([^;]+))?;', body):
            params = [a.split(':', 1)[1].strip() for a in pieces(args)]
            check.call(name, result or '()', params, RUST)
    layout = r'#\[repr\(C\)\](?:\s*#\[[^\]]*\])*\s*struct (\w+) \{(.*?)\}'
    for name, body in re.findall(layout, text, re.S):
        check.struct(name, [tuple(p.split(': ')) for p in pieces(body)], RUST)


def julia(check, text):
    for name, value in re.findall(r'^const (DFQ_\w+) = (-?\d+)$', text, re.M):
        if check.abi.constants.get(name) != value:
            check.say(f'{name} is {value}, in C {check.abi.constants.get(name)}')
    calls = re.findall(r'ccall\(\(:(\w+), LIB\),\s([\w{}]+),\s+\(([^)]*)\)', text)
    if len(calls) != text.count('ccall(('):
        check.say('a ccall that this program cannot read')
    for name, result, args in calls:
        check.call(name, result, pieces(args), JULIA)
    for name, body in re.findall(r'^mutable struct (\w+)\n(.*?)^end', text, re.S | re.M):
        fields = re.findall(r'(\w+)::([\w{}]+)', body)
        if fields[0][0] == 'struct_size':  # others are of the example alone
            check.struct(name, fields, JULIA)


def python(check, text):
    """Arguments are converted from what they are, so their number is what can be wrong; results are
    32-bit integers unless restype says otherwise."""
    results = dict(re.findall(r'\.(dfq_\w+)\.restype = (.+)', text))
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        called = getattr(node.func, 'attr', getattr(node.func, 'id', ''))
        words = [a.value for a in node.args
                 if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        n = len(node.args)
        if called == 'struct':
            fields = [tuple(ast.unparse(e).strip("'") for e in a.elts) for a in node.args[1:]
                      if isinstance(a, ast.Tuple)]
            check.struct(words[0], [('struct_size', 'c_uint32'), *fields], PYTHON)
        elif called == 'make' and len(words) == 2:
            count(check, 'dfq_' + words[1], n - 1, results)
            count(check, f'dfq_{words[0]}_release', 1, results)
        elif called == 'call' and words:
            count(check, 'dfq_' + words[0], n - 1, results)
        elif called == 'options' and words:
            count(check, f'dfq_{words[0]}_options_init', n, results)
        elif called.startswith('dfq_'):
            count(check, called, n, results)


def count(check, name, n, results):
    params = check.abi.functions.get(name, ('', []))[1]
    result = check.abi.functions.get(name, ('void', []))[0]
    have = results.get(name, 'None' if result == 'void' else 'c_int32')
    args = [min(allowed(check.abi, c, PYTHON)) for c in params][:n]
    check.call(name, have, args + ['?'] * (n - len(params)), PYTHON)


def main():
    abi, wrong = Abi(sys.argv[1]), []
    for name, read, least in (('quantize.rs', rust, 15), ('quantize.jl', julia, 15),
                              ('quantize.py', python, 15), ('infer.rs', rust, 10),
                              ('infer.py', python, 8), ('infer.jl', julia, 11),
                              ('export.py', python, 7)):
        check = Check(abi, pathlib.Path(sys.argv[2]) / name)
        read(check, check.path.read_text(encoding='utf-8'))
        if check.seen < least:
            check.say(f'{check.seen} calls and structs found, there should be {least} or more')
        print(f'{name}: {check.seen} calls and structs')
        wrong += check.wrong
    print(*wrong, sep='\n')
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
