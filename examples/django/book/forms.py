"""Forms."""
from django import forms

from book.models import Entry


class EntryForm(forms.ModelForm):
    class Meta:
        model = Entry
        fields = ["name", "message"]
        widgets = {
            "name": forms.TextInput(attrs={"autocomplete": "name"}),
            "message": forms.Textarea(attrs={"rows": 4}),
        }


class UploadForm(forms.Form):
    file = forms.FileField()


class LoginForm(forms.Form):
    name = forms.CharField(max_length=80)
