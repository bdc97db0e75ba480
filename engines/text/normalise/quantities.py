"""Ranges, money, per cent and units."""

from __future__ import annotations

import re
from collections.abc import Iterable

from babel.numbers import get_currency_symbol, get_territory_currencies

from engines.text.normalise.calendar import Calendar
from engines.text.normalise.context import Reading
from engines.text.normalise.grammar import SIGN, Amount, Grammar
from engines.text.normalise.words import list_of

UNITS = {
    "km": "length-kilometer",
    "m": "length-meter",
    "dm": "length-decimeter",
    "cm": "length-centimeter",
    "mm": "length-millimeter",
    "µm": "length-micrometer",
    "μm": "length-micrometer",
    "nm": "length-nanometer",
    "mi": "length-mile",
    "yd": "length-yard",
    "ft": "length-foot",
    "km²": "area-square-kilometer",
    "km2": "area-square-kilometer",
    "m²": "area-square-meter",
    "m2": "area-square-meter",
    "cm²": "area-square-centimeter",
    "cm2": "area-square-centimeter",
    "ha": "area-hectare",
    "m³": "volume-cubic-meter",
    "m3": "volume-cubic-meter",
    "cm³": "volume-cubic-centimeter",
    "cm3": "volume-cubic-centimeter",
    "l": "volume-liter",
    "L": "volume-liter",
    "hl": "volume-hectoliter",
    "dl": "volume-deciliter",
    "cl": "volume-centiliter",
    "ml": "volume-milliliter",
    "mL": "volume-milliliter",
    "gal": "volume-gallon",
    "kg": "mass-kilogram",
    "g": "mass-gram",
    "mg": "mass-milligram",
    "µg": "mass-microgram",
    "μg": "mass-microgram",
    "t": "mass-tonne",
    "lb": "mass-pound",
    "lbs": "mass-pound",
    "oz": "mass-ounce",
    "km/h": "speed-kilometer-per-hour",
    "kmh": "speed-kilometer-per-hour",
    "kph": "speed-kilometer-per-hour",
    "m/s": "speed-meter-per-second",
    "mph": "speed-mile-per-hour",
    "°C": "temperature-celsius",
    "℃": "temperature-celsius",
    "°F": "temperature-fahrenheit",
    "℉": "temperature-fahrenheit",
    "°": "angle-degree",
    "K": "temperature-kelvin",
    "h": "duration-hour",
    "min": "duration-minute",
    "s": "duration-second",
    "ms": "duration-millisecond",
    "bit": "digital-bit",
    "B": "digital-byte",
    "kB": "digital-kilobyte",
    "KB": "digital-kilobyte",
    "MB": "digital-megabyte",
    "GB": "digital-gigabyte",
    "TB": "digital-terabyte",
    "PB": "digital-petabyte",
    "W": "power-watt",
    "kW": "power-kilowatt",
    "MW": "power-megawatt",
    "GW": "power-gigawatt",
    "mW": "power-milliwatt",
    "kWh": "energy-kilowatt-hour",
    "J": "energy-joule",
    "kJ": "energy-kilojoule",
    "kcal": "energy-kilocalorie",
    "V": "electric-volt",
    "A": "electric-ampere",
    "mA": "electric-milliampere",
    "Ω": "electric-ohm",
    "Hz": "frequency-hertz",
    "kHz": "frequency-kilohertz",
    "MHz": "frequency-megahertz",
    "GHz": "frequency-gigahertz",
    "hPa": "pressure-hectopascal",
    "kPa": "pressure-kilopascal",
    "MPa": "pressure-megapascal",
    "Pa": "pressure-pascal",
    "mbar": "pressure-millibar",
    "bar": "pressure-bar",
    "psi": "pressure-pound-force-per-square-inch",
    "Nm": "torque-newton-meter",
    "px": "graphics-pixel",
    "dpi": "graphics-dot-per-inch",
    "MP": "graphics-megapixel",
    "‰": "concentr-permille",
    "ppm": "concentr-permillion",
    "км": "length-kilometer",
    "м": "length-meter",
    "см": "length-centimeter",
    "мм": "length-millimeter",
    "кг": "mass-kilogram",
    "мг": "mass-milligram",
    "т": "mass-tonne",
    "л": "volume-liter",
    "мл": "volume-milliliter",
    "ч": "duration-hour",
    "мин": "duration-minute",
    "км/ч": "speed-kilometer-per-hour",
    "м/с": "speed-meter-per-second",
    "Вт": "power-watt",
    "кВт": "power-kilowatt",
    "Гц": "frequency-hertz",
    "МБ": "digital-megabyte",
    "ГБ": "digital-gigabyte",
}
# letters that follow a number without a space in names of things: 5K, 4A, 3B, 50s
_NEED_SPACE = frozenset("KABsJLVWtm")
SYMBOLS = {
    "€": "EUR",
    "£": "GBP",
    "¥": "JPY",
    "￥": "JPY",
    "₹": "INR",
    "₽": "RUB",
    "₩": "KRW",
    "₺": "TRY",
    "₴": "UAH",
    "₪": "ILS",
    "฿": "THB",
    "₫": "VND",
    "₦": "NGN",
    "₱": "PHP",
    "₿": "XBT",
    "US$": "USD",
    "C$": "CAD",
    "A$": "AUD",
    "R$": "BRL",
    "zł": "PLN",
    "Kč": "CZK",
    "Ft": "HUF",
    "лв": "BGN",
    "руб.": "RUB",
    "грн": "UAH",
}
CODES = list_of(
    "USD EUR GBP JPY CNY CHF CAD AUD NZD SEK NOK DKK PLN CZK HUF RUB UAH TRY INR BRL MXN KRW ZAR "
    "ILS SGD HKD THB"
)
_KRONE = {"sv": "SEK", "no": "NOK", "da": "DKK", "is": "ISK"}


