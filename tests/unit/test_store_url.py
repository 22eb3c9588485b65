"""The address of the store: a password stays whole whatever it holds, and an option that means nothing is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sqlalchemy.engine import URL

from connectors.errors import ConfigurationError
from pipeline import store_url
from pipeline.store import Store
from scheduler import config
from scheduler.app import App

PASSWORDS = [
    *(
        "p@ss",
        "pa/ss",
        "pa#ss",
        "pa?ss=1&x",
        "pa:ss",
        "a@b:c/d?e#f",
        "@",
        "100%",
        "%40",
        "a b",
        "${X}",
        "p+q",
    ),
    *("päss", "pa[ss]", "x@evil.example/other?sslmode=disable"),
]


def opened(tmp_path: Path, url: str) -> URL:
    """What a configuration with that ``store.url`` connects to."""
    text = f"""
store: {{url: '{url}'}}
companies:
  acme: {{timezone: UTC, playbook: hr_tech, crm: {{type: hubspot, auth: {{flow: private_app, token: x}}}}}}
"""
    path = tmp_path / "config.yaml"
    return store_url.parse(App(config.parse(text, path), path).store_url)


@pytest.mark.parametrize("password", PASSWORDS)
def test_a_password_from_a_variable_stays_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    file = tmp_path / "password"
    file.write_text(password)
    monkeypatch.setenv("PG_PASSWORD", password)
    for reference in ("${PG_PASSWORD}", f"${{file:{file}}}"):
        found = opened(tmp_path, f"postgresql://boardline:{reference}@db.internal:5433/board")
        assert found.username == "boardline"
        assert found.password == password
        assert (found.host, found.port, found.database) == ("db.internal", 5433, "board")


@pytest.mark.parametrize("value", PASSWORDS)
def test_so_do_a_user_and_an_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("VALUE", value)
    found = opened(tmp_path, "postgresql://${VALUE}:x${VALUE}y@h/d?sslmode=require&password=a${VALUE}")
    assert (found.username, found.password) == (value, f"x{value}y")
    assert (found.host, found.database) == ("h", "d")
    assert dict(found.query) == {"sslmode": "require", "password": f"a{value}"}


def test_a_variable_may_be_any_other_part_or_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {
        "DATABASE_URL": "postgresql://me:p%40ss@h:1/d?sslmode=require", "U": "me", "PW": "p@ss",
        "HOST": "h", "PORT": "1", "DB": "d", "OPTIONS": "sslmode=require", "FOLDER": "/var/a@b",
    }  # fmt: skip
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    whole = opened(tmp_path, "${DATABASE_URL}")
    assert whole == opened(tmp_path, "postgresql://${U}:${PW}@${HOST}:${PORT}/${DB}?${OPTIONS}")
    assert (whole.password, whole.host, dict(whole.query)) == ("p@ss", "h", {"sslmode": "require"})
    assert opened(tmp_path, "sqlite:////${FOLDER}/b.db").database == "//var/a@b/b.db"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hid@den@h/d",
        "postgresql://me:hid@den:5@h/d",
        "postgresql://me:hid@/den@h/d",
        "postgresql://me:hid@?den=1@h/d",
        "postgresql://me:hid@den#1@h",
        "postgresql://me@acme:hid-den@h/d",
        "postgresql://m/e:hid-den@h/d",
        "postgres://hid@den@h",
    ],
)
def test_a_password_that_comes_apart_is_refused_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    for given in (url, "${DATABASE_URL}"):
        with pytest.raises(ConfigurationError, match=r"percent-encode .*%40.*\$\{NAME\}") as caught:
            opened(tmp_path, given)
        assert "hid" not in str(caught.value)
        assert "den" not in str(caught.value).replace("it cannot", "")


def test_a_password_where_the_port_should_be_is_not_shown() -> None:
    with pytest.raises(ConfigurationError, match="is not a database URL") as caught:
        store_url.parse("postgresql://me:hidden")
    assert caught.value.__suppress_context__  # what a traceback would add quotes it


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:pa/s:s?#@h/d",
        "postgresql:///d?host=/tmp&user=a@b",
        "postgresql://h/d?host=a&host=b&options=-csearch_path%3Dbl",
        "sqlite:////tmp/me@home/a:b@c.db",
        "sqlite:///x.db?timeout=0",
        "sqlite:///x.db?timeout=0.5",
    ],
)
def test_what_is_whole_is_taken(url: str) -> None:
    assert store_url.parse(url).database


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("timeout=abc", "timeout=abc is no time to wait; write seconds from 0 to 86400"),
        ("timeout=-1", "timeout=-1 is no time to wait"),
        ("timeout=nan", "timeout=nan is no time to wait"),
        ("timeout=inf", "timeout=inf is no time to wait"),
        ("timeout=1e9", "timeout=1e9 is no time to wait"),
        ("timeout=", "timeout= is no time to wait"),
        ("timeout", "timeout= is no time to wait"),
        ("timeout=1&timeout=2", "the option timeout is given 2 times; give it once"),
        ("bogus=1", "no option 'bogus'; take it out, or write timeout"),
        ("bogus", "no option 'bogus'; take it out, or write timeout"),
        ("timeout=1&uri=true", "no option 'uri'"),
        ("mode=ro", "no option 'mode'; take it out: commands that only read leave the store as it is"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_an_option_that_sqlite_has_not_is_refused(tmp_path: Path, options: str, said: str) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    Store.open(url).close()
    with pytest.raises(ConfigurationError, match=re.escape(said)) as caught:
        Store.open(f"{url}?{options}")
    assert caught.value.exit_status == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            "bogus=1",
            "no option 'bogus' (it has sslmode, sslrootcert, connect_timeout, options and more); correct",
        ),
        ("sslmod=require", "no option 'sslmod' (did you mean 'sslmode'?); correct store.url"),
        ("autocommit=1", "no option 'autocommit'"),
        ("sslmode=", "the option sslmode is empty"),
        ("sslmode", "the option sslmode is empty"),
        ("sslmode=require&sslmode=disable", "the option sslmode is given 2 times"),
    ],
)
def test_an_option_that_postgresql_has_not_is_refused(options: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        Store.open(f"postgresql://u@127.0.0.1:1/d?{options}")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("sslmode=banana", 'invalid sslmode value: "banana"'),
        ("connect_timeout=abc", "bad value for connect_timeout: 'abc'"),
        ("keepalives=x", 'invalid integer value "x" for connection option "keepalives"'),
        ("ssl_min_protocol_version=foo", 'invalid "ssl_min_protocol_version" value: "foo"'),
        ("port=abc", "store.url cannot be used: Received non-integer port arguments: ('abc',); correct it"),
    ],
)
def test_a_value_that_postgresqls_client_does_not_know_is_no_silent_server(options: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(said)) as caught:
        Store.open(f"postgresql://u@127.0.0.1:1/d?{options}")
    assert "store.url" in str(caught.value)
