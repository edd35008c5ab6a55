"""Addresses: pages for people, and probes for tests of what stands in front."""
from django.contrib.staticfiles.views import serve
from django.urls import path, re_path

from book import cached, probes, views

urlpatterns = [
    path("", views.home, name="home"),
    path("guests/", views.guests, name="guests"),
    path("visits/", views.visits, name="visits"),
    path("upload/", views.upload, name="upload"),
    path("live/", views.live, name="live"),
    path("board/", cached.board, name="board"),
    path("entries/<int:pk>/", cached.entry, name="entry"),
    path("greeting/", cached.greeting, name="greeting"),
    path("mine/", cached.mine, name="mine"),
    path("front/", cached.front, name="front"),
    path("login/", cached.login, name="login"),
    path("healthz", probes.healthz),
    path("raw-upload", probes.raw_upload),
    path("stream", probes.stream),
    path("events", probes.events),
    path("slow", probes.slow),
    path("body", probes.body),
    path("counted", probes.counted),
    path("entries/<int:pk>/change", probes.change),
    re_path(r"^echo(?:/.*)?$", probes.echo),
    # A proxy in front serves these from the disk; this answers where there is none.
    re_path(r"^static/(?P<path>.*)$", serve, {"insecure": True}),
]
