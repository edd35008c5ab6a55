"""Pages for people."""
import os

from django.contrib import messages
from django.core.paginator import Paginator
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from book import storage
from book.forms import EntryForm, UploadForm
from book.models import Entry

ENTRIES_A_PAGE = 10


@require_safe
def home(request):
    context = {"latest": Entry.objects.all()[:3], "count": Entry.objects.count(), "worker": os.getpid()}
    return render(request, "book/home.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def guests(request):
    """The guest book, and the form to sign it."""
    form = EntryForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, "Thank you for signing!")
        return redirect("guests")
    page = Paginator(Entry.objects.all(), ENTRIES_A_PAGE).get_page(request.GET.get("page"))
    status = 400 if form.errors else 200
    return render(request, "book/guests.html", {"form": form, "page": page}, status=status)


@require_safe
def visits(request):
    """Counts this visitor's visits in the session."""
    request.session["visits"] = request.session.get("visits", 0) + 1
    context = {"visits": request.session["visits"], "worker": os.getpid()}
    return render(request, "book/visits.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def upload(request):
    """Takes a file from a form; Django has put a large one on disk by then."""
    form = UploadForm(request.POST or None, request.FILES or None)
    result = None
    if request.method == "POST" and form.is_valid():
        file = form.cleaned_data["file"]
        sha256, length = storage.keep(file.chunks())
        result = {"name": file.name, "sha256": sha256, "length": length}
    status = 400 if form.errors else 200
    return render(request, "book/upload.html", {"form": form, "result": result}, status=status)


@require_safe
def live(request):
    return render(request, "book/live.html")
