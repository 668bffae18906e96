"""One invoice as frozen values, the same for every format: values as written, what is computed marked so.

The unit is a body: one file may hold several invoices. Fields that nothing here is decided by stay `Field`s.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from easytracking_sync.invoices.remarks import Remark
from easytracking_sync.invoices.scalars import Day, Number


class Format(StrEnum):
    """What kind of document a file is. The values are stored and printed."""

    ORDINARY = "fatturapa"
    SIMPLIFIED = "fatturapa-simplified"
    UBL_INVOICE = "ubl-invoice"
    UBL_CREDIT_NOTE = "ubl-credit-note"
    CII = "cii"  # recognised, shown as a list of names and values
    SDI_MESSAGE = "sdi-message"
    ANAF_MESSAGE = "anaf-message"


@dataclass(frozen=True, slots=True)
class Field:
    """One more element of the file: its path of names, and its text."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class TaxId:
    """A VAT number as written: a doubled country, blanks or points in the code are kept."""

    country: str
    code: str

    @property
    def search_forms(self) -> tuple[str, ...]:
        """Upper-case letters and digits only: as written, with the country in front, and without it."""
        plain = "".join(sign for sign in self.code.upper() if sign.isascii() and sign.isalnum())
        country = self.country.upper()
        return tuple(dict.fromkeys(form for form in (plain, country + plain, plain.removeprefix(country)) if form))

    def __str__(self) -> str:
        return f"{self.country}{self.code}"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a party is."""

    street: str = ""
    number: str = ""
    more: str = ""
    postcode: str = ""
    city: str = ""
    province: str = ""
    country: str = ""


@dataclass(frozen=True, slots=True)
class Party:
    """Seller, buyer or another. A party without a name is normal in a simplified invoice."""

    name: str = ""
    vat: TaxId | None = None
    fiscal_code: str = ""
    other_ids: tuple[Field, ...] = ()  # by scheme: registrations and tax numbers that are no VAT number
    regime: str = ""
    address: Address | None = None
    establishment: Address | None = None  # the permanent one of a foreign party
    more: tuple[Field, ...] = ()

    @property
    def known(self) -> bool:
        """Whether the file says anything of it."""
        return self != Party()


class Role(StrEnum):
    """Of a party besides seller and buyer."""

    SELLER_REPRESENTATIVE = "seller's tax representative"
    BUYER_REPRESENTATIVE = "buyer's tax representative"
    ISSUER = "issuer"
    PAYEE = "payee"


@dataclass(frozen=True, slots=True)
class OtherParty:
    """A party and what it does there."""

    role: Role
    party: Party


@dataclass(frozen=True, slots=True)
class Discount:
    """A discount, or a charge; in percent, as an amount, or both."""

    charge: bool
    percent: Number | None
    amount: Number | None
    reason: str = ""
    more: tuple[Field, ...] = ()


@dataclass(frozen=True, slots=True)
class ItemCode:
    """A code of what was sold, and which kind of code it is."""

    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class Line:
    """One line. A quantity that is missing counts as one, not as zero. Amounts keep their up to eight decimals."""

    number: str
    description: str
    kind: str = ""
    codes: tuple[ItemCode, ...] = ()
    quantity: Number | None = None
    unit: str = ""
    period_start: Day | None = None
    period_end: Day | None = None
    price: Number | None = None
    price_for: Number | None = None  # UBL: the price is for so many
    discounts: tuple[Discount, ...] = ()
    total: Number | None = None  # without VAT; in a simplified invoice with VAT
    rate: Number | None = None
    tax: Number | None = None  # simplified invoices only
    nature: str = ""
    more: tuple[Field, ...] = ()


@dataclass(frozen=True, slots=True)
class VatRow:
    """One row of the VAT summary, as stated; derived, and marked computed, in a simplified invoice."""

    rate: Number | None
    nature: str
    taxable: Number | None
    tax: Number | None
    due: str = ""  # EsigibilitaIVA: I, D, S
    expenses: Number | None = None
    rounding: Number | None = None  # for information: some makers have added it already, others not
    reference: str = ""
    more: tuple[Field, ...] = ()


@dataclass(frozen=True, slots=True)
class Withholding:
    """Tax that the buyer keeps back and pays for the seller."""

    kind: str
    amount: Number | None
    rate: Number | None
    reason: str


@dataclass(frozen=True, slots=True)
class Stamp:
    """Stamp duty as the issuer declares it. It is part of the total only where a line charges it."""

    virtual: str
    amount: Number | None


@dataclass(frozen=True, slots=True)
class Fund:
    """A contribution to a professional pension fund."""

    kind: str
    rate: Number | None
    amount: Number | None
    taxable: Number | None
    vat_rate: Number | None
    withheld: str
    nature: str
    reference: str


@dataclass(frozen=True, slots=True)
class Reference:
    """Another document that this one refers to. `kind` is the name of the file's element."""

    kind: str
    number: str
    day: Day | None = None
    lines: tuple[str, ...] = ()
    cig: str = ""
    cup: str = ""
    more: tuple[Field, ...] = ()


