# ruff: noqa: RUF001  # words of other languages
"""Words that stand beside an amount and say which money it is, or that it is another number.

Data alone.  A word that is missing here lets an amount pass as the user's in the currency of the argument; one too many
holds a call.  Source: ISO 4217, and names of its currencies in the languages that write them in Latin or Cyrillic.
"""

from collections.abc import Mapping
from typing import Final

DOLLARS: Final = frozenset(
    ("USD", "AUD", "BSD", "BBD", "BZD", "CAD", "FJD", "HKD", "JMD", "LRD", "NAD", "NZD", "SGD", "TTD", "TWD", "XCD")
)
"""`$` and the word dollar may mean any of these."""

NO_CURRENCY: Final = frozenset(("no currency",))
"""What a mark says that makes a number something else than money of a currency."""

_EURO: Final = frozenset(("EUR",))
_POUNDS: Final = frozenset(("GBP", "EGP", "LBP", "SYP", "SDG", "FKP", "GIP", "SHP"))

CURRENCY_WORDS: Final[Mapping[str, frozenset[str]]] = {
    **dict.fromkeys(("dollar", "dollars", "buck", "bucks"), DOLLARS),
    **dict.fromkeys(("euro", "euros"), _EURO),
    **dict.fromkeys(("pound", "pounds"), _POUNDS),
    **dict.fromkeys(("quid", "sterling"), frozenset(("GBP",))),
    **dict.fromkeys(("yuan", "renminbi", "rmb"), frozenset(("CNY",))),
    "yen": frozenset(("JPY",)),
}
"""Words whose currency is known."""

_SMALL_CODES: Final = """
    usd eur gbp jpy cny chf aud cad nzd sgd hkd twd krw inr idr thb vnd php myr brl mxn clp ars zar ngn kes egp ils
    aed qar kwd bhd omr czk pln sek nok dkk isk bgn hrk kzt pkr bdt lkr npr huf uah rub ron rsd xau xag xbt xrp
"""
SMALL_CODES: Final = frozenset(_SMALL_CODES.split())
"""Codes that are no word, also in small letters; the others might be one (`all`, `top`, `try`)."""

_CODES: Final = """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF
    CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HRK
    HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL
    MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON
    RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH
    UGX USD UYU UZS VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWG BTC ETH XBT XRP XAU XAG
"""
CODES: Final = frozenset(_CODES.split())
"""Codes of money, in capitals."""

_NO_CODES: Final = "PAY FOR NOW THE AND DUE YOU HER HIM ONE TWO NET TAX VAT FEE GET NOT BUT OFF OUT PER VIA CEO CFO ASK"
NO_CODES: Final = frozenset(_NO_CODES.split())
"""Words in capitals that are no code of a currency, right after an amount; any other of three letters may be one."""

_OTHER_MONEY: Final = """
    minus negative canadian australian singapore jamaican bahamian
    forint forints fillér koruna koruny korun korunach krona kronor kronur krone kroner crown crowns kr kč ft
    złoty złotych złote zloty zlotys zlotych zł zl lei leu lev leva лв лева dinar dinars din
    ruble rubles rouble roubles руб рублей рубля р hryvnia hryvnias hryvnya грн гривень
    franc francs franken fr sfr lira liras lire tl peso pesos reais rs rupee rupees rupiah rupiahs rp ringgit ringgits
    rm baht won rands naira nairas cedi cedis shilling shillings birr dirham dirhams dh riyal riyals rial rials
    shekel shekels nis taka dong tenge manat lari tugrik pula kwacha kwanza metical dalasi lempira lempiras quetzal
    quetzales colones córdoba cordobas balboa balboas guarani guaranies soles bolivianos bolivares
    bitcoin bitcoins btc satoshi satoshis sats ether eth gwei usdt usdc
"""
OTHER_MONEY: Final = frozenset(_OTHER_MONEY.split())
"""Money of another kind, or a number below nought, whether the word stands before or after."""

_NEXT_WORDS: Final = """
    k m mn mm mio mrd bn tn mil mill hundred thousand thousands grand million millions billion billions trillion
    trillions lakh lakhs crore crores dozen score tausend millionen milliarde milliarden mille milliers mila
    percent pct prozent bp bps permille point points
    cent cents penny pence pennies nickel nickels dime dimes quarter quarters centime centimes rappen groszy c p
    rand real sol som sum coin coins token tokens credit credits gold silver ounce ounces oz gram grams g kg lb lbs
"""
NEXT_WORDS: Final = OTHER_MONEY | frozenset(_NEXT_WORDS.split())
"""The same, and what makes a number another one where it is the very next word."""
