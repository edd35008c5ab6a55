"""The guest book."""
from django.apps import AppConfig
from django.db.backends.signals import connection_created


class BookConfig(AppConfig):
    name = "book"

    def ready(self):
        from book import signals  # noqa: F401 - it needs the models, which are there now

        connection_created.connect(use_write_ahead_log)


def use_write_ahead_log(connection, **_):
    """Lets readers of SQLite go on while another worker writes."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA journal_mode = WAL")
            cursor.execute("PRAGMA synchronous = NORMAL")
