# /// script
# requires-python = ">=3.10"
# dependencies = ["markdown-it-py>=3", "pygments>=2.17"]
# ///
"""markdown: POST Markdown, get HTML with highlighted code; GET the style sheet for it."""

from markdown_it import MarkdownIt
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

from effetool.runtime import HTTPError

INFO = {"name": "markdown", "version": "1.0", "doc": "Markdown in, HTML with highlighted code out"}


class Context:
    """The compiled grammar, and a lexer for each language so far: created once, used by one request at a time."""

    def __init__(self):
        self.lexers = {}
        self.formatter = HtmlFormatter(nowrap=True)
        # The text is untrusted: HTML in it is escaped.
        options = {"html": False, "highlight": self.highlight}
        self.grammar = MarkdownIt("commonmark", options).enable(["table", "strikethrough"])

    def highlight(self, code, language, attributes):
        """Return the code as HTML; for an empty string the grammar only escapes the code."""
        if language not in self.lexers:
            try:
                self.lexers[language] = get_lexer_by_name(language)
            except ClassNotFound:
                return ""
        return highlight(code, self.lexers[language], self.formatter)


def start():
    return Context()


def run(context, error, response, request):
    if error:
        response.status = 503
        return error
    if request.method in ("GET", "HEAD"):
        response.headers["Content-Type"] = "text/css; charset=utf-8"
        response.write(context.formatter.get_style_defs("code") + "\n")
        return
    if request.method != "POST":
        response.headers["Allow"] = "GET, HEAD, POST"
        raise HTTPError(405, "POST Markdown, or GET the style sheet")
    try:
        text = request.body.read().decode()
    except UnicodeDecodeError as problem:
        raise HTTPError(400, f"not UTF-8: byte {problem.start}") from problem
    response.headers["Content-Type"] = "text/html; charset=utf-8"
    response.write(context.grammar.render(text))
