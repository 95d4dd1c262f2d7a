#!/usr/bin/env python3
"""Counts the tests of a Meson run, sub-tests one by one, from the logs Meson leaves. The last line
is "N passed, N failed". Usage: tally.py BUILD_DIR"""
import json
import pathlib
import sys
import xml.etree.ElementTree as ElementTree


def subtests(logs):
    """{test: [(name, 'passed' | 'failed' | 'skipped')]} of the tests that speak TAP."""
    found = {}
    for suite in ElementTree.parse(logs / 'testlog.junit.xml').getroot().iter('testsuite'):
        project, dot, test = suite.get('name').partition('.')
        if not dot:
            continue  # the plain tests, all together
        cases = found.setdefault(test, [])
        for case in suite.iter('testcase'):
            result = 'passed'
            if case.find('failure') is not None or case.find('error') is not None:
                result = 'failed'
            elif case.find('skipped') is not None:
                result = 'skipped'
            cases.append((case.get('name'), result))
    return found


def count(logs):
    """How many passed, failed and were skipped, and the lines to print."""
    counts = {'passed': 0, 'failed': 0, 'skipped': 0}
    lines = []
    cases = subtests(logs)
    for line in (logs / 'testlog.json').read_text(encoding='utf-8').splitlines():
        test = json.loads(line)
        name = test['name']
        good = test['result'] in ('OK', 'EXPECTEDFAIL', 'SKIP')
        results = cases.get(name, [])
        for case, result in results:
            counts[result] += 1
            if result == 'failed':
                lines.append(f'failed: {name}: {case}')
        # A plain test, or a program that crashed or hung with no failed sub-test to its name.
        if not good and not any(result == 'failed' for _, result in results):
            counts['failed'] += 1
            lines.append(f'failed: {name}: {test["result"]}')
        elif not results:
            counts['skipped' if test['result'] == 'SKIP' else 'passed'] += 1
        lines += [text for text in test.get('stderr', '').splitlines()
                  if text.startswith('skipped: ')]
    return counts, lines


def main():
    try:
        counts, lines = count(pathlib.Path(sys.argv[1]) / 'meson-logs')
    except (OSError, ValueError, ElementTree.ParseError) as error:
        counts, lines = {'passed': 0, 'failed': 1, 'skipped': 0}, [f'no test log: {error}']
    if not any(counts.values()):
        counts['failed'] = 1
        lines.append('no test ran')
    for line in sorted(set(lines)):
        print(line)
    if counts['skipped']:
        print(f'{counts["skipped"]} skipped')
    print(f'{counts["passed"]} passed, {counts["failed"]} failed')
    return 1 if counts['failed'] else 0


if __name__ == '__main__':
    sys.exit(main())
