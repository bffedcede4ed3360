"""Well-known names: what an import is called on the index, and what a misspelt dependency may have meant.

Only a hint to people. What a distribution is imported by is read from its own files once it is resolved.
"""

from __future__ import annotations

from .requirement import normalise

# Import name → distribution, where the two differ.
DISTRIBUTIONS = {
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "Bio": "biopython",
    "Crypto": "pycryptodome",
    "OpenSSL": "pyOpenSSL",
    "PIL": "Pillow",
    "MySQLdb": "mysqlclient",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "dns": "dnspython",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "fitz": "PyMuPDF",
    "git": "GitPython",
    "github": "PyGithub",
    "google.protobuf": "protobuf",
    "grpc": "grpcio",
    "jose": "python-jose",
    "jwt": "PyJWT",
    "ldap": "python-ldap",
    "magic": "python-magic",
    "markdown_it": "markdown-it-py",
    "multipart": "python-multipart",
    "nacl": "PyNaCl",
    "pkg_resources": "setuptools",
    "pptx": "python-pptx",
    "psycopg2": "psycopg2-binary",
    "pythonjsonlogger": "python-json-logger",
    "serial": "pyserial",
    "sklearn": "scikit-learn",
    "skimage": "scikit-image",
    "slugify": "python-slugify",
    "socks": "PySocks",
    "telegram": "python-telegram-bot",
    "usb": "pyusb",
    "websocket": "websocket-client",
    "wx": "wxPython",
    "yaml": "PyYAML",
    "zmq": "pyzmq",
}
# Near misses are sought among these and the names above.
_POPULAR = """
aiohttp anyio beautifulsoup4 boto3 botocore cachetools celery certifi charset-normalizer click cryptography defusedxml
django duckdb fastapi flask greenlet grpcio gunicorn h11 httpcore httpx idna jinja2 jsonschema lxml markdown markupsafe
matplotlib msgpack networkx numpy openpyxl orjson packaging pandas paramiko pillow polars protobuf psutil psycopg
pyarrow pydantic pydantic-core pygments pyjwt pymongo pymysql pyparsing pytz pyyaml redis regex requests rich
ruamel-yaml scikit-learn scipy sentry-sdk simplejson six sqlalchemy starlette sympy tenacity tomli tomlkit torch tqdm
typer typing-extensions tzdata ujson urllib3 uvicorn websockets werkzeug xmltodict zstandard
"""


def popular() -> dict[str, str]:
    """Return well-known distributions by their normalised name."""
    return {normalise(name): name for name in (*_POPULAR.split(), *DISTRIBUTIONS.values())}


def distribution_for(module: str) -> str:
    """Guess what to declare for an import such as `yaml` or `PIL.Image`."""
    parts = module.split(".")
    for end in range(len(parts), 0, -1):
        if found := DISTRIBUTIONS.get(".".join(parts[:end])):
            return found
    return parts[0].replace("_", "-")


def near(name: str) -> str | None:
    """Return the well-known distribution a misspelt name may have meant, None when there is none."""
    for module, distribution in DISTRIBUTIONS.items():
        if normalise(module) == normalise(name) != normalise(distribution):
            return distribution
    known = popular()
    if normalise(name) in known:
        return None
    import difflib

    found = difflib.get_close_matches(normalise(name), known, 1, 0.75)
    return known[found[0]] if found else None