class Quantities:
    """Reads numbers that come with something: a currency, a unit, another number.

    Attributes:
        leading: pattern of what may stand before an amount of money.
    """

    def __init__(self, grammar: Grammar, calendar: Calendar) -> None:
        self._grammar = grammar
        self._calendar = calendar
        self._currencies = _currencies(grammar)
        self.leading = rf"(?<!\w)(?:{_any_of(self._currencies)})"
        n = grammar.numeral
        symbols = _any_of(self._currencies)
        magnitudes = _any_of(grammar.words.magnitudes)
        scale = rf"(?:\s?(?P<scale>{magnitudes})(?!\w))?" if magnitudes else "(?P<scale>(?!))?"
        self._symbol_first = re.compile(
            rf"(?<!\w)(?P<sign>{SIGN})(?P<symbol>{symbols})\s?(?P<n>{n}){scale}(?!\w)"
        )
        self._symbol_last = re.compile(
            rf"(?<!\w)(?P<n>{SIGN}{n}){scale}\s?(?P<symbol>{symbols})(?!\w)"
        )
        self._unit = re.compile(
            rf"(?<!\w)(?P<n>{SIGN}{n})(?P<space>\s?)(?P<unit>{_any_of(UNITS)})(?![\w²³/])"
        )
        self._percent = re.compile(rf"(?<!\w)(?:(?P<n>{SIGN}{n})\s?[%٪％]|[%٪](?P<after>{n}))")
        self._first = re.compile(
            rf"(?<!\w)(?<![-–][\d])(?P<n>{SIGN}{n})(?P<dash>\s?[–—]\s?|-)(?=\d)"
        )
        self._second = re.compile(rf"(?P<n>{n})(?![-–]?\d|\w)")
        self._money_range = re.compile(
            rf"(?<!\w)(?P<symbol>{symbols})\s?(?P<a>{n})\s?[–—-]\s?(?P<b>{n}){scale}(?!\w)"
        )

    def read(self, text: str, start: int, end: int) -> Reading | None:
        return (
            self._read_money(text, start, end)
            or self._read_percent(text, start, end)
            or self._read_unit(text, start, end)
        )

    def _read_money(self, text: str, start: int, end: int) -> Reading | None:
        match = self._symbol_first.match(text, start, end)
        written = match["sign"] + match["n"] if match else ""
        if not match:
            match = self._symbol_last.match(text, start, end)
            written = match["n"] if match else ""
        if not match:
            return None
        code = self._currencies[match["symbol"]]
        amount = self._grammar.amount(written)
        return match.end(), self._grammar.money(amount, code, match["scale"] or "")

    def _read_percent(self, text: str, start: int, end: int) -> Reading | None:
        match = self._percent.match(text, start, end)
        if not match:
            return None
        amount = self._grammar.amount(match["n"] or match["after"])
        return match.end(), self._grammar.percent(amount)

    def _read_unit(self, text: str, start: int, end: int) -> Reading | None:
        match = self._unit.match(text, start, end)
        if not match or (match["unit"] in _NEED_SPACE and not match["space"]):
            return None
        said = self._grammar.with_unit(self._grammar.amount(match["n"]), UNITS[match["unit"]])
        return (match.end(), said) if said else None

    def read_range(self, text: str, start: int, end: int) -> Reading | None:
        """Two numbers with a dash between, the second perhaps with a unit: "5–10 km"."""
        grammar, to = self._grammar, self._grammar.words.to
        joint = f" {to} " if to else ", "
        money = self._money_range.match(text, start, end)
        if money:
            last = grammar.money(
                grammar.amount(money["b"]), self._currencies[money["symbol"]], money["scale"] or ""
            )
            return money.end(), grammar.say(grammar.amount(money["a"])) + joint + last
        times = self._time_range(text, start, end)
        if times:
            return times[0], joint.join(times[1])
        match = self._first.match(text, start, end)
        second = match and self._second.match(text, match.end(), end)
        if not match or not second:
            return None
        low, high = grammar.amount(match["n"]), grammar.amount(second["n"])
        if match["dash"] == "-" and not _rises(low, high):
            return None
        last_reading = self.read(text, match.end(), end)
        if last_reading is None:
            last_reading = second.end(), self.plain(high, years=_is_year(low))
        return last_reading[0], self.plain(low, years=_is_year(low)) + joint + last_reading[1]

    def _time_range(self, text: str, start: int, end: int) -> tuple[int, tuple[str, str]] | None:
        first = self._calendar.read_time(text, start, end)
        if first is None:
            return None
        dash = re.compile(r"\s?[–—-]\s?").match(text, first[0], end)
        second = dash and self._calendar.read_time(text, dash.end(), end)
        return (second[0], (first[1], second[1])) if second else None

    def plain(self, amount: Amount, *, years: bool) -> str:
        """A number, as a year where it has four digits and `years` is set."""
        say = self._grammar.words.year
        if years and say and _is_year(amount):
            return say(self._grammar.numbers, int(amount.integer), "")
        return self._grammar.say(amount)


def _is_year(amount: Amount) -> bool:
    plain = not (amount.fraction or amount.sign or amount.grouped)
    return plain and len(amount.integer) == 4 and 1000 <= int(amount.integer) <= 2099


def _rises(low: Amount, high: Amount) -> bool:
    """Whether a hyphen between two numbers means "to": 3-5 and 1914-18 do, 3-2 and 555-1234
    do not."""
    if len(low.integer) > 4 or len(high.integer) > 4 or low.integer.startswith("0"):
        return False
    return low.value < high.value or (_is_year(low) and len(high.integer) == 2)


def _any_of(signs: Iterable[str]) -> str:
    return "|".join(map(re.escape, sorted(signs, key=len, reverse=True)))


def _currencies(grammar: Grammar) -> dict[str, str]:
    """Symbol or code → ISO 4217 code, as the language's country has it."""
    found = SYMBOLS | {code: code for code in CODES}
    found["$"] = "USD"
    local = get_territory_currencies(grammar.locale.territory) if grammar.locale.territory else []
    if local and get_currency_symbol(local[0], grammar.locale) == "$":
        found["$"] = local[0]
    if grammar.words.numbers in _KRONE:
        found["kr"] = found["kr."] = _KRONE[grammar.words.numbers]
    return found
