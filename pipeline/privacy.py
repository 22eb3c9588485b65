"""What is kept of people: a step between normalising and loading that hashes or drops their details. Pure.

``hashed`` replaces each detail of a contact or lead with ``h1:`` and a keyed digest, so that equal values still match
and nobody without the key can try names against it. Digests are HMAC-SHA-256, cut to 96 bits, under a key derived
from the configured one and the company's name: the same person in two companies has two digests. Names are compared
without case and surplus blanks, phones by their digits; an e-mail keeps its domain (``h1:...@acme.com``), which tells
the account. A blank or a placeholder such as "TBD" stays as it is, so that completeness stays true.
``none`` drops the details: the cells are null, and told to be withheld, not empty.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import orjson
import polars as pl

from connectors.errors import ConfigurationError
from connectors.source import Capabilities, FieldState, Page
from pipeline.company import Company
from pipeline.emptiness import PLACEHOLDERS, filled
from pipeline.records import SourceInfo

PREFIX: Final = "h1:"
SHORTEST_KEY: Final = 16  # characters
# Table -> the columns that name or reach a person; ``custom`` of these tables is treated alike.
PERSONAL: Final[Mapping[str, tuple[str, ...]]] = {
    "contacts": ("first_name", "last_name", "email", "phone"),
    "leads": ("first_name", "last_name", "email"),
    "meetings": ("subject",),
}
_BYTES: Final = 12
_DIGEST: Final = r"^h1:(?:[0-9a-f]{24}(?:@.+)?|[0-9]{29}|[g-v]{24})$"
_LETTERS: Final = str.maketrans("0123456789abcdef", "ghijklmnopqrstuv")
_DOMAIN: Final = re.compile(r".+@((?:(?:[^\W_]|-)+\.)+(?:[^\W_]|-)+)")
WITHHELD: Final = "withheld by privacy.contacts: none of the configuration; hashed or full would show it"

Mode = Literal["full", "hashed", "none"]
Change = Literal["nothing", "rewrite", "reread"]


@dataclass(frozen=True)
class Privacy:
    """A company's mode, ready to use. ``key``: the company's own, derived from the configured secret."""

    mode: Mode = "full"
    key: bytes = field(default=b"", repr=False)

    @classmethod
    def of(cls, company: Company) -> Privacy:
        """As configured, with the secret already resolved. Raises ``ConfigurationError`` for a short or missing key."""
        settings = company.privacy
        if settings.contacts != "hashed":
            return cls(settings.contacts)
        secret = settings.key.get_secret_value().strip() if settings.key is not None else ""
        if len(secret) < SHORTEST_KEY or secret.startswith("${"):
            raise ConfigurationError(
                f"companies.{company.name}.privacy.key: hashing needs a secret of {SHORTEST_KEY} characters or more; "
                "make one with `openssl rand -hex 32` and keep it for as long as the store"
            )
        return cls("hashed", _hmac(secret.encode(), f"boardline/privacy/1/{company.name}"))

    @property
    def mark(self) -> str:
        """Stands for the mode, and for the key without telling it; noted with what is stored."""
        return f"hashed:{_hmac(self.key, 'mark').hex()[:16]}" if self.mode == "hashed" else self.mode

    def protect(self, page: Page) -> Page:
        """The page as it may be stored."""
        if self.mode == "full":
            return page
        frames = {name: self.frame(name, frame) for name, frame in page.frames.items()}
        return replace(page, frames=frames, rejects=self.rejects(page.rejects))

    def frame(self, name: str, frame: pl.DataFrame, *, again: bool = False) -> pl.DataFrame:
        """Rows of a table (any of its columns) without personal details. ``again``: what is a digest stays one."""
        columns = [column for column in PERSONAL.get(name, ()) if column in frame.columns]
        if self.mode == "full" or name not in PERSONAL:
            return frame
        if self.mode == "none":
            gone = {column: pl.lit(None, pl.String) for column in columns}
            return frame.with_columns(
                **gone, **({"custom": pl.lit("{}")} if "custom" in frame.columns else {})
            )
        done = [self._digests(frame[column], _kind(column), again=again) for column in columns]
        if "custom" in frame.columns:
            done.append(self._mapped(frame["custom"], lambda text: self._custom(text, again=again)))
        return frame.with_columns(done)

    def rejects(self, rejects: pl.DataFrame) -> pl.DataFrame:
        """Rejected cells of people and meetings without their raw text, which may be anything.

        ``hashed`` keeps digests, by which the same cell is still the same; ``none`` keeps null.
        """
        mine = pl.col("table").is_in(list(PERSONAL))
        if self.mode == "full" or rejects.is_empty():
            return rejects
        raw = (
            pl.repeat(None, rejects.height, dtype=pl.String, eager=True)
            if self.mode == "none"
            else self._digests(rejects["raw"], "text", again=True)
        )
        kept = pl.when(mine).then(pl.lit(raw)).otherwise("raw").alias("raw")
        return rejects.with_columns(kept)

    def shown(self, capabilities: Capabilities) -> Capabilities:
        """What can be measured: details that ``none`` withholds are hidden, with a remedy that says so."""
        if self.mode != "none":
            return capabilities
        fields = {name: dict(columns) for name, columns in capabilities.fields.items()}
        for name, personal in PERSONAL.items():
            states = fields.setdefault(name, {})
            own = [column for column in states if column.startswith("custom.")]
            for column in (*personal, "custom", *own):
                before = states.get(column, FieldState("mapped"))
                if before.state == "mapped":
                    states[column] = FieldState("hidden", before.crm_field, WITHHELD)
        return replace(capabilities, fields=fields)

    def email(self, address: str) -> str | None:
        """An address as it is stored; None: it is not."""
        if self.mode == "none":
            return None
        return self._email(address) if self.mode == "hashed" else address

    # -- digests

    def _digests(self, cells: pl.Series, kind: str, *, again: bool) -> pl.Series:
        """Every filled text of a column digested; blanks and placeholders as they are."""
        chosen = cells.to_frame("cell").select(filled(pl.col("cell"), pl.String())).to_series()
        if again:
            chosen &= ~cells.str.contains(_DIGEST).fill_null(value=False)
        digested = self._mapped(cells.set(~chosen, None), _DIGESTERS[kind].__get__(self))
        return digested.zip_with(chosen, cells).alias(cells.name)

    @staticmethod
    def _mapped(cells: pl.Series, function: Callable[[str], str]) -> pl.Series:
        """``function`` of each distinct text, put back in its places."""
        texts = cells.drop_nulls().unique()
        new = pl.Series("new", [function(text) for text in texts], dtype=pl.String)
        found = cells.to_frame("text").join(
            pl.DataFrame({"text": texts, "new": new}), on="text", how="left", maintain_order="left"
        )
        return found["new"].alias(cells.name)

    def _digest(self, kind: str, text: str) -> str:
        return _hmac(self.key, f"{kind}\n{text}")[:_BYTES].hex()

    def _name(self, text: str) -> str:
        return PREFIX + self._digest("name", " ".join(text.lower().split()))

    def _text(self, text: str) -> str:
        return PREFIX + self._digest("text", text)

    def _email(self, text: str) -> str:
        address = text.strip().lower()
        domain = _DOMAIN.fullmatch(address)
        return PREFIX + self._digest("email", address) + (f"@{domain[1]}" if domain else "")

    def _phone(self, text: str) -> str:
        """Digits for a number, letters for what has none: rules that compare digits stay right."""
        digits = "".join(character for character in text if character.isdecimal())
        digest = self._digest("phone", digits or text)
        return PREFIX + (f"{int(digest, 16):029d}" if digits else digest.translate(_LETTERS))

    def _custom(self, text: str, *, again: bool) -> str:
        """A JSON object with every value that says something digested."""
        try:
            values = orjson.loads(text)
        except orjson.JSONDecodeError:
            return orjson.dumps({"text": self._text(text)}).decode()
        if not isinstance(values, dict):
            return orjson.dumps({"text": self._text(text)}).decode()
        return orjson.dumps(
            {name: self._value(value, again=again) for name, value in values.items()}
        ).decode()

    def _value(self, value: Any, *, again: bool) -> Any:
        text = value if isinstance(value, str) else orjson.dumps(value).decode()
        if value is None or text.strip().lower() in PLACEHOLDERS:
            return value
        return value if again and is_digest(text) else self._text(text)


_DIGESTERS: Final[Mapping[str, Callable[[Privacy, str], str]]] = {
    "name": Privacy._name,
    "email": Privacy._email,
    "phone": Privacy._phone,
    "text": Privacy._text,
}


def change(before: str | None, after: Privacy) -> Change:
    """What a change of mode asks of the stored rows; ``before``: the mark they were stored under (null: full).

    ``rewrite``: what is stored holds all that is needed. ``reread``: only the CRM can tell.
    """
    old = before or "full"
    if old == after.mark:
        return "nothing"
    return "rewrite" if after.mode == "none" or (old == "full" and after.mode == "hashed") else "reread"


def uncovered(info: SourceInfo) -> SourceInfo:
    """What the CRM itself showed: the mapping has not changed where only our own configuration withholds."""
    fields = {
        name: {
            column: FieldState("mapped", state.crm_field) if state.remedy == WITHHELD else state
            for column, state in columns.items()
        }
        for name, columns in info.fields.items()
    }
    return replace(info, fields=fields)


def hashed(cell: pl.Expr) -> pl.Expr:
    """Whether a text is a digest of ours; null for null."""
    return cell.str.contains(_DIGEST)


def is_digest(text: str) -> bool:
    """``hashed`` of one text."""
    return re.fullmatch(_DIGEST, text) is not None


def _kind(column: str) -> str:
    return {"email": "email", "phone": "phone", "subject": "text"}.get(column, "name")


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256)
