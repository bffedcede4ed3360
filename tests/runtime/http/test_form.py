"""Forms of both types, sent to an effe by real clients (effetool/runtime/http/form.py)."""

import hashlib
import http.client
import json
import subprocess

import pytest

from tests.parts import need

EFFE = """
import hashlib
INFO = {"name": "forms", "version": "1.0"}
def run(context, error, response, request):
    form = request.form()
    response.json({
        "fields": [(name, form.get_all(name)) for name in sorted(form)],
        "first": {name: form[name] for name in sorted(form)},
        "files": [
            (name, each.filename, each.content_type, each.size, hashlib.sha1(each.file.read()).hexdigest())
            for name in sorted(form.files) for each in form.files.get_all(name)
        ],
    })
"""
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def forms(serve):
    return serve(EFFE)


def post(running, body, *kinds):
    """Send a body with Content-Type fields; return status and JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=60)
    try:
        connection.putrequest("POST", "/")
        for kind in kinds:
            connection.putheader("Content-Type", kind)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        text = answer.read().decode()
        return answer.status, json.loads(text) if answer.status == 200 else text
    finally:
        connection.close()


def test_an_urlencoded_form_has_fields_and_no_files(forms):
    """First values by name, all of them by get_all; a parameter of the type changes nothing."""
    answer = {"fields": [["a", ["1", "ü"]], ["b", [""]]], "first": {"a": "1", "b": ""}, "files": []}
    assert post(forms, b"a=1&b=&a=%C3%BC", f"{FORM}; charset=UTF-8") == (200, answer)
    assert post(forms, b"a=1&b=&a=%C3%BC") == (200, answer)
    assert post(forms, b"", FORM)[1]["fields"] == []


@pytest.mark.parametrize(
    ("kinds", "status"),
    [
        (["text/csv"], 415),
        (["multipart/mixed; boundary=b"], 415),
        (["multipart/form-data"], 400),
        (["multipart/form-data; boundary=a; boundary=b"], 400),
        (['multipart/form-data; boundary="b'], 400),
        ([FORM, "multipart/form-data; boundary=b"], 400),
        ([";"], 400),
    ],
)
def test_another_or_malformed_type_is_refused(forms, kinds, status):
    """A filter in front may have read the other type."""
    assert post(forms, b"--b--", *kinds)[0] == status


def test_too_many_fields_are_refused(forms):
    """However they are written."""
    assert post(forms, b"a=1&" * 1001, FORM)[0] == 400


def test_a_file_where_a_word_was_expected_is_a_missing_field(forms):
    """A field is always str: an upload of the same name cannot take its place."""
    body = b'--b\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\nx\r\n--b--'
    status, answer = post(forms, body, "multipart/form-data; boundary=b")
    assert status == 200 and answer["first"] == {} and answer["files"][0][:4] == [
        "a", "a", "application/octet-stream", 1
    ]  # fmt: skip


def test_curl_sends_a_form_with_files(forms, tmp_path):
    """Fields, a small file and one that arrives while it is read and goes to the disk."""
    need("curl")
    (tmp_path / "small.txt").write_text("hello")
    (tmp_path / "large.bin").write_bytes(bytes(range(256)) * 20_000)
    arguments = [
        "-F",
        "who=Ada Lovelace",
        "-F",
        "who=Grace",
        "-F",
        "one=@small.txt",
        "-F",
        'two=@large.bin;filename="a;b"',
    ]
    url = f"http://127.0.0.1:{forms.port}/"
    for more in ([], ["-H", "Transfer-Encoding: chunked"]):
        done = subprocess.run(
            ["curl", "-sS", *arguments, *more, url], capture_output=True, check=True, timeout=60, cwd=tmp_path
        )
        answer = json.loads(done.stdout)
        assert answer["fields"] == [["who", ["Ada Lovelace", "Grace"]]]
        assert answer["files"] == [
            ["one", "small.txt", "text/plain", 5, "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"],
            ["two", "a;b", "application/octet-stream", 5_120_000, answer["files"][1][4]],
        ]
        assert answer["files"][1][4] == hashlib.sha1((tmp_path / "large.bin").read_bytes()).hexdigest()
