#!/usr/bin/env bash
# make demo: create, build, run and call an effe. Usage: PYTHON=… demo.sh DIRECTORY PORT
set -euo pipefail
directory=$1 port=$2
PYTHON="$(cd "$(dirname "$PYTHON")" && pwd)/$(basename "$PYTHON")"
tool="$(dirname "$PYTHON")/effe-tool"

if ! "$PYTHON" - "$port" <<'PY'
import socket, sys
for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::1")):
    try:
        with socket.socket(family) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, int(sys.argv[1])))
    except OSError as problem:
        if problem.errno == 98 or problem.errno == 48:  # in use: Linux, macOS
            sys.exit(1)
PY
then
    echo "error: port $port is taken" >&2
    echo "  fix: make demo PORT=$((port + 1))" >&2
    exit 1
fi

rm -rf "$directory"
mkdir -p "$directory"
cd "$directory"
type_() { echo "\$ $*"; }

type_ effe-tool new hello
"$tool" new hello
type_ effe-tool build
"$tool" build
type_ "./hello-1.0.pex -port $port &"
log=$(mktemp)
./hello-1.0.pex -port "$port" -log text 2>"$log" &
effe=$!
trap 'kill $effe 2>/dev/null || true; rm -f "$log"' EXIT

# The effe logs when it is ready. Only then one request is sent.
while ! grep -q "$port" "$log"; do
    kill -0 "$effe" 2>/dev/null || { cat "$log" >&2; echo "error: the effe ended before it answered" >&2; exit 1; }
    sleep 0.02
done
cat "$log"
type_ "curl localhost:$port"
"$PYTHON" - "$port" <<'PY'
import sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # whatever proxy is set: this is local
sys.stdout.write(opener.open(f"http://localhost:{sys.argv[1]}", timeout=30).read().decode())
PY
type_ kill %1
kill "$effe"
wait "$effe"

echo
echo "It works. effe-tool: $tool"
echo "The effe:            $PWD/hello, built: $PWD/hello-1.0.pex"
echo "next:  export PATH=\"$(dirname "$tool"):\$PATH\""
