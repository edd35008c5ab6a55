"""Addresses for tests of what stands in front: late, large, streamed and mirrored answers."""
import fcntl
import os
import time

from django.conf import settings
from django.db import connection
from django.http import HttpResponse, HttpResponseBadRequest, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_safe

from book import storage
from book.models import Entry

CHUNK = 64 * 1024


class BadParameter(ValueError):
    """A query parameter that is no number, or too large; the text is for the client."""


def number(request, name, otherwise, most):
    """Returns a query parameter of 0 to most."""
    text = request.GET.get(name)
    if text is None:
        return otherwise
    if not (text.isascii() and text.isdigit() and len(text) < 12 and int(text) <= most):
        raise BadParameter(f"{name}: give a number of 0 to {most}\n")
    return int(text)


def checked(view):
    """Answers a BadParameter with 400."""

    def wrapper(request, *args, **kwargs):
        try:
            return view(request, *args, **kwargs)
        except BadParameter as error:
            return HttpResponseBadRequest(str(error), content_type="text/plain")

    return wrapper


@require_safe
def healthz(request):
    """Ready when the database answers."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return HttpResponse("ok\n", content_type="text/plain")


def body_of(request):
    """Yields the request's body as it comes.

    Django reads as much as Content-Length says; a chunked body has none, and gunicorn ends it by itself.
    """
    environ = request.environ
    chunked = "HTTP_TRANSFER_ENCODING" in environ and environ.get("wsgi.input_terminated")
    source = environ["wsgi.input"] if chunked else request
    while chunk := source.read(CHUNK):
        yield chunk


@csrf_exempt  # for programs: there is no cookie to abuse
@require_http_methods(["POST", "PUT"])
def raw_upload(request):
    """Streams the body to disk; it is never in memory as a whole."""
    sha256, length = storage.keep(body_of(request))
    return JsonResponse({"sha256": sha256, "length": length, "worker": os.getpid()})


@checked
@require_safe
def stream(request):
    """Sends ?lines= lines with ?ms= milliseconds between them; ?unbuffered asks the proxy to pass each on at once."""
    lines, pause = number(request, "lines", 5, 100_000), number(request, "ms", 200, 60_000)

    def parts():
        for line in range(1, lines + 1):
            if line > 1:
                time.sleep(pause / 1000)
            yield f"line {line} of {lines}\n"

    response = StreamingHttpResponse(parts(), content_type="text/plain; charset=utf-8")
    if "unbuffered" in request.GET:
        response["X-Accel-Buffering"] = "no"
    return response


@checked
@require_safe
def events(request):
    """Sends ?n= server-sent events, ?ms= milliseconds apart."""
    count, pause = number(request, "n", 10, 100_000), number(request, "ms", 500, 60_000)

    def parts():
        yield "retry: 2000\n\n"
        for event in range(1, count + 1):
            yield f"id: {event}\ndata: {time.strftime('%H:%M:%S')} from process {os.getpid()}\n\n"
            if event < count:
                time.sleep(pause / 1000)

    response = StreamingHttpResponse(parts(), content_type="text/event-stream")
    response["Cache-Control"] = "no-store"
    return response


@checked
@require_safe
def slow(request):
    """Answers after ?ms= milliseconds."""
    pause = number(request, "ms", 1000, 600_000)
    time.sleep(pause / 1000)
    return HttpResponse(f"waited {pause} ms\n", content_type="text/plain")


@checked
@require_safe
def body(request):
    """Answers with ?kib= KiB; with ?chunked their length is not announced."""
    left = number(request, "kib", 1024, 4 * 1024 * 1024)
    block = (b"0123456789abcdef" * 64)[:-1] + b"\n"
    response = StreamingHttpResponse((block for _ in range(left)), content_type="application/octet-stream")
    if "chunked" not in request.GET:
        response["Content-Length"] = str(left * len(block))
    return response


@checked
@require_safe
def counted(request):
    """Answers for a minute's caching, after ?ms= milliseconds, with how often it has been asked, by whatever process."""
    pause = number(request, "ms", 0, 60_000)
    with open(settings.DATA_DIR / "counted", "a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(b".")
        file.flush()
        times = os.fstat(file.fileno()).st_size
    time.sleep(pause / 1000)
    response = HttpResponse(f"asked {times} times\n", content_type="text/plain")
    response["Cache-Control"] = "public, s-maxage=60"
    return response


@csrf_exempt  # for programs
@require_http_methods(["POST"])
def change(request, pk):
    """Changes the message of an entry."""
    changed = get_object_or_404(Entry, pk=pk)
    changed.message = request.POST.get("message", "")[:1000]
    changed.save()
    return HttpResponse("changed\n", content_type="text/plain")


@csrf_exempt  # it changes nothing
def echo(request):
    """Answers with the request as this process saw it."""
    data = b"".join(body_of(request))
    return JsonResponse(
        {
            "method": request.method,
            "target": request.environ.get("RAW_URI", request.get_full_path()),
            "path": request.path,
            "query": request.META["QUERY_STRING"],
            "host": request.get_host(),
            "scheme": request.scheme,
            "headers": dict(request.headers),
            "cookies": request.COOKIES,
            "body": data.decode("utf-8", "backslashreplace"),
            "length": len(data),
            "worker": os.getpid(),
        },
        json_dumps_params={"indent": 2},
    )
