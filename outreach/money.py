"""Money is integer fen inside and Decimal at the edges; it is rounded only when printed."""

from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

FEN_PER_YUAN = 100
FEN_PER_WAN_YUAN = 1_000_000
DIGITS = "零壹贰叁肆伍陆柒捌玖"
PLACES = ((10**8, "亿"), (10**4, "万"), (1000, "仟"), (100, "佰"), (10, "拾"))


def from_yuan(amount: Decimal) -> int:
    """Fen in an amount of yuan; ValueError when it has parts of a fen."""
    return _whole(amount * FEN_PER_YUAN)


def from_wan_yuan(amount: Decimal) -> int:
    """Fen in an amount of 万元; ValueError when it has parts of a fen."""
    return _whole(amount * FEN_PER_WAN_YUAN)


def parse_yuan(text: str) -> int:
    """Fen in what a person typed in yuan, such as «12,000.50»; ValueError when it is no amount."""
    try:
        amount = Decimal(text.replace(",", "").replace(",", "").strip())
    except InvalidOperation:
        raise ValueError(text) from None
    if not amount.is_finite():
        raise ValueError(text)
    return from_yuan(amount)


def format_yuan(fen: int) -> str:
    """«12,000.50»; whole yuan are shown without decimals."""
    yuan = Decimal(fen) / FEN_PER_YUAN
    return f"{yuan:,.0f}" if fen % FEN_PER_YUAN == 0 else f"{yuan:,.2f}"


def format_price(fen: int) -> str:
    """«0.05», «30.00»: always with both decimals, for prices and what they come to."""
    return f"{Decimal(fen) / FEN_PER_YUAN:,.2f}"


def format_wan_yuan(fen: int, places: int = 2) -> str:
    """«330.78»: 万元, rounded half up to `places` decimals."""
    wan = (Decimal(fen) / FEN_PER_WAN_YUAN).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    return f"{wan:,}"


def format_wan_exact(fen: int) -> str:
    """«209.6», «1810.7035»: 万元 with every decimal that it has, as reports write it."""
    wan = f"{Decimal(fen) / FEN_PER_WAN_YUAN:.6f}"
    return wan.rstrip("0").rstrip(".")


def in_capitals(fen: int) -> str:
    """«壹拾万柒仟元零伍分»: an amount as receipts write it, not negative (支付结算办法, 附一)."""
    yuan, rest = divmod(fen, FEN_PER_YUAN)
    tenths, hundredths = divmod(rest, 10)
    text = f"{_capitals(yuan)}元" if yuan or not rest else ""
    if tenths:
        text += f"{DIGITS[tenths]}角"
    if not hundredths:
        return f"{text}整"
    return f"{text}{'零' if yuan and not tenths else ''}{DIGITS[hundredths]}分"


def _capitals(number: int) -> str:
    for size, name in PLACES:
        if number >= size:
            high, low = divmod(number, size)
            zero = "零" if low * 10 < size else ""
            return f"{_capitals(high)}{name}" + (f"{zero}{_capitals(low)}" if low else "")
    return DIGITS[number]


def _whole(fen: Decimal) -> int:
    if fen != fen.to_integral_value():
        raise ValueError(f"{fen} fen is not a whole number of fen")
    return int(fen)
