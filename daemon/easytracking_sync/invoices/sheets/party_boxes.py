"""Seller, buyer and the others, as boxes of a sheet."""

from __future__ import annotations

from easytracking_sync.invoices.invoice import Address, Invoice, Party, Role
from easytracking_sync.invoices.sheets.codes_fatturapa import REGIME
from easytracking_sync.invoices.sheets.sheet import Box, Parties
from easytracking_sync.invoices.sheets.words import Words, facts, lines


def parties(invoice: Invoice, words: Words) -> Parties:
    """Seller and buyer, always, even where the file says nothing of one."""
    return Parties(
        (
            _box(words("Fornitore", "Seller"), invoice.seller, words),
            _box(words("Cliente", "Buyer"), invoice.buyer, words),
        )
    )


def other_parties(invoice: Invoice, words: Words) -> Parties | None:
    """Representatives, issuer, payee."""
    headings = {
        Role.SELLER_REPRESENTATIVE: words("Rappresentante fiscale del fornitore", "Seller's tax representative"),
        Role.BUYER_REPRESENTATIVE: words("Rappresentante fiscale del cliente", "Buyer's tax representative"),
        Role.ISSUER: words("Terzo intermediario o emittente", "Intermediary or issuer"),
        Role.PAYEE: words("Beneficiario", "Payee"),
    }
    boxes = tuple(_box(headings[other.role], other.party, words) for other in invoice.other_parties)
    return Parties(boxes) if boxes else None


def one_line(address: Address | None) -> str:
    """An address as an envelope has it."""
    if address is None:
        return ""
    street = ", ".join(part for part in (address.street, address.number) if part)
    province = f"({address.province})" if address.province else ""
    city = " ".join(part for part in (address.postcode, address.city, province) if part)
    return lines(street, address.more, " - ".join(part for part in (city, address.country) if part))


def _box(heading: str, party: Party, words: Words) -> Box:
    rows = facts(
        (words("Partita IVA", "VAT number"), str(party.vat) if party.vat else ""),
        (words("Codice fiscale", "Fiscal code"), party.fiscal_code),
        (words("Indirizzo", "Address"), one_line(party.address)),
        (words("Stabile organizzazione", "Permanent establishment"), one_line(party.establishment)),
        (words("Regime fiscale", "Tax regime"), words.coded(party.regime, REGIME)),
    )
    others = words.facts((*party.other_ids, *party.more))
    missing = words("non indicato nel file", "not in the file")
    return Box(heading, party.name or ("" if party.known else missing), (*rows, *others))
