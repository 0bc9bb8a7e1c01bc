"""Adds up what test suites reported: `sum_tests.py NAME EXIT_STATUS REPORT [NAME EXIT_STATUS REPORT …]`.

A report is a JUnit file, or a text whose last line is `N passed, N failed`. A suite that ended badly
without naming a failed test, or that left no report or no test, counts as one failure: silence is not success.
"""

import re
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Count:
    passed: int
    failed: int


def main(arguments: list[str]) -> int:
    suites = list(zip(arguments[::3], arguments[1::3], arguments[2::3], strict=True))
    counts = [counted(name, int(status), Path(report)) for name, status, report in suites]
    failed = sum(count.failed for count in counts)
    print(f"{sum(count.passed for count in counts)} passed, {failed} failed")
    return 0 if failed == 0 else 1


def counted(name: str, status: int, report: Path) -> Count:
    try:
        count = junit(report) if report.suffix == ".xml" else last_line(report)
    except (OSError, ValueError, ElementTree.ParseError) as error:
        print(f"{name} left no report that can be read: {error}")
        return Count(0, 1)
    if count.failed == 0 and (status != 0 or count.passed == 0):
        print(f"{name} ended with status {status} after {count.passed} passed tests and named no failure")
        return Count(count.passed, 1)
    print(f"{name}: {count.passed} passed, {count.failed} failed")
    return count


def junit(report: Path) -> Count:
    cases = list(ElementTree.parse(report).iter("testcase"))
    failed = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    skipped = [case for case in cases if case.find("skipped") is not None]
    return Count(len(cases) - len(failed) - len(skipped), len(failed))


def last_line(report: Path) -> Count:
    lines = report.read_text(encoding="utf-8").splitlines()
    found = re.fullmatch(r"(\d+) passed, (\d+) failed", lines[-1]) if lines else None
    if found is None:
        raise ValueError(f"{report} does not end with its counts")
    return Count(int(found[1]), int(found[2]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
