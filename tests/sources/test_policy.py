from __future__ import annotations

import os
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomtone.sources.errors import SourceError
from roomtone.sources.policy import SourcePolicy, is_url, split_url


def resolving(*addresses: str) -> SourcePolicy:
    """A server's policy under which every name has these addresses."""
    return SourcePolicy(resolver=lambda host, port: list(addresses))


def refused(policy: SourcePolicy, url: str) -> str:
    with pytest.raises(SourceError) as caught:
        policy.check_url(url)
    assert caught.value.fault == "refused"
    return str(caught.value)


def test_a_public_url_is_taken_apart() -> None:
    """Host, port, target and the addresses to connect to come out, and the Host header as it must be."""
    checked = resolving("8.8.8.8", "2606:4700::1").check_url(
        "HTTPS://Radio.Example:8443/a b.mp3?x=1#top".replace(" ", "%20")
    )
    assert (checked.scheme, checked.host, checked.port) == ("https", "radio.example", 8443)
    assert checked.target == "/a%20b.mp3?x=1"
    assert checked.addresses == ("8.8.8.8", "2606:4700::1")
    assert checked.host_header == "radio.example:8443"


def test_default_ports_are_left_out_of_the_host_header() -> None:
    """As RFC 9110 has it."""
    assert resolving("8.8.8.8").check_url("http://radio.example").host_header == "radio.example"
    assert resolving("8.8.8.8").check_url("https://radio.example/x").host_header == "radio.example"


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://radio.example/x",
        "rtsp://radio.example/x",
        "gopher://radio.example/",
        "concat://a|b",
        "data://text/plain,hello",
        "http://",
        "http:///x",
        "http://user@radio.example/",
        "http://user:secret@radio.example/",
        "http://radio.example\\@127.0.0.1/",
        "http://radio.example@127.0.0.1/",
        "http://radio.example:0/",
        "http://radio.example:99999/",
        "http://radio.example:port/",
        "http://radio.example/a\nHost: evil",
        "http://radio.example/a\r\nX: y",
        "http://radio.example/a b",
        "http://ra dio.example/",
        "http://radio_example!/",
        "http://-radio.example/",
        "http://radio..example/",
        "http://[::1/",
        "http://[fe80::1%25eth0]/",
        "http://[v1.x]/",
        "http://radio.example/\ud800",
        "http://radio.example:22/",
        "http://radio.example:25/",
        "http://radio.example/" + "x" * 3_000,
    ],
)
def test_other_protocols_and_odd_spellings_are_refused(url: str) -> None:
    """Nothing but plain http(s) URLs that every parser reads the same way gets to the resolver."""

    def never(host: str, port: int) -> list[str]:
        raise AssertionError(f"{host} was looked up")

    refused(SourcePolicy(resolver=never), url)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "017700000001",
        "127.0.0.01",
        "0",
        "0.0.0.0",
        "127.0.0.1.",
        "1.2.3.4.5",
        "256.1.1.1",
        "١٢٧.0.0.1",
        "１２７.０.０.１",
        "10.0.0.1",
        "169.254.169.254",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[2002:7f00:1::]",
        "[64:ff9b::7f00:1]",
        "[fe80::1]",
        "[fd00::1]",
        "[ff02::1]",
    ],
)
def test_no_spelling_of_a_private_address_passes(host: str) -> None:
    """Decimal, octal, hexadecimal, short, full-width and embedded forms of private addresses are refused."""
    refused(SourcePolicy(resolver=lambda name, port: ["8.8.8.8"]), f"http://{host}/")


@pytest.mark.parametrize("bad", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "::ffff:10.0.0.1", "fe80::1%lo"])
def test_one_private_address_among_public_ones_refuses_the_name(bad: str) -> None:
    """Every address of a name is checked, wherever it stands in the list."""
    assert bad.split("%")[0] in refused(resolving("8.8.8.8", bad, "1.1.1.1"), "http://radio.example/")


def test_private_addresses_pass_where_allowed_but_multicast_never() -> None:
    """A local user may listen to the local network; nobody fetches from a multicast group."""
    policy = SourcePolicy.local()
    assert policy.check_url("http://127.0.0.1:81/x").addresses == ("127.0.0.1",)
    assert policy.check_url("http://[::1]:8000/").host_header == "[::1]:8000"
    refused(policy, "http://239.1.2.3/")