@dataclass(frozen=True, slots=True)
class Instalment:
    """One payment that is due. Missing values are missing: no date is invented."""

    method: str
    due: Day | None = None
    amount: Number | None = None
    iban: str = ""
    bank: str = ""
    payee: str = ""
    terms: str = ""
    payers_bank: bool = False  # a collection (RiBa): the IBAN is often the payer's, never offer it for a transfer
    more: tuple[Field, ...] = ()


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file within the invoice, as it is: nothing is unpacked or run."""

    name: str  # as written
    safe_name: str  # distinct within the file
    description: str
    stated_format: str
    compression: str
    kind: str  # by its first bytes: pdf, zip, png, ...; empty where unknown
    size: int  # decoded
    sha256: str
    content: bytes = field(repr=False)
    link: str = ""  # an address instead of bytes: shown, never fetched


@dataclass(frozen=True, slots=True)
class Totals:
    """Stated and computed totals side by side: neither corrects the other."""

    stated: Number | None = None
    taxable: Number | None = None
    tax: Number | None = None
    computed: Number | None = None  # taxable + tax + the document's rounding
    rounding: Number | None = None
    payable: Number | None = None
    prepaid: Number | None = None
    second_tax: Number | None = None  # UBL: the same tax in another currency; never added
    second_currency: str = ""

    @property
    def total(self) -> Number | None:
        """The stated total, else the computed one, marked so."""
        return self.stated or self.computed


@dataclass(frozen=True, slots=True)
class Invoice:
    """One body of one file; `body` counts from 1, `bodies` is how many the file has (0: a header alone)."""

    format: Format
    version: str
    body: int
    bodies: int
    type_code: str
    number: str
    day: Day | None
    currency: str
    seller: Party
    buyer: Party
    other_parties: tuple[OtherParty, ...] = ()
    totals: Totals = Totals()
    reasons: tuple[str, ...] = ()
    lines: tuple[Line, ...] = ()
    vat_rows: tuple[VatRow, ...] = ()
    withholdings: tuple[Withholding, ...] = ()
    stamp: Stamp | None = None
    funds: tuple[Fund, ...] = ()
    discounts: tuple[Discount, ...] = ()
    references: tuple[Reference, ...] = ()
    instalments: tuple[Instalment, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    transmission: tuple[Field, ...] = ()
    more: tuple[Field, ...] = ()
    credit_note: bool = False
    remarks: tuple[Remark, ...] = ()

    @property
    def split_payment(self) -> bool:
        """The buyer pays the VAT to the state instead of the seller."""
        return any(row.due == "S" for row in self.vat_rows)

    @property
    def deferred_vat(self) -> bool:
        """The VAT is due when the invoice is paid."""
        return any(row.due == "D" for row in self.vat_rows)

    @property
    def reverse_charge(self) -> bool:
        """The buyer owes the VAT."""
        natures = [*(row.nature for row in self.vat_rows), *(line.nature for line in self.lines)]
        return any(nature.startswith("N6") or nature == "AE" for nature in natures)
