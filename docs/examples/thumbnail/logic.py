# /// script
# requires-python = ">=3.10"
# dependencies = ["pillow>=11"]
# ///
"""thumbnail: POST a picture, get it as a PNG no larger than ?size=."""

import io
import re
import warnings

from PIL import Image, UnidentifiedImageError

from effetool.runtime import HTTPError

INFO = {"name": "thumbnail", "version": "1.0", "doc": "A picture in, a small PNG out"}

FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
PIXELS = 40_000_000  # decoded, 160 MB at most: a file of a few KB can claim a thousand times that


def init():
    # Pillow warns above this number and raises above twice it; here the warning is an error too.
    Image.MAX_IMAGE_PIXELS = PIXELS
    warnings.simplefilter("error", Image.DecompressionBombWarning)


def run(context, error, response, request):
    size = request.query.get("size", "128")
    if not re.fullmatch("[1-9][0-9]{0,3}", size):
        raise HTTPError(400, "size is a number of pixels from 1 to 9999")
    try:
        with Image.open(io.BytesIO(request.body.read()), formats=FORMATS) as picture:
            picture.thumbnail((int(size), int(size)))
            made = io.BytesIO()
            picture.save(made, "PNG")
    except UnidentifiedImageError as problem:
        raise HTTPError(415, "send a PNG, JPEG, GIF or WebP picture") from problem
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as problem:
        raise HTTPError(413, f"more than {PIXELS} pixels") from problem
    except (OSError, SyntaxError, ValueError) as problem:  # what Pillow raises for a broken file
        raise HTTPError(400, "the picture is broken") from problem
    response.headers["Content-Type"] = "image/png"
    response.write(made.getvalue())
