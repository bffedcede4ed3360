"""What a request costs: an effe beside the servers that people install for speed, on this machine.

    python benchmarks/serve.py                            all servers, all scenarios: about 20 minutes
    python benchmarks/serve.py effe go granian            these servers
    python benchmarks/serve.py --only hello headers       these scenarios
    python benchmarks/serve.py --write-docs               the figures go into docs/explanation/server.md as well

The servers answer the same four requests (benchmarks/serving/apps). The peers are installed into an environment of
their own, in the cache directory. Needs Linux with two CPUs, wrk (Debian: wrk), and for two of the peers go (golang-go)
and libev's headers (libev-dev); a peer that cannot be had is left out.
"""

from __future__ import annotations

import argparse
import os
import sys

from serving import figures, peers, scenarios


def main() -> None:
    """Measure what was asked for, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("servers", nargs="*", metavar="SERVER", help=f"{', '.join(peers.NAMES)}; none: all")
    parser.add_argument("--only", nargs="+", choices=scenarios.EVERY, default=scenarios.EVERY, metavar="SCENARIO",
                        help=", ".join(scenarios.EVERY))  # fmt: skip
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement")
    parser.add_argument("--write-docs", action="store_true")
    options = parser.parse_args()
    if unknown := set(options.servers) - set(peers.NAMES):
        parser.error(f"no such server: {', '.join(sorted(unknown))}; there are {', '.join(peers.NAMES)}")
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("one CPU for the server and one for the load are needed: here is one")
    wanted = [name for name in peers.NAMES if not options.servers or name in options.servers]
    found = scenarios.run(peers.prepare(wanted), options.only, options.rounds, options.seconds)
    text = figures.tables(found, options.rounds, options.seconds)
    print(text)
    if options.write_docs:
        figures.write_docs(found, text)


if __name__ == "__main__":
    main()
