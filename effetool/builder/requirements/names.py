"""Well-known names: what an import is called on the index, and what a misspelt dependency may have meant.

Only a hint to people. What a distribution is imported by is read from its own files once it is resolved.
"""

from __future__ import annotations

from .requirement import normalise

# Import name → distribution, where the two differ. A namespace that many distributions share (`google`, `azure`) is in
# it by what is below: alone it may be a stranger's name on the index.
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
    "azure.ai.ml": "azure-ai-ml",
    "azure.core": "azure-core",
    "azure.cosmos": "azure-cosmos",
    "azure.data.tables": "azure-data-tables",
    "azure.eventhub": "azure-eventhub",
    "azure.identity": "azure-identity",
    "azure.keyvault.keys": "azure-keyvault-keys",
    "azure.keyvault.secrets": "azure-keyvault-secrets",
    "azure.servicebus": "azure-servicebus",
    "azure.storage.blob": "azure-storage-blob",
    "azure.storage.queue": "azure-storage-queue",
    "backports.zoneinfo": "backports.zoneinfo",
    "google.api_core": "google-api-core",
    "google.auth": "google-auth",
    "google.cloud.aiplatform": "google-cloud-aiplatform",
    "google.cloud.bigquery": "google-cloud-bigquery",
    "google.cloud.bigtable": "google-cloud-bigtable",
    "google.cloud.datastore": "google-cloud-datastore",
    "google.cloud.exceptions": "google-cloud-core",
    "google.cloud.firestore": "google-cloud-firestore",
    "google.cloud.kms": "google-cloud-kms",
    "google.cloud.logging": "google-cloud-logging",
    "google.cloud.monitoring_v3": "google-cloud-monitoring",
    "google.cloud.pubsub": "google-cloud-pubsub",
    "google.cloud.pubsub_v1": "google-cloud-pubsub",
    "google.cloud.run_v2": "google-cloud-run",
    "google.cloud.secretmanager": "google-cloud-secret-manager",
    "google.cloud.spanner": "google-cloud-spanner",
    "google.cloud.speech": "google-cloud-speech",
    "google.cloud.storage": "google-cloud-storage",
    "google.cloud.tasks": "google-cloud-tasks",
    "google.cloud.tasks_v2": "google-cloud-tasks",
    "google.cloud.texttospeech": "google-cloud-texttospeech",
    "google.cloud.translate": "google-cloud-translate",
    "google.cloud.vision": "google-cloud-vision",
    "google.genai": "google-genai",
    "google.generativeai": "google-generativeai",
    "google.oauth2": "google-auth",
    "google.protobuf": "protobuf",
    "google.rpc": "googleapis-common-protos",
    "googleapiclient": "google-api-python-client",
    "grpc": "grpcio",
    "jose": "python-jose",
    "jwt": "PyJWT",
    "ldap": "python-ldap",
    "magic": "python-magic",
    "markdown_it": "markdown-it-py",
    "multipart": "python-multipart",
    "nacl": "PyNaCl",
    "opentelemetry.context": "opentelemetry-api",
    "opentelemetry.exporter.otlp": "opentelemetry-exporter-otlp",
    "opentelemetry.metrics": "opentelemetry-api",
    "opentelemetry.propagate": "opentelemetry-api",
    "opentelemetry.sdk": "opentelemetry-sdk",
    "opentelemetry.trace": "opentelemetry-api",
    "pkg_resources": "setuptools<81",  # the last that has it
    "pptx": "python-pptx",
    "psycopg2": "psycopg2-binary",
    "pythonjsonlogger": "python-json-logger",
    "ruamel.yaml": "ruamel.yaml",
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
    "zope.component": "zope.component",
    "zope.event": "zope.event",
    "zope.interface": "zope.interface",
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
    return {normalise(name): name for name in (*_POPULAR.split(), *(v for v in DISTRIBUTIONS.values() if "<" not in v))}


def distribution_for(module: str) -> str | None:
    """Return what to declare for an import such as `yaml` or `PIL.Image`, None where it is not known.

    It is not guessed: a name that merely sounds like it may be anybody's on the index.
    """
    parts = module.split(".")
    for end in range(len(parts), 0, -1):
        if found := DISTRIBUTIONS.get(".".join(parts[:end])):
            return found
    return popular().get(normalise(parts[0]))


def near(name: str) -> str | None:
    """Return the well-known distribution a misspelt name may have meant, None when there is none."""
    for module, distribution in DISTRIBUTIONS.items():
        if "<" not in distribution and normalise(module) == normalise(name) != normalise(distribution):
            return distribution
    known = popular()
    if normalise(name) in known:
        return None
    import difflib

    found = difflib.get_close_matches(normalise(name), known, 1, 0.75)
    return known[found[0]] if found else None