def test_allowed_networks_pass_and_their_neighbours_do_not() -> None:
    """An operator can open one private network without opening all."""
    policy = SourcePolicy(allow_networks=(ip_network("10.1.0.0/16"), ip_network("fd00:1::/32")))
    assert policy.check_url("http://10.1.2.3:8000/").addresses == ("10.1.2.3",)
    assert policy.check_url("http://[fd00:1::5]/").addresses == ("fd00:1::5",)
    refused(policy, "http://10.2.0.1/")
    refused(policy, "http://127.0.0.1/")


def test_a_name_that_does_not_resolve_is_unreachable() -> None:
    """Not the policy's refusal, and said with its mend."""

    def nobody(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    for policy in (SourcePolicy(resolver=nobody), resolving()):
        with pytest.raises(SourceError, match="check its spelling") as caught:
            policy.check_url("http://nowhere.example/")
        assert caught.value.fault == "unreachable"


def test_international_names_are_looked_up_in_ascii() -> None:
    """What is checked is what is asked of the resolver and sent as Host."""
    seen: list[str] = []

    def resolver(host: str, port: int) -> list[str]:
        seen.append(host)
        return ["8.8.8.8"]

    SourcePolicy(resolver=resolver).check_url("http://bücher.example/")
    assert seen == ["xn--bcher-kva.example"]


@given(st.text(max_size=60))
def test_any_text_is_taken_apart_or_refused(text: str) -> None:
    """No text makes the parser raise anything else, and what passes has a plain host and target."""
    for url in (text, f"http://{text}", f"http://h{text}/", f"http://radio.example/{text}"):
        try:
            scheme, host, port, target = split_url(url)
        except SourceError:
            continue
        else:
            assert scheme in ("http", "https")
            assert 1 <= port <= 65_535
            assert host.isascii()
            assert target.startswith("/")
            assert not set(target + host) & set(" \r\n\t\\@" if "@" in host else " \r\n\t\\")


def test_paths_and_urls_are_told_apart() -> None:
    """Only a protocol with :// makes a URL; everything else is a path."""
    assert is_url("http://x")
    assert is_url("file:///x")
    assert not is_url("music.mp3")
    assert not is_url("c:\\music.mp3")
    assert not is_url("concat:a|b")


# --- files --------------------------------------------------------------------------------------------------


def test_no_file_is_allowed_by_default() -> None:
    """A server without media_dir plays no files, and says what to set."""
    with pytest.raises(SourceError, match="media_dir") as caught:
        SourcePolicy().check_file("/etc/passwd")
    assert caught.value.fault == "refused"


def test_files_below_media_dir_are_allowed(tmp_path: Path) -> None:
    """By a relative or an absolute path, whether they exist or not."""
    policy = SourcePolicy(media_dir=tmp_path)
    inside = tmp_path / "a" / "x.wav"
    assert policy.check_file("a/x.wav") == inside.resolve()
    assert policy.check_file(str(inside)) == inside.resolve()
    assert policy.check_file("a/../b.wav") == (tmp_path / "b.wav").resolve()


def test_files_elsewhere_are_refused_alike_whether_they_exist(tmp_path: Path) -> None:
    """Dots, absolute paths, siblings with the same beginning and links that lead out are all refused."""
    media = tmp_path / "media"
    (tmp_path / "media-private").mkdir()
    media.mkdir()
    outside = tmp_path / "media-private" / "x.wav"
    outside.write_bytes(b"x")
    (media / "link.wav").symlink_to(outside)
    (media / "linked").symlink_to(tmp_path)
    (media / "loop").symlink_to(media / "loop")
    policy = SourcePolicy(media_dir=media)
    specs = [
        "../media-private/x.wav",
        "../nothing.wav",
        str(outside),
        "/etc/passwd",
        "link.wav",
        "linked/a.wav",
        ".",
        "",
        "loop/x",
        "a\0b",
    ]
    for spec in specs:
        with pytest.raises(SourceError) as caught:
            policy.check_file(spec)
        assert caught.value.fault == "refused", spec


def test_a_media_dir_that_is_itself_a_link_works(tmp_path: Path) -> None:
    """The directory is resolved as its files are."""
    (tmp_path / "real").mkdir()
    (tmp_path / "media").symlink_to(tmp_path / "real")
    policy = SourcePolicy(media_dir=tmp_path / "media")
    assert policy.check_file("x.wav") == (tmp_path / "real" / "x.wav").resolve()


def test_a_local_user_may_name_any_file() -> None:
    """And standard input, which a server refuses."""
    assert SourcePolicy.local().check_file("~/x.wav") == Path(os.path.expanduser("~/x.wav")).resolve()
    SourcePolicy.local().check_stdin()
    with pytest.raises(SourceError):
        SourcePolicy().check_stdin()
