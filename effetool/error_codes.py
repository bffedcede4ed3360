"""The error codes, each with a paragraph: `effe-tool explain CODE`."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import UsageError

__all__ = ["CODES", "Entry", "explain"]


@dataclass(frozen=True)
class Entry:
    """A title and a paragraph."""

    title: str
    text: str


CODES: dict[str, Entry] = {
    "E001": Entry(
        "wrong usage",
        "The command line has a word or a flag that the command does not know, or lacks one it needs. `effe-tool COMMAND --help` "
        "lists them. Exit code 2.",
    ),
    "E002": Entry(
        "the system refused",
        "The operating system refused something the command needs, and no better error fits: the message is its own.",
    ),
    "E101": Entry(
        "syntax error",
        "The author's module is not Python. The place is the one Python names; the fault is often one line above it, a bracket or "
        "a quote that was not closed.",
    ),
    "E110": Entry(
        "no INFO",
        'An effe says what it is in a module-level INFO: a dict literal such as INFO = {"name": "hello", "version": "1.0"}, or '
        "the same object as a JSON string. It is found by reading the file, not by running it, so it stands at the top level.",
    ),
    "E111": Entry(
        "INFO is computed",
        "INFO is read without running the module, so that a build needs none of its dependencies and runs none of its code. A value "
        "that calls, adds or formats something cannot be read so. Write it as a literal. Every command reads it so, also dev, "
        "test, run and invoke, which import the module: what they take is what build, image, deploy and up take. build --import-info "
        "is the one exception: it runs the module, with what it declares installed, and "
        "writes what it learned into the file, which invoke and run then take.",
    ),
    "E112": Entry(
        "INFO is not JSON",
        "A string INFO is JSON (RFC 8259): double quotes, no comments, no comma after the last member, true, false and null in "
        'lower case. In a plain string of Python "\\n" is a line break, which JSON strings do not hold: write r""" … """. A dict '
        "literal needs none of this care.",
    ),
    "E113": Entry(
        "INFO is not an object",
        'INFO is JSON or a literal, but not an object: write {"name": "hello", "version": "1.0"}.',
    ),
    "E114": Entry(
        "name or version is missing or not a string",
        "name and version are strings; they name the artefact name-version.pex and the image name:version. A number will not do: "
        "1.10 would become 1.1. When one is missing the artefact is named by a hash of what is in it; --strict makes that an error.",
    ),
    "E115": Entry(
        "a name that cannot be used",
        "One name serves as a file name, an image name and a Kubernetes name: a lower-case letter first, then letters, digits, - or "
        "_, at most 63, the last one a letter or digit. A new effe may not be called as a keyword or a module of the standard "
        "library, nor may its directory as one in which no effe is looked for (out, dist, build, tests, venv).",
    ),
    "E116": Entry(
        "a version that cannot be used",
        "The version is part of a file name and of an image tag: letters, digits, `.`, `-` or `_`, at most 64, the first one a letter, "
        "a digit or `_`.",
    ),
    "E117": Entry(
        "route, host or strip is wrong",
        "INFO may say where an effe answers: route, a path prefix or several (/hello), host, a host name or several, and strip, "
        "whether the prefix is taken off before the effe sees the path (it is, unless strip is false). A route has no slash at its end "
        "and no wildcard: it holds for all below it, and ends at a slash, so /hello is not /helloworld.",
    ),
    "E118": Entry(
        "env or secrets is wrong",
        "INFO may declare the variables an effe reads: env, a list of names or an object of names and defaults (null for one that must "
        "be given), and secrets, a list of names. A missing one is an error at the start. EFFE_… and PORT belong to the runtime: its "
        "flags set them.",
    ),
    "E119": Entry(
        "schedule, memory or concurrency is wrong",
        "INFO may say when an effe is called by itself (schedule, the five fields of crontab), how much memory it may take (memory, from "
        "32MiB) and how many runs one process takes at once (concurrency). The deployments are written from these numbers.",
    ),
    "E120": Entry(
        "no run",
        "An effe answers requests in run(context, error, response, request), a function at the top level of its module. Names other "
        "platforms use, such as handler or main, are pointed out and not taken for it.",
    ),
    "E121": Entry(
        "a function takes the wrong arguments",
        "The runtime calls init(), start(), run(context, error, response, request), stop(context) and ready(). The names of the "
        "arguments are free, their number is not; further ones need defaults.",
    ),
    "E122": Entry(
        "no function",
        "init, start, run, stop and ready are functions that the runtime calls. A value under one of these names cannot be called, and "
        "calling a generator function, one with a yield, runs none of its code: what run has to say goes through response.write().",
    ),
    "E130": Entry(
        "two effes, one output",
        "Two effes would be built to the same file. Nothing is built: give one of them another name or version in INFO.",
    ),
    "E131": Entry(
        "a file that cannot go in",
        "A file of the effe cannot be read, is no regular file, changed while it was packed, or is a link that leaves the effe's "
        "directory: what it points to would be somebody else's, or missing on the next machine.",
    ),
    "E132": Entry(
        "a file name that cannot go in",
        "A .pex is unpacked on file systems of every kind: names that differ only in case, that Windows reserves or that hold control "
        "characters are refused, and so are the names that the .pex itself uses, such as effetool or __main__.py.",
    ),
    "E133": Entry(
        "it cannot be made again here",
        "`effe-tool verify` builds an artefact once more and compares. That needs the version of effe-tool and of pex that made it, for one with dependencies the same minor version of Python too, and every Python it was compiled for. The artefact says which; `effe-tool inspect` shows them.",
    ),
    "E134": Entry(
        "too large",
        "Python imports from archives of less than 4 GiB and 65,536 files. Keep large data beside the .pex, or fetch it in init().",
    ),
    "E135": Entry(
        "pex failed",
        "The base of a .pex is made by pex's command line, which runs as a process of the Python that effe-tool runs on. The message is "
        "its last line; -v shows all.",
    ),
    "E136": Entry(
        "cannot write the output",
        "The system refused to write there, or the name belongs to a directory, a device, a pipe, a socket or a file of the effe itself. What was there before is "
        "still there, whole.",
    ),
    "E137": Entry(
        "the built file does not answer",
        "Before it takes its place, a built file is run with -info and must print INFO. One that does not is thrown away.",
    ),
    "E138": Entry(
        "not reproducible",
        "Two builds of the same inputs gave different bytes, or an artefact is not what its inputs give. The first entry that differs is named.",
    ),
    "E139": Entry(
        "over budget",
        "The artefact is larger than --max-size or starts slower than --max-start. A new one is thrown away.",
    ),
    "E140": Entry(
        "dependency not found",
        "The resolver found no distribution that fits the requirement, the Python versions and the platform. The last line is its own; "
        "-v shows all. The index and its credentials come from pip's configuration; an index that refuses them is named in the fix.",
    ),
    "E141": Entry(
        "imported but not declared",
        "The module imports something that is neither in the standard library, nor beside it, nor in what it declares: the built file "
        "would fail when it starts. Add the distribution to the script block.",
    ),
    "E142": Entry(
        "a malformed declaration",
        "The `# /// script` block (PEP 723) is TOML behind `# `, begins with `# /// script`, ends with `# ///` and stands once.",
    ),
    "E143": Entry(
        "no wheel for a target",
        "An artefact for another Python or platform is made of wheels that were built for it: nothing can be compiled for a machine "
        "that is not there. The named distribution has none. Leave that target out, take a version that has one, or build there.",
    ),
    "E144": Entry(
        "the lock does not answer the declaration",
        "With --locked nothing is resolved: pylock.toml has to hold a version and a wheel for everything declared, and was asked for nothing else. `effe-tool build "
        "--lock` writes it anew.",
    ),
    "E145": Entry(
        "the network is needed",
        "With --offline only what is in the cache is used, and something is not: the declaration has changed, or the cache was emptied. "
        "Build once without --offline.",
    ),
    "E146": Entry(
        "no fitting Python",
        "requires-python in the script block admits none of the Pythons on PATH. `dev`, `test`, `run` and `invoke` take the one "
        "effe-tool runs on where it fits, else the newest python3.N that does.",
    ),
    "E147": Entry(
        "no executable with its interpreter",
        "--scie has pex make an executable of a .pex: `science`, of a version that this pex accepts, joins a launcher, a CPython of "
        "python-build-standalone and the .pex. Launcher and CPython come from the network, or from a mirror that `science download` has "
        "filled and --scie-assets names; `science` itself from PATH, from that directory, or from the network. One of them could not be "
        "had, or the flags contradict each other. The .pex is there, whole; an executable that was there before is untouched.",
    ),
    "E148": Entry(
        "too new for a Python that is promised",
        "A module uses what a Python that the artefact promises to run on has not: `match` on 3.9, `tomllib` on 3.10, `cgi` on 3.13. "
        "requires-python is the promise, and `>=3.9` where there is none. Write the line that the fix names, or guard the import: "
        "`try: import tomllib`, `except ImportError: import tomli as tomllib`.",
    ),
    "E150": Entry(
        "no effe here",
        "An effe is a .py file with INFO and run, or a directory with logic.py; any other directory is searched for them. Without a "
        "path, the working directory is taken: itself, or its direct children.",
    ),
    "E151": Entry(
        "several effes",
        "The command takes one effe and the directory holds several. Name one of those listed. Exit code 2.",
    ),
    "E152": Entry(
        "no tests",
        "pytest found no test of this effe, or none that the words after `--` choose: they are functions test_… in tests/test_logic.py, or for a single file hello.py in "
        "test_hello.py beside it or in tests/.",
    ),
    "E153": Entry(
        "a saved request",
        "A .http file holds requests as text: METHOD and path, header fields, a blank line, the body; `###` between two of them. "
        "`effe-tool dev --record events` writes such files.",
    ),
    "E160": Entry(
        "a private key is left out",
        "A .pex and an image go to many places, a private key must not: *.key, *.p12, *.pfx, and a *.pem that holds a private key, are "
        "left out of what is built. A running effe takes a key by -key PATH, a secret by INFO's secrets. A name that ends otherwise, such "
        "as key.pem.txt, goes in.",
    ),
    "E161": Entry(
        "large files go in",
        "The files of the effe's directory are larger together than most effes ever are: a data set or a build output that lies there by "
        "accident would be carried to every machine. It is only said, and built.",
    ),
    "E162": Entry(
        "nothing is kept",
        "What a build can use again, such as the base that pex makes, is kept in $XDG_CACHE_HOME/effe-tool or ~/.cache/effe-tool. That "
        "directory cannot be made or written to, or is another user's: every build starts from nothing.",
    ),
    "E163": Entry(
        "a shared library is not here",
        "The native code of a wheel needs a library that wheels expect of every system (libgomp, libstdc++, libGL …), and this machine does "
        "not have it: the import fails here. It is read from the wheels' files, and nothing is loaded. It is only said, because the .pex may "
        "be for another machine. `effe-tool image` adds such libraries by itself.",
    ),
    "E201": Entry("exists", "`new` replaces no file unless told to with --force, and then only those it lists."),
    "E202": Entry("no such template", "`effe-tool new --list` shows the templates there are."),
    "E203": Entry(
        "a faulty template",
        "A template is a set of files that end in .jinja. They are rendered in a sandbox, another's in a process with bounds on its "
        "time and memory. A name that is not given, a path that leaves the directory or enters .git, a link, a submodule, or too "
        "much of anything is refused before anything is written.",
    ),
    "E204": Entry("cannot write", "The system refused to write there. Nothing was left half-written."),
    "E205": Entry(
        "a template of several files",
        "The template has files beside its logic.py that the effe needs, so it cannot be written as one file: leave out the `.py` and "
        "it becomes a directory.",
    ),
    "E206": Entry(
        "a template's repository",
        "A template is fetched by git from git+https://, git+ssh:// or git+file://, at the tag, branch or commit after @. Nothing is "
        "checked out and no hook runs. git's own words stand below the error: a wrong URL, a tag that is not there, no permission.",
    ),
    "E301": Entry("the port", "The port is taken or may not be used. `-port 0` takes a free one and says which."),
    "E304": Entry(
        "the env file",
        "--env-file names a file of NAME=value lines, in UTF-8. Values may stand in single quotes, where nothing has a meaning, or in "
        "double quotes, where \\n, \\t and an escaped quote have. What the environment has already wins.",
    ),
    "E305": Entry(
        "the module cannot be imported",
        "Importing the author's module raised. The place is the author's own innermost line; the libraries below it are left out. "
        "`dev` answers every request with this until the next good save.",
    ),
    "E306": Entry(
        "init fails", "init() raised. In production the effe would end with exit status 1 before it listens."
    ),
    "E307": Entry(
        "start fails",
        "start() raised, so there is no context. The request that needed it still reaches run, with the error in its second argument.",
    ),
    "E308": Entry(
        "a run fails",
        "run() raised, or returned an error. In production the client sees HTTP 500 and nothing of the inside, the log has the "
        "traceback; `dev` shows where it was.",
    ),
    "E309": Entry(
        "the effe's process ended",
        "Something ended the process in which the author's code ran: os._exit, a crash in an extension module, the system when memory "
        "ran out. `dev` answers with this until the next save starts a new one. A file with wheels for another machine ends at once: "
        "build it with --platform for the machine that is to run it.",
    ),
    "E310": Entry(
        "no answer",
        "The connection was refused, cut or silent before an answer was there. The effe may have crashed, or cut an answer that it "
        "could not end.",
    ),
    "E311": Entry(
        "a variable is not given",
        "INFO declares the variables an effe reads (env, secrets), and one without a default is not there. It may stand in the "
        "environment, in the file that NAME_FILE names, in systemd's $CREDENTIALS_DIRECTORY or in /run/secrets; `dev` and `invoke` read "
        "an --env-file besides. The value of a secret is never printed.",
    ),
    "E401": Entry("no engine", "A container engine was asked for and none is installed, or it did not answer."),
    "E402": Entry(
        "not a .pex to make an image of",
        "`effe-tool image` takes what `effe-tool build` made, or a directory with such files. An effe's source is built first.",
    ),
    "E403": Entry(
        "the base cannot be used",
        "--base takes a reference (docker.io/library/python:3.13-slim), an OCI layout directory, or a tar that `podman save`, `docker "
        "save`, skopeo or `effe-tool base` wrote. It must hold a Python that fits the artefact and have the platform that is asked for.",
    ),
    "E404": Entry(
        "a malformed image reference",
        "A reference is [REGISTRY[:PORT]/]NAME[:TAG][@sha256:…], in lower case, as docker and podman write it. Credentials do not stand "
        "in it: `podman login` or `docker login` keeps them.",
    ),
    "E405": Entry(
        "the registry",
        "The registry could not be reached, or refused. Credentials are read from $REGISTRY_AUTH_FILE, $DOCKER_CONFIG, the login files "
        "of podman and docker and their credential helpers. Plain HTTP is used for 127.0.0.1 and localhost only; a private certificate "
        "authority is named by SSL_CERT_FILE. A push that broke off goes on where it was when it is run again.",
    ),
    "E406": Entry(
        "a platform the image cannot have",
        "The artefact has no distribution, or the base or Debian's archive nothing, for a platform that --platform names. Native code is built for one "
        "platform and Python at a time: `effe-tool build --platform` puts several into one .pex.",
    ),
    "E407": Entry(
        "blobs cannot be kept",
        "Layers and bases are kept below $XDG_CACHE_HOME/effe-tool/image or ~/.cache/effe-tool/image, which only the user may write to. "
        "It may be removed at any time.",
    ),
    "E408": Entry(
        "no base from Debian packages",
        "`effe-tool base` takes Python and its libraries from the Debian or Ubuntu packages of the machine it runs on: it needs apt-get, "
        "dpkg-deb and their archive, but neither root nor a container engine. Elsewhere give --base a reference.",
    ),
    "E409": Entry(
        "a shared library that the image would lack",
        "The native code of a wheel needs a library that neither the wheel nor the base has, and the import would fail. To the small base "
        "it is added from the Debian packages of this machine; to another base nothing is added: take one that has it. A library that no "
        "package has, such as a graphics driver's, is only named.",
    ),
    "E410": Entry(
        "two effes of one name",
        "Effes that run together are told apart by their name in INFO, so no two may have the same. Two versions of one effe in a "
        "directory of built files are such a pair: name the files that shall run.",
    ),
    "E411": Entry(
        "two effes at one place",
        "A host and a path together belong to one effe. INFO's `route` and `host` say where it answers; without either it is /NAME. A "
        "longer path beside a shorter one is no conflict: /shop/cart is asked before /shop.",
    ),
    "E412": Entry(
        "no HAProxy answers",
        "--runtime takes the path of HAProxy's runtime API, the `stats socket` of its configuration. HAProxy must run, and the user "
        "must be allowed to open the socket.",
    ),
    "E413": Entry(
        "HAProxy refuses",
        "The runtime API answered with an error: the message is its own. Servers come and go at run time from HAProxy 2.6 on, and need "
        "a socket with `level admin`. Routes and backends are read when HAProxy starts or reloads.",
    ),
    "E414": Entry(
        "a server that does not get ready, or does not finish",
        "A new server gets requests once its /ready says so; one that does not say so in time is taken out again, and the old ones "
        "stay. An old server is removed once it has answered what it had; until then it gets nothing new. --wait says how long.",
    ),
    "E415": Entry(
        "HAProxy is not installed",
        "`effe-tool up` runs the effes behind HAProxy, 2.4 or newer, which it looks for on PATH and in /usr/sbin. It does not bring one, "
        "nor a forwarder of its own.",
    ),
    "E416": Entry(
        "HAProxy does not start",
        "The HAProxy that `effe-tool up` started ended, did not answer, or refused its configuration; its own last lines stand below. "
        "In a reload the one that runs goes on.",
    ),
    "E420": Entry(
        "a platform does not take it",
        "A name, an image or a number does not fit where it would stand. Kubernetes takes DNS labels (lower-case letters, digits, `-`, at "
        "most 63), so `_` in an effe's name becomes `-`; what its own schemas let pass is checked before anything is printed.",
    ),
    "E421": Entry(
        "an Ingress cannot strip",
        "An Ingress has no standard way to take the route off the path, so the effe would see its URL. HTTPRoutes of the Gateway API "
        "have one and are the default. With an Ingress, give the effe a host of its own, or say strip: false.",
    ),
    "E422": Entry(
        "a variable that cannot be set",
        "--env NAME=VALUE gives a value to a variable that INFO declares in env. Secrets are not given so: they would stand in plain text "
        "in a file. They come from the platform's own secrets.",
    ),
}


def explain(code: str) -> Entry:
    """Return the entry of a code, in any case.

    Raises:
        UsageError: E001 for a code there is not.
    """
    if (entry := CODES.get(code.upper())) is None:
        raise UsageError(f"no error code {code!r}", code="E001", fix="effe-tool explain lists them")
    return entry
