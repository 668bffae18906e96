"""Codes of FatturaPA in our own words, Italian and English. An unknown code is shown as it is: codes are data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

Labels = Mapping[str, tuple[str, str]]

DOCUMENT: Final[Labels] = {
    "TD01": ("Fattura", "Invoice"),
    "TD02": ("Acconto su fattura", "Advance on invoice"),
    "TD03": ("Acconto su parcella", "Advance on fee note"),
    "TD04": ("Nota di credito", "Credit note"),
    "TD05": ("Nota di debito", "Debit note"),
    "TD06": ("Parcella", "Fee note"),
    "TD07": ("Fattura semplificata", "Simplified invoice"),
    "TD08": ("Nota di credito semplificata", "Simplified credit note"),
    "TD09": ("Nota di debito semplificata", "Simplified debit note"),
    "TD10": ("Acquisto intracomunitario di beni", "Intra-EU purchase of goods"),
    "TD11": ("Acquisto intracomunitario di servizi", "Intra-EU purchase of services"),
    "TD12": ("Documento riepilogativo", "Summary document"),
    "TD16": ("Integrazione per reverse charge interno", "Self-billing, domestic reverse charge"),
    "TD17": ("Autofattura per servizi dall'estero", "Self-billing, services from abroad"),
    "TD18": ("Integrazione per beni intracomunitari", "Self-billing, intra-EU goods"),
    "TD19": ("Autofattura per beni di soggetti esteri", "Self-billing, goods of foreign sellers"),
    "TD20": ("Autofattura di regolarizzazione", "Self-billing to regularise"),
    "TD21": ("Autofattura per splafonamento", "Self-billing, exceeded VAT ceiling"),
    "TD22": ("Estrazione da deposito IVA", "Goods out of a VAT warehouse"),
    "TD23": ("Estrazione da deposito IVA con imposta", "Goods out of a VAT warehouse, VAT paid"),
    "TD24": ("Fattura differita", "Deferred invoice"),
    "TD25": ("Fattura differita (triangolazione)", "Deferred invoice (triangular)"),
    "TD26": ("Cessione di beni ammortizzabili o passaggi interni", "Sale of depreciable goods or internal transfer"),
    "TD27": ("Autoconsumo o cessione gratuita", "Own use or free transfer"),
    "TD28": ("Acquisto da San Marino con IVA", "Purchase from San Marino with VAT"),
    "TD29": ("Comunicazione di omessa o irregolare fatturazione", "Notice of a missing or irregular invoice"),
}

NATURE: Final[Labels] = {
    "N1": ("escluso (art. 15)", "excluded (art. 15)"),
    "N2": ("non soggetto", "not subject to VAT"),
    "N2.1": ("non soggetto (artt. 7-7 septies)", "not subject (arts. 7 to 7-septies)"),
    "N2.2": ("non soggetto, altri casi", "not subject, other cases"),
    "N3": ("non imponibile", "not taxable"),
    "N3.1": ("non imponibile, esportazione", "not taxable, export"),
    "N3.2": ("non imponibile, cessione intracomunitaria", "not taxable, intra-EU supply"),
    "N3.3": ("non imponibile, verso San Marino", "not taxable, to San Marino"),
    "N3.4": ("non imponibile, assimilato all'esportazione", "not taxable, treated as export"),
    "N3.5": ("non imponibile, dichiarazione d'intento", "not taxable, declaration of intent"),
    "N3.6": ("non imponibile, senza plafond", "not taxable, outside the ceiling"),
    "N4": ("esente", "exempt"),
    "N5": ("regime del margine", "margin scheme"),
    "N6": ("inversione contabile", "reverse charge"),
    "N6.1": ("inversione contabile, rottami", "reverse charge, scrap"),
    "N6.2": ("inversione contabile, oro e argento", "reverse charge, gold and silver"),
    "N6.3": ("inversione contabile, subappalto edile", "reverse charge, building subcontract"),
    "N6.4": ("inversione contabile, fabbricati", "reverse charge, buildings"),
    "N6.5": ("inversione contabile, cellulari", "reverse charge, mobile phones"),
    "N6.6": ("inversione contabile, prodotti elettronici", "reverse charge, electronics"),
    "N6.7": ("inversione contabile, comparto edile", "reverse charge, building sector"),
    "N6.8": ("inversione contabile, energia", "reverse charge, energy"),
    "N6.9": ("inversione contabile, altri casi", "reverse charge, other cases"),
    "N7": ("IVA assolta in altro Stato UE", "VAT paid in another EU country"),
}

REGIME: Final[Labels] = {
    "RF01": ("ordinario", "ordinary"),
    "RF02": ("contribuenti minimi", "minimal taxpayers"),
    "RF03": ("nuove iniziative produttive", "new businesses"),
    "RF04": ("agricoltura e pesca", "farming and fishing"),
    "RF05": ("sali e tabacchi", "salt and tobacco"),
    "RF06": ("fiammiferi", "matches"),
    "RF07": ("editoria", "publishing"),
    "RF08": ("telefonia pubblica", "public telephones"),
    "RF09": ("documenti di trasporto e sosta", "transport and parking tickets"),
    "RF10": ("intrattenimenti e giochi", "entertainment and games"),
    "RF11": ("agenzie di viaggio", "travel agencies"),
    "RF12": ("agriturismo", "farm holidays"),
    "RF13": ("vendite a domicilio", "door-to-door sales"),
    "RF14": ("beni usati, arte, antiquariato", "second-hand goods, art, antiques"),
    "RF15": ("agenzie d'asta", "auctioneers"),
    "RF16": ("IVA per cassa verso la P.A.", "cash VAT towards public bodies"),
    "RF17": ("IVA per cassa", "cash VAT"),
    "RF18": ("altro", "other"),
    "RF19": ("forfettario", "flat-rate"),
    "RF20": ("franchigia transfrontaliera UE", "EU cross-border exemption"),
}

METHOD: Final[Labels] = {
    "MP01": ("contanti", "cash"),
    "MP02": ("assegno", "cheque"),
    "MP03": ("assegno circolare", "banker's draft"),
    "MP04": ("contanti presso Tesoreria", "cash at the Treasury"),
    "MP05": ("bonifico", "bank transfer"),
    "MP06": ("vaglia cambiario", "promissory note"),
    "MP07": ("bollettino bancario", "bank payment slip"),
    "MP08": ("carta di pagamento", "payment card"),
    "MP09": ("RID", "direct debit (RID)"),
    "MP10": ("RID utenze", "direct debit, utilities (RID)"),
    "MP11": ("RID veloce", "fast direct debit (RID)"),
    "MP12": ("RiBa", "bank collection (RiBa)"),
    "MP13": ("MAV", "payment notice (MAV)"),
    "MP14": ("quietanza erario", "tax receipt"),
    "MP15": ("giroconto speciale", "special account transfer"),
    "MP16": ("domiciliazione bancaria", "bank direct debit"),
    "MP17": ("domiciliazione postale", "postal direct debit"),
    "MP18": ("bollettino postale", "postal payment slip"),
    "MP19": ("SEPA Direct Debit", "SEPA direct debit"),
    "MP20": ("SEPA Direct Debit CORE", "SEPA direct debit CORE"),
    "MP21": ("SEPA Direct Debit B2B", "SEPA direct debit B2B"),
    "MP22": ("trattenuta su somme già riscosse", "kept from sums already collected"),
    "MP23": ("PagoPA", "PagoPA"),
}

TERMS: Final[Labels] = {
    "TP01": ("a rate", "in instalments"),
    "TP02": ("in un'unica soluzione", "in one payment"),
    "TP03": ("anticipo", "advance"),
}

WITHHOLDING: Final[Labels] = {
    "RT01": ("persone fisiche", "natural persons"),
    "RT02": ("persone giuridiche", "legal persons"),
    "RT03": ("contributo INPS", "INPS contribution"),
    "RT04": ("contributo ENASARCO", "ENASARCO contribution"),
    "RT05": ("contributo ENPAM", "ENPAM contribution"),
    "RT06": ("altro contributo previdenziale", "other pension contribution"),
}

FUND: Final[Mapping[str, str]] = {
    "TC01": "avvocati e procuratori (Cassa Forense)",
    "TC02": "dottori commercialisti",
    "TC03": "geometri",
    "TC04": "ingegneri e architetti (Inarcassa)",
    "TC05": "notariato",
    "TC06": "ragionieri e periti commerciali",
    "TC07": "agenti e rappresentanti (ENASARCO)",
    "TC08": "consulenti del lavoro (ENPACL)",
    "TC09": "medici (ENPAM)",
    "TC10": "farmacisti (ENPAF)",
    "TC11": "veterinari (ENPAV)",
    "TC12": "impiegati dell'agricoltura (ENPAIA)",
    "TC13": "spedizionieri e agenzie marittime",
    "TC14": "giornalisti (INPGI)",
    "TC15": "orfani dei sanitari (ONAOSI)",
    "TC16": "giornalisti, autonoma (CASAGIT)",
    "TC17": "periti industriali (EPPI)",
    "TC18": "pluricategoriale (EPAP)",
    "TC19": "biologi (ENPAB)",
    "TC20": "infermieri (ENPAPI)",
    "TC21": "psicologi (ENPAP)",
    "TC22": "INPS",
}

VAT_DUE: Final[Labels] = {
    "I": ("immediata", "immediate"),
    "D": ("differita", "deferred"),
    "S": ("scissione dei pagamenti", "split payment"),
}

SUPPLY: Final[Labels] = {
    "SC": ("sconto", "discount"),
    "PR": ("premio", "bonus"),
    "AB": ("abbuono", "rebate"),
    "AC": ("spesa accessoria", "extra cost"),
}

ISSUER: Final[Labels] = {
    "CC": ("cessionario / committente", "buyer"),
    "TZ": ("terzo", "third party"),
}

SHAREHOLDER: Final[Labels] = {"SU": ("socio unico", "one shareholder"), "SM": ("più soci", "several shareholders")}
LIQUIDATION: Final[Labels] = {
    "LS": ("in liquidazione", "in liquidation"),
    "LN": ("non in liquidazione", "not in liquidation"),
}
YES: Final[Labels] = {"SI": ("sì", "yes"), "NO": ("no", "no")}
DISCOUNT: Final[Labels] = {"SC": ("sconto", "discount"), "MG": ("maggiorazione", "charge")}

FIELDS: Final[Mapping[str, Labels]] = {
    "SoggettoEmittente": ISSUER,
    "SocioUnico": SHAREHOLDER,
    "StatoLiquidazione": LIQUIDATION,
    "RegimeFiscale": REGIME,
}
"""Codes that stand in fields of less weight, by the field's name."""
