"""What no CRM knows, as CSV files that the company's configuration names under `inputs:`.

`boardline init --inputs DIR` writes empty ones to start from.

Each file is a table whose first line names the columns, in any order. It is UTF-8 text (with or without a byte order
mark) with commas between the cells; cells with commas or line breaks stand in double quotes. Blank lines and lines that
begin with `#` are left out. Numbers have a decimal point and no thousands separators, days are written 2026-04-01 and
months 2026-04. A file with a fault is refused as a whole and its faults are named with their lines: numbers that
need it are then not computable and say why, all others are computed.

Two columns may stand in every file:

- source: where the row comes from, in words
- as_of: the day on which it was given

A figure that was revised is not overwritten: the new row is added below with its own as_of. Of rows with the same key
the one with the latest as_of up to the day a number is known at counts; a row without as_of is known from the beginning
and gives way to any dated one. So `--as-of` before a revision gives the number before it. The same key and as_of twice
is a fault. A row cannot be taken back, only superseded, by 0 for example.

Where a file speaks of customers, customer_key is the id of an account in the CRM (of one that was merged: of its
survivor), else its domain or web address, else its name, compared as duplicates are: without case, accents,
punctuation and legal forms. Several accounts that fit are one customer where they have the same ultimate parent, and
none where they have not. A customer that matches no account is named by `boardline check` and by the numbers it is
missing from. Rows have the same key where they write the customer in the same way.
"""

from __future__ import annotations

from metrics.inputs.csv_file import example as example
from metrics.inputs.csv_file import template as template
from metrics.inputs.kinds import kinds as kinds
from metrics.inputs.known import Files as Files
from metrics.inputs.known import Known as Known
from metrics.inputs.known import load as load
from metrics.inputs.layout import Input as Input
from metrics.inputs.layout import InputFault as InputFault
from metrics.inputs.layout import Reading as Reading
from metrics.inputs.settings import other_settings as other_settings
from metrics.inputs.settings import settings_of as settings_of
