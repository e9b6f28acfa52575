"""Read many damaged and hostile files: only errors of this package may come out.

    python benchmarks/fuzz.py [--data DIR] [--cases 10000] [--seed 0] [--jobs 1] [--only KIND]

Every case follows from the seed and its index. Files are read in a process of its own with a limit of
time (10 s) and of memory (1 GiB above what it has at the start), so that crashes and hangs are counted.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from fuzz_samples import real_samples, synthetic_samples
from fuzz_worker import Outcome, worker
from fuzzing import KINDS, make_case


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of real files, searched to the bottom")
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="index of the first case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only", choices=KINDS, help="one kind of mutation")
    args = parser.parse_args()
    samples = synthetic_samples()
    count = len(samples)
    if args.data:
        samples += real_samples(args.data)
    print(f"{count} synthetic files, {len(samples) - count} real ones; seed {args.seed}")
    indices = iter(range(args.first, args.first + args.cases))
    outcomes: dict[str, list[Outcome]] = defaultdict(list)
    lock = threading.Lock()

    def work() -> None:
        with worker() as reader:
            while True:
                with lock:
                    index = next(indices, None)
                if index is None:
                    return
                case = make_case(samples, args.seed, index, [args.only] if args.only else ())
                outcome = reader.run(case)
                with lock:
                    outcomes[case.kind].append(outcome)
                    if index % 500 == 499:
                        print(f"{index + 1} after {time.perf_counter() - start:.0f} s", file=sys.stderr)
                    if not outcome.fine:
                        print(
                            f"case {index} ({case.kind}, {case.origin}): {outcome.result}\n{outcome.detail}"
                        )

    start = time.perf_counter()
    threads = [threading.Thread(target=work) for _ in range(args.jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _print_table(outcomes)
    print(f"{time.perf_counter() - start:.0f} s")


def _print_table(outcomes: dict[str, list[Outcome]]) -> None:
    print("\n| mutation | cases | read | ReadError | anything else | slowest, s | most memory, MiB |")
    print("|---|---|---|---|---|---|---|")
    every = {kind: outcomes[kind] for kind in KINDS if kind in outcomes}
    every["all"] = [outcome for found in outcomes.values() for outcome in found]
    for kind, found in every.items():
        if not found:
            continue
        read, refused = (sum(one.result == result for one in found) for result in ("read", "ReadError"))
        slowest, most = max(one.seconds for one in found), max(one.mebibytes for one in found)
        other = len(found) - read - refused
        print(f"| {kind} | {len(found)} | {read} | {refused} | {other} | {slowest:.2f} | {most:.0f} |")


if __name__ == "__main__":
    main()
