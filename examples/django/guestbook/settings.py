"""Settings, all from the environment.

GUESTBOOK_DATA    folder for the database, uploads and the secret key (default: data, beside manage.py)
SECRET_KEY        Django's secret; without it the one that start.sh made in the data folder is used
ALLOWED_HOSTS     host names by commas (default: all; the proxy in front knows which are ours)
DEBUG             1 for Django's error pages
"""
import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(os.environ.get("GUESTBOOK_DATA") or BASE_DIR / "data").resolve()


def _secret_key():
    if key := os.environ.get("SECRET_KEY"):
        return key
    try:
        return (DATA_DIR / "secret_key").read_text().strip()
    except FileNotFoundError as error:
        raise ImproperlyConfigured(f"set SECRET_KEY, or let start.sh make {error.filename}") from None


SECRET_KEY = _secret_key()
DEBUG = os.environ.get("DEBUG") == "1"
ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "*").split(",")

INSTALLED_APPS = [
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "book",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "guestbook.urls"
WSGI_APPLICATION = "guestbook.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA_DIR / "db.sqlite3",
        # Workers share the file: a writer waits for another instead of failing at once.
        "OPTIONS": {"timeout": 20},
        "CONN_MAX_AGE": None,
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

UPLOAD_DIR = DATA_DIR / "uploads"
# A file of a form goes to disk beyond this many bytes, so a large one never stands in memory.
FILE_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024
FILE_UPLOAD_TEMP_DIR = UPLOAD_DIR

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True

STATIC_URL = "/static/"

# Workers listen on a socket that only the proxy reaches, so what it says of the client's scheme is believed.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
}
