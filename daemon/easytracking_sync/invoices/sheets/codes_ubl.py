"""Codes of UBL invoices (UNTDID 1001, 4461, 5305, UN/ECE Recommendation 20) in our own words, Italian and English."""

from __future__ import annotations

from typing import Final

from easytracking_sync.invoices.sheets.codes_fatturapa import Labels

DOCUMENT: Final[Labels] = {
    "71": ("Richiesta di pagamento", "Request for payment"),
    "80": ("Nota di debito", "Debit note"),
    "81": ("Nota di credito", "Credit note"),
    "83": ("Nota di credito (rettifica)", "Credit note (adjustment)"),
    "261": ("Nota di credito emessa dal cliente", "Self-billed credit note"),
    "326": ("Fattura parziale", "Partial invoice"),
    "380": ("Fattura", "Invoice"),
    "381": ("Nota di credito", "Credit note"),
    "383": ("Nota di debito", "Debit note"),
    "384": ("Fattura rettificativa", "Corrected invoice"),
    "386": ("Fattura di acconto", "Prepayment invoice"),
    "389": ("Fattura emessa dal cliente", "Self-billed invoice"),
    "393": ("Fattura ceduta (factoring)", "Factored invoice"),
    "396": ("Nota di credito ceduta (factoring)", "Factored credit note"),
    "751": ("Fattura a fini contabili", "Invoice for accounting purposes"),
}

TAX_CATEGORY: Final[Labels] = {
    "S": ("aliquota ordinaria o ridotta", "standard or reduced rate"),
    "Z": ("aliquota zero", "zero rate"),
    "E": ("esente", "exempt"),
    "AE": ("inversione contabile", "reverse charge"),
    "K": ("cessione intracomunitaria", "intra-EU supply"),
    "G": ("esportazione", "export"),
    "O": ("non soggetto", "not subject to VAT"),
    "L": ("IGIC (Canarie)", "IGIC (Canary Islands)"),
    "M": ("IPSI (Ceuta e Melilla)", "IPSI (Ceuta and Melilla)"),
}

METHOD: Final[Labels] = {
    "1": ("mezzo non definito", "means not defined"),
    "10": ("contanti", "cash"),
    "20": ("assegno", "cheque"),
    "30": ("bonifico", "credit transfer"),
    "31": ("addebito", "debit transfer"),
    "42": ("versamento sul conto", "payment to bank account"),
    "48": ("carta di pagamento", "payment card"),
    "49": ("addebito diretto", "direct debit"),
    "54": ("carta di credito", "credit card"),
    "55": ("carta di debito", "debit card"),
    "57": ("accordo permanente", "standing agreement"),
    "58": ("bonifico SEPA", "SEPA credit transfer"),
    "59": ("addebito diretto SEPA", "SEPA direct debit"),
    "68": ("pagamento online", "online payment"),
    "97": ("compensazione tra le parti", "clearing between partners"),
    "ZZZ": ("come concordato", "as agreed"),
}

UNIT: Final[Labels] = {
    "C62": ("unità", "unit"),
    "H87": ("pz", "piece"),
    "EA": ("pz", "each"),
    "XPP": ("pz", "piece"),
    "NAR": ("articoli", "articles"),
    "NPR": ("paia", "pairs"),
    "SET": ("set", "set"),
    "XBX": ("scatole", "boxes"),
    "XPK": ("confezioni", "packages"),
    "KGM": ("kg", "kg"),
    "GRM": ("g", "g"),
    "TNE": ("t", "t"),
    "LTR": ("l", "l"),
    "MTR": ("m", "m"),
    "KMT": ("km", "km"),
    "MTK": ("m²", "m²"),
    "MTQ": ("m³", "m³"),
    "KWH": ("kWh", "kWh"),
    "MIN": ("min", "min"),
    "HUR": ("h", "h"),
    "DAY": ("giorni", "days"),
    "WEE": ("settimane", "weeks"),
    "MON": ("mesi", "months"),
    "ANN": ("anni", "years"),
    "E48": ("servizi", "services"),
    "P1": ("%", "%"),
}
