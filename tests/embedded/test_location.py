from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tqconsole.engine.embedded.location import locate, make_folder, url_of
from tqconsole.engine.embedded.mounts import network_type_of
from tqconsole.engine.exceptions import ImproperlyConfigured

MOUNTS = r"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
30 27 0:40 / /home/me/share rw,relatime shared:7 - nfs4 server:/share rw
31 27 0:41 / /mnt/with\040space rw - 9p host rw
32 27 0:42 / /home/me/share/local rw - ext4 /dev/vdb rw
33 27 0:43 / /stack rw - nfs server:/x rw
34 33 0:44 / /stack rw - tmpfs tmpfs rw
junk
"""


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:////abs//queue.db", "/abs/queue.db"),
        ("sqlite:///abs/queue.db", "/abs/queue.db"),
        ("sqlite:/abs/queue.db", "/abs/queue.db"),
        ("SQLITE:///abs/queue.db", "/abs/queue.db"),
        ("sqlite:///abs/../other/queue.db", "/other/queue.db"),
        ("sqlite:///with%20space%3F%23.db", "/with space?#.db"),
        ("sqlite:///abs/queue.db?sync=normal&bell=poll", "/abs/queue.db"),
    ],
)
def test_url_names_an_absolute_file(url: str, expected: str) -> None:
    assert locate(url).path == expected


def test_relative_url_is_taken_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert locate("sqlite:sub/queue.db").path == str(tmp_path / "sub" / "queue.db")


def test_link_and_file_are_one_place(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)

    linked = locate(f"sqlite://{tmp_path}/link/queue.db")

    assert linked.place == locate(f"sqlite://{real}/queue.db").place == f"sqlite:{real}/queue.db"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite:", "names no file"),
        ("sqlite://", "names no file"),
        ("sqlite:///", "names no file"),
        ("sqlite://queue.db", "names a host"),
        ("sqlite:///:memory:", "memory://"),
        ("sqlite:///a.db#x", "%23"),
        ("sqlite:///a.db?snyc=full", "did you mean sync"),
        ("sqlite:///a.db?timeout=5", "known: sync, bell"),
        ("sqlite:///a.db?sync=off", "full, normal"),
        ("sqlite:///a%00.db", "NUL"),
        ("sqlite:///tmp", "is a folder"),
        ("redis://", "not a sqlite"),
    ],
)
def test_wrong_url_says_what_to_write(url: str, words: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=words):
        locate(url)


def test_options_come_from_url_before_transport_options() -> None:
    options = {"sync": "normal", "bell": "udp"}

    location = locate("sqlite:///abs/queue.db?sync=full", options)

    assert (location.is_synced, location.bell_kind) == (True, "udp")
    assert locate("sqlite:///abs/queue.db", options).is_synced is False


def test_foreign_transport_options_are_said(caplog: pytest.LogCaptureFixture) -> None:
    locate("sqlite:///abs/queue.db", {"visibility_timeout": 10})

    assert "visibility_timeout" in caplog.text


@pytest.mark.parametrize("query", ["", "?sync=normal", "?bell=poll", "?sync=normal&bell=udp"])
def test_location_gives_its_url_back(query: str) -> None:
    url = f"sqlite:///abs/queue.db{query}"

    assert locate(url).url == url


@given(st.text())
@example("//[")
def test_any_text_is_a_place_or_refused(text: str) -> None:
    for url in (text, f"sqlite:{text}", f"sqlite:///{text}", f"sqlite:///a.db?{text}"):
        try:
            location = locate(url)
        except ImproperlyConfigured:
            continue
        assert Path(location.path).is_absolute()


@given(
    st.text(
        st.characters(blacklist_categories=("Cs",), blacklist_characters="/\0"),
        min_size=1,
        max_size=40,
    ).filter(lambda it: it not in (".", "..") and ":memory:" not in it and it[0] != "~")
)
def test_url_of_a_file_leads_back_to_it(name: str) -> None:
    assert locate(url_of(f"/nowhere/{name}")).path == f"/nowhere/{name}"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/home/me/share/queue.db", "nfs4"),
        ("/home/me/share", "nfs4"),
        ("/home/me/shared/queue.db", ""),
        ("/home/me/share/local/queue.db", ""),
        ("/mnt/with space/queue.db", "9p"),
        ("/stack/queue.db", ""),
        ("/queue.db", ""),
    ],
)
def test_network_file_system_is_recognised(path: str, expected: str) -> None:
    assert network_type_of(path, MOUNTS) == expected


def test_network_file_system_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tqconsole.engine.embedded.location.network_type_of", lambda path: "nfs4")

    with pytest.raises(ImproperlyConfigured, match=r"nfs4.*redis://"):
        locate("sqlite:///abs/queue.db")


def test_made_folder_is_private_and_ignored(tmp_path: Path) -> None:
    make_folder(str(tmp_path / ".tqconsole" / "queue.db"))

    folder = tmp_path / ".tqconsole"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert (folder / ".gitignore").read_text() == "*\n"


def test_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ImproperlyConfigured, match="cannot make the folder"):
        make_folder(str(tmp_path / "file" / "sub" / "queue.db"))
