"""Uploads on disk, each under its hash."""
import hashlib
import os
import tempfile

from django.conf import settings


def keep(chunks):
    """Writes the chunks to disk as they come; returns their SHA-256 and length.

    The file appears under its name only when it is whole.
    """
    digest, length = hashlib.sha256(), 0
    settings.UPLOAD_DIR.mkdir(parents=True, exist_ok=True)
    handle, path = tempfile.mkstemp(dir=settings.UPLOAD_DIR, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as out:
            for chunk in chunks:
                out.write(chunk)
                digest.update(chunk)
                length += len(chunk)
        os.replace(path, settings.UPLOAD_DIR / digest.hexdigest())
    except BaseException:
        os.unlink(path)
        raise
    return digest.hexdigest(), length
