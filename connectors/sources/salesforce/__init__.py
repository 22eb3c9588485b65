"""Salesforce: REST queries over simple-salesforce, on our own HTTP session.

Reads owners, stages, exchange rates, accounts, contacts, leads, deals with their history, line items, meetings
and quotas; contracts and CPQ subscriptions where ARR is read from them. Each object is described on every run; only
what the signed-in user may see is asked for.

- ``settings``  what the configuration may say, checked
- ``faults``    every error of Salesforce and of the wire, as one of ours
- ``session``   the HTTP session; ``auth`` signing in; ``client`` calls with retry and one new sign-in
- ``mapping``   canonical column -> Salesforce field, as data
- ``catalogue`` what this org shows us
- ``soql`` ``scan``  queries, and paging that survives a lost locator
- ``parse``     records -> canonical frames and rejects
- ``records`` ``history`` ``reference``  the streams
- ``source``    the connection itself
"""

from connectors.sources.salesforce.source import SOURCE

__all__ = ["SOURCE"]
