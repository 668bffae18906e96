"""Seller, buyer and the others of a FatturaPA header, ordinary (1.0 to 1.2.3) and simplified (FSM10)."""

from __future__ import annotations

from easytracking_sync.invoices.invoice import Address, OtherParty, Party, Role, TaxId
from easytracking_sync.invoices.taking import Taking

_OTHERS = (
    ("CedentePrestatore/RappresentanteFiscale", Role.SELLER_REPRESENTATIVE),  # simplified
    ("RappresentanteFiscale", Role.SELLER_REPRESENTATIVE),
    ("CessionarioCommittente/RappresentanteFiscale", Role.BUYER_REPRESENTATIVE),
    ("CessionarioCommittente/AltriDatiIdentificativi/RappresentanteFiscale", Role.BUYER_REPRESENTATIVE),  # simplified
    ("TerzoIntermediarioOSoggettoEmittente", Role.ISSUER),
)


def other_parties(header: Taking) -> tuple[OtherParty, ...]:
    """Representatives and the issuer. They are taken before seller and buyer, within whom some of them stand."""
    found = ((role, part) for path, role in _OTHERS for part in header.parts(path))
    return tuple(OtherParty(role, ordinary_party(part)) for role, part in found)


def ordinary_party(part: Taking | None) -> Party:
    """A party with its data in DatiAnagrafici; what is not said is empty."""
    if part is None:
        return Party()
    person = part.part("DatiAnagrafici") or part
    names = person.part("Anagrafica") or person
    return Party(
        name=party_name(names),
        vat=tax_id(person.part("IdFiscaleIVA")),
        fiscal_code=person.said("CodiceFiscale"),
        regime=person.said("RegimeFiscale"),
        address=address(part.part("Sede")),
        establishment=address(part.part("StabileOrganizzazione")),
        more=part.rest(),
    )


def simplified_seller(part: Taking | None) -> Party:
    """The simplified form has no DatiAnagrafici."""
    if part is None:
        return Party()
    return Party(
        name=party_name(part),
        vat=tax_id(part.part("IdFiscaleIVA")),
        fiscal_code=part.said("CodiceFiscale"),
        regime=part.said("RegimeFiscale"),
        address=address(part.part("Sede")),
        establishment=address(part.part("StabileOrganizzazione")),
        more=part.rest(),
    )


def simplified_buyer(part: Taking | None) -> Party:
    """A VAT number or a fiscal code; a name only where the issuer gave one."""
    if part is None:
        return Party()
    ids = part.part("IdentificativiFiscali") or part
    names = part.part("AltriDatiIdentificativi") or part
    return Party(
        name=party_name(names),
        vat=tax_id(ids.part("IdFiscaleIVA")),
        fiscal_code=ids.said("CodiceFiscale"),
        address=address(names.part("Sede")),
        establishment=address(names.part("StabileOrganizzazione")),
        more=part.rest(),
    )


def party_name(names: Taking) -> str:
    """The company's name, else first and last name, in whatever order the file has them."""
    company = names.name("Denominazione")
    if company:
        return company
    return " ".join(part for part in (names.name("Nome"), names.name("Cognome")) if part)


def tax_id(part: Taking | None) -> TaxId | None:
    """Country and code as written; placeholders and wrong check digits are kept."""
    if part is None:
        return None
    country, code = part.said("IdPaese"), part.said("IdCodice")
    return TaxId(country, code) if country or code else None


def address(part: Taking | None) -> Address | None:
    """None where there is none."""
    if part is None:
        return None
    return Address(
        street=part.name("Indirizzo"),
        number=part.name("NumeroCivico"),
        postcode=part.said("CAP"),
        city=part.name("Comune"),
        province=part.said("Provincia"),
        country=part.said("Nazione"),
    )
