"""What a stranger's connections cost the good clients: an effe beside Go's net/http and granian, under each attack.

    python benchmarks/attacks.py                            all servers, all attacks: below 10 minutes
    python benchmarks/attacks.py effe go --only idle kept   these servers, these attacks
    python benchmarks/attacks.py --only form --quick        a second for each figure
    python benchmarks/attacks.py --write-docs               the tables go into docs/explanation/server.md as well

Every server is started here, on 127.0.0.1, and attacked there alone. The servers answer the same requests
(benchmarks/attacking/apps); granian is installed into the environment of benchmarks/serve.py. Needs Linux with two
CPUs, openssl, and for its peer go (golang-go); a peer that cannot be had is left out.
"""

from __future__ import annotations

import argparse
import os
import sys

from attacking import figures, scenarios, servers
from attacking.attacks import ATTACKS


def main() -> None:
    """Attack what was asked for, and print what the good clients got."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("servers", nargs="*", metavar="SERVER", help=f"{', '.join(servers.NAMES)}; none: all")
    parser.add_argument("--only", nargs="+", choices=ATTACKS, default=list(ATTACKS), metavar="ATTACK",
                        help=", ".join(ATTACKS))  # fmt: skip
    limits = [scenarios.CONNECTIONS, scenarios.DESCRIPTORS]
    parser.add_argument("--limit", nargs="+", choices=limits, default=limits, metavar="LIMIT",
                        help="what the servers are short of: connections, files (none: both)")  # fmt: skip
    parser.add_argument("--seconds", type=float, default=2.5, help="of each measurement")
    parser.add_argument("--quick", action="store_const", dest="seconds", const=1.0, help="as --seconds 1")
    parser.add_argument("--write-docs", action="store_true")
    options = parser.parse_args()
    if unknown := set(options.servers) - set(servers.NAMES):
        parser.error(f"no such server: {', '.join(sorted(unknown))}; there are {', '.join(servers.NAMES)}")
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("one CPU for the server and one for the clients are needed: here is one")
    wanted = [name for name in servers.NAMES if not options.servers or name in options.servers]
    load = os.getloadavg()[0]
    found = scenarios.run(servers.prepare(wanted), options.only, options.limit, options.seconds)
    text = figures.tables(found, options.seconds, load)
    print(text)
    print("\n".join(figures.worse(found)), file=sys.stderr)
    if options.write_docs:
        figures.write_docs(text)


if __name__ == "__main__":
    main()
