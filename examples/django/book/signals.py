"""What follows when an entry changes: the pages that show it are not to be shown again."""
from django.db import transaction
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from book import edge
from book.models import Entry


@receiver([post_save, post_delete], sender=Entry)
def purge(instance, **_):
    # After the commit: a page that is made in between would show the old state, and be kept.
    tag = f"entry-{instance.pk}"
    transaction.on_commit(lambda: edge.purge(tag, "entries"))
