"""Names of elements in words, Italian and English; what has none is shown by its own name, taken apart."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from easytracking_sync.invoices.sheets.codes_fatturapa import Labels

STRUCTURE: Final = frozenset(
    {
        "DatiGenerali",
        "DatiGeneraliDocumento",
        "DatiBeniServizi",
        "DatiAnagrafici",
        "Anagrafica",
        "DatiPagamento",
        "DatiTrasmissione",
        "Contatti",
        "DettaglioPagamento",
        "AltriDatiGestionali",
        "AltriDatiIdentificativi",
        "IdentificativiFiscali",
        "Party",
        "PartyLegalEntity",
        "Item",
        "Contact",
        "AdditionalItemProperty",
        "Delivery",
        "DeliveryLocation",
        "Address",
        "Country",
        "TaxScheme",
    }
)
"""Elements that only hold others: a label is not longer for their sake."""

NAMES: Final[Labels] = {
    "Titolo": ("Titolo", "Title"),
    "CodEORI": ("Codice EORI", "EORI number"),
    "AlboProfessionale": ("Albo professionale", "Professional register"),
    "ProvinciaAlbo": ("Provincia dell'albo", "Province of the register"),
    "NumeroIscrizioneAlbo": ("Iscrizione all'albo n.", "Register no."),
    "DataIscrizioneAlbo": ("Iscrizione all'albo dal", "Registered since"),
    "StabileOrganizzazione": ("Stabile organizzazione", "Permanent establishment"),
    "Indirizzo": ("Indirizzo", "Street"),
    "NumeroCivico": ("Numero civico", "House number"),
    "CAP": ("CAP", "Postcode"),
    "Comune": ("Comune", "City"),
    "Provincia": ("Provincia", "Province"),
    "Nazione": ("Nazione", "Country"),
    "IscrizioneREA": ("REA", "Business register (REA)"),
    "Ufficio": ("Ufficio", "Office"),
    "NumeroREA": ("Numero", "Number"),
    "CapitaleSociale": ("Capitale sociale", "Share capital"),
    "SocioUnico": ("Soci", "Shareholders"),
    "StatoLiquidazione": ("Liquidazione", "Liquidation"),
    "ContattiTrasmittente": ("Contatti del trasmittente", "Sender's contacts"),
    "Telefono": ("Telefono", "Telephone"),
    "Fax": ("Fax", "Fax"),
    "Email": ("E-mail", "E-mail"),
    "RiferimentoAmministrazione": ("Riferimento amministrativo", "Administrative reference"),
    "IdTrasmittente": ("Trasmittente", "Sender"),
    "IdPaese": ("Paese", "Country"),
    "IdCodice": ("Codice", "Code"),
    "IdFiscaleIVA": ("Partita IVA", "VAT number"),
    "CodiceFiscale": ("Codice fiscale", "Fiscal code"),
    "Denominazione": ("Denominazione", "Name"),
    "Nome": ("Nome", "First name"),
    "Cognome": ("Cognome", "Last name"),
    "ProgressivoInvio": ("Progressivo di invio", "Transmission number"),
    "FormatoTrasmissione": ("Formato", "Format"),
    "CodiceDestinatario": ("Codice destinatario", "Recipient code"),
    "PECDestinatario": ("PEC destinatario", "Recipient's certified mail"),
    "SoggettoEmittente": ("Emessa da", "Issued by"),
    "Art73": ("Art. 73", "Art. 73"),
    "DatiTrasporto": ("Trasporto", "Transport"),
    "DatiAnagraficiVettore": ("Vettore", "Carrier"),
    "NumeroLicenzaGuida": ("Licenza di guida", "Driving licence"),
    "MezzoTrasporto": ("Mezzo", "Means"),
    "CausaleTrasporto": ("Causale", "Reason"),
    "NumeroColli": ("Colli", "Packages"),
    "Descrizione": ("Descrizione", "Description"),
    "UnitaMisuraPeso": ("Unità di peso", "Unit of weight"),
    "PesoLordo": ("Peso lordo", "Gross weight"),
    "PesoNetto": ("Peso netto", "Net weight"),
    "DataOraRitiro": ("Ritiro", "Collected"),
    "DataInizioTrasporto": ("Inizio trasporto", "Transport began"),
    "TipoResa": ("Resa", "Delivery terms"),
    "IndirizzoResa": ("Luogo di resa", "Place of delivery"),
    "DataOraConsegna": ("Consegna", "Delivered"),
    "DatiVeicoli": ("Veicolo", "Vehicle"),
    "Data": ("Data", "Date"),
    "TotalePercorso": ("Percorrenza", "Distance"),
    "NumItem": ("Voce", "Item"),
    "CodiceCommessaConvenzione": ("Commessa / convenzione", "Job / agreement"),
    "TipoDato": ("Tipo dato", "Kind of datum"),
    "RiferimentoTesto": ("Testo", "Text"),
    "RiferimentoNumero": ("Numero", "Number"),
    "RiferimentoData": ("Data", "Date"),
    "Ritenuta": ("Soggetta a ritenuta", "Subject to withholding"),
    "RiferimentoNormativo": ("Riferimento normativo", "Legal reference"),
    "ElementiRettificati": ("Elementi rettificati", "What is corrected"),
    "DataRiferimentoTerminiPagamento": ("Decorrenza dei termini", "Terms run from"),
    "GiorniTerminiPagamento": ("Giorni", "Days"),
    "CodUfficioPostale": ("Ufficio postale", "Post office"),
    "CognomeQuietanzante": ("Cognome del quietanzante", "Receiver's last name"),
    "NomeQuietanzante": ("Nome del quietanzante", "Receiver's first name"),
    "CFQuietanzante": ("Codice fiscale del quietanzante", "Receiver's fiscal code"),
    "TitoloQuietanzante": ("Titolo del quietanzante", "Receiver's title"),
    "ABI": ("ABI", "ABI"),
    "CAB": ("CAB", "CAB"),
    "BIC": ("BIC", "BIC"),
    "ScontoPagamentoAnticipato": ("Sconto per pagamento anticipato", "Early payment discount"),
    "DataLimitePagamentoAnticipato": ("Pagamento anticipato entro", "Early payment until"),
    "PenalitaPagamentiRitardati": ("Penalità per ritardo", "Late payment penalty"),
    "DataDecorrenzaPenale": ("Penalità dal", "Penalty from"),
    "CodicePagamento": ("Codice pagamento", "Payment code"),
    "NormaDiRiferimento": ("Norma di riferimento", "Legal basis"),
    # UBL
    "EndpointID": ("Indirizzo elettronico", "Electronic address"),
    "ElectronicMail": ("E-mail", "E-mail"),
    "Telephone": ("Telefono", "Telephone"),
    "Name": ("Nome", "Name"),
    "CompanyLegalForm": ("Forma giuridica", "Legal form"),
    "CompanyID": ("Registro imprese", "Company number"),
    "PartyIdentification": ("Identificativo", "Identifier"),
    "PartyTaxScheme": ("Codice fiscale", "Tax number"),
    "ProfileID": ("Profilo", "Profile"),
    "BuyerReference": ("Riferimento del cliente", "Buyer's reference"),
    "AccountingCost": ("Centro di costo", "Cost centre"),
    "TaxPointDate": ("Data di esigibilità", "Tax point date"),
    "TaxCurrencyCode": ("Valuta dell'imposta", "Tax currency"),
    "ActualDeliveryDate": ("Consegna", "Delivered"),
    "StartDate": ("Dal", "From"),
    "EndDate": ("Al", "To"),
    "InvoicePeriod": ("Periodo", "Period"),
    "PaymentID": ("Causale di pagamento", "Payment reference"),
    "LineExtensionAmount": ("Somma delle righe", "Sum of lines"),
    "AllowanceTotalAmount": ("Totale sconti", "Total discounts"),
    "ChargeTotalAmount": ("Totale maggiorazioni", "Total charges"),
    "LegalMonetaryTotal": ("Totali", "Totals"),
    "OriginCountry": ("Origine", "Origin"),
    "IdentificationCode": ("Paese", "Country"),
    "Value": ("Valore", "Value"),
    "SalesOrderID": ("Ordine di vendita", "Sales order"),
    "LineID": ("Riga", "Line"),
    "ID": ("N.", "No."),
}

_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def element_name(name: str, column: int, names: Mapping[str, tuple[str, str]] = NAMES) -> str:
    """One element in words; `column` is 0 for Italian, 1 for English."""
    known = names.get(name)
    return known[column] if known else _CAMEL.sub(" ", name)


def path_name(path: str, column: int) -> str:
    """A path in words, without the elements that only hold others."""
    parts = [part for part in path.split("/") if part not in STRUCTURE] or path.split("/")[-1:]
    return " - ".join(dict.fromkeys(element_name(part, column) for part in parts))
