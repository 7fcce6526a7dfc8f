"""A page of HTML taken apart, and what holds of every page of the project."""

import re
from html.parser import HTMLParser

VOID = {"meta", "img"}


class Parsed(HTMLParser):
    """A page taken apart: its tags must close in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert not self.open
        self.text = " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.texts.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


def check(text, limit):
    """What holds of every page; returns it taken apart."""
    assert text.startswith("<!DOCTYPE html>\n") and len(text.encode()) < limit
    found = Parsed(text)
    ids = [attrs["id"] for _, attrs in found.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    for tag, attrs in found.tags:
        assert tag not in ("link", "iframe", "object", "base", "form")
        assert not [name for name in attrs if name.startswith("on")]
        if tag == "a":
            assert attrs["href"].removeprefix("#") in ids
        else:
            assert "href" not in attrs
        if "src" in attrs:
            assert tag == "img" and attrs["src"].startswith("data:image/") and attrs["alt"]
    assert not re.search(r"url\(|@import|https?:", text)
    assert len(found.all("script")) == 1
    return found
