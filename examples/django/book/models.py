"""What the guest book holds."""
from django.db import models


class Entry(models.Model):
    """What one guest wrote."""

    name = models.CharField(max_length=80)
    message = models.TextField(max_length=1000)
    written = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        ordering = ["-written", "-id"]

    def __str__(self):
        return f"{self.name}, {self.written:%Y-%m-%d}"
