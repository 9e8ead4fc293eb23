"""Statements as banks, WeChat Pay and Alipay write them, made by script."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from outreach.spreadsheets.reading import SourceFile
from tests.office import make_csv, make_xlsx

BANK_HEADER = [
    "序号",
    "交易日期",
    "借方发生额（支取）",
    "贷方发生额（收入）",
    "余额",
    "对方户名",
    "对方账号",
    "摘要",
    "附言",
    "交易流水号",
]


@dataclass(frozen=True)
class Paid:
    """A row: money that came in, or with a minus sign what went out; yuan."""

    yuan: str = "300.00"
    payer: str = "衡阳市教育局"
    day: date = date(2026, 10, 12)
    serial: str = ""
    account: str = "6222021904001234567"
    summary: str = "转账"
    remark: str = "慈善一日捐"

    @property
    def amount(self) -> Decimal:
        return Decimal(self.yuan)


def total(payments: Iterable[Paid], *, came_in: bool = True) -> Decimal:
    amounts = [paid.amount for paid in payments]
    return sum((abs(amount) for amount in amounts if (amount > 0) is came_in), Decimal(0))


def bank_rows(payments: Sequence[Paid], *, footer: bool = True, **wrong: Any) -> list[list[Any]]:
    """The bank's block above, the rows with their balance, its sums below; `credit` states
    another sum."""
    rows: list[list[Any]] = [
        ["中国工商银行账户明细清单"],
        ["户名：衡阳市慈善总会", None, None, "账号：1905012309022015678"],
        ["币种：人民币", None, None, "起止日期：20261001-20261031"],
        BANK_HEADER,
    ]
    balance = Decimal("100000.00")
    for number, paid in enumerate(payments, 1):
        balance += paid.amount
        rows.append(
            [
                number,
                paid.day.isoformat(),
                "" if paid.amount > 0 else f"{-paid.amount:,.2f}",
                f"{paid.amount:,.2f}" if paid.amount > 0 else "",
                f"{balance:,.2f}",
                paid.payer,
                paid.account,
                paid.summary,
                paid.remark,
                paid.serial,
            ]
        )
    if footer:
        credit = wrong.get("credit", total(payments))
        debit = total(payments, came_in=False)
        count = sum(paid.amount > 0 for paid in payments)
        rows.append([f"贷方总金额：{credit:,.2f}", None, f"贷方笔数：{count}"])
        rows.append([f"借方总金额：{debit:,.2f}"])
        rows.append(["（以下无数据）"])
    return rows


def bank_csv(payments: Sequence[Paid], encoding: str = "gb18030", **options: Any) -> SourceFile:
    file = make_csv(bank_rows(payments, **options), encoding=encoding)
    return SourceFile("工行明细.csv", file.content)


def bank_xlsx(payments: Sequence[Paid], **options: Any) -> SourceFile:
    file = make_xlsx(bank_rows(payments, **options), merged=["A1:J1"])
    return SourceFile("工行明细.xlsx", file.content)


def wechat_csv(
    payments: Sequence[Paid], *, credit: Decimal | None = None, is_cut: bool = False
) -> SourceFile:
    """The merchant's bill; a payment of less than nothing is a refund of its serial number."""
    titles = (
        "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,"
        "交易状态,付款银行,货币种类,应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,"
        "充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,"
        "费率备注"
    )
    lines = [titles]
    for number, paid in enumerate(payments, 1):
        is_back = paid.amount < 0
        came, back = ("0.00", f"{-paid.amount}") if is_back else (f"{paid.amount}", "0.00")
        values = (
            f"{paid.day} 09:{number % 60:02}:11", "wx2421b1c4370ec43b", "10000100", "0", "",
            paid.serial, f"D{paid.serial}", "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o", "JSAPI",
            "REFUND" if is_back else "SUCCESS", "CMC", "CNY", came, "0.00",
            f"R{paid.serial}{paid.day:%m%d}{paid.amount}" if is_back else "0", "0", back, "0.00",
            "ORIGINAL" if is_back else "", "SUCCESS" if is_back else "",
            paid.summary, paid.remark, "0.00000", "0.60%", came, back, "",
        )  # fmt: skip
        lines.append(",".join(f"`{value}" for value in values))
    if not is_cut:
        came = total(payments) if credit is None else credit
        back = total(payments, came_in=False)
        lines.append(
            "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,"
            "申请退款总金额"
        )
        sums = (len(payments), came, back, "0.00", "0.00000", came, back)
        lines.append(",".join(f"`{value}" for value in sums))
    return SourceFile("微信账单.csv", ("\ufeff" + "\r\n".join(lines)).encode())


def alipay_csv(
    payments: Sequence[Paid], *, credit: Decimal | None = None, is_cut: bool = False
) -> SourceFile:
    """The list of business of an Alipay merchant: comments, padding by tabs, GBK."""
    out = io.StringIO(newline="")
    out.write("#支付宝业务明细查询\r\n#账号：[20889212345678901560]\r\n")
    out.write("#起始日期：[2026年10月01日 00:00:00]   终止日期：[2026年11月01日 00:00:00]\r\n")
    out.write("#----------------------------业务明细列表----------------------------\r\n")
    out.write(
        "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,"
        "终端号,对方账户,订单金额（元）,商家实收（元）,支付宝红包（元）,服务费（元）,备注\r\n"
    )
    for number, paid in enumerate(payments, 1):
        moment = f"{paid.day} 10:{number % 60:02}:05"
        values = (
            paid.serial, f"T{paid.serial}", "交易" if paid.amount > 0 else "退款", paid.summary,
            moment, moment, "", "", "", "", f"{paid.payer}({paid.account})", f"{paid.amount}",
            f"{paid.amount}", "0.00", "0.00", paid.remark,
        )  # fmt: skip
        out.write(",".join(f"{value}\t" for value in values) + "\r\n")
    if not is_cut:
        came = total(payments) if credit is None else credit
        back = total(payments, came_in=False)
        count = sum(paid.amount > 0 for paid in payments)
        out.write("#----------------------------业务明细列表结束----------------------------\r\n")
        out.write(f"#交易合计：{count}笔，商家实收共{came}元，商家优惠共0.00元\r\n")
        refunds = len(payments) - count
        out.write(f"#退款合计：{refunds}笔，商家实收退款共-{back}元，商家优惠退款共0.00元\r\n")
        out.write("#导出时间：[2026年11月02日 16:32:37]\r\n")
    return SourceFile("支付宝账单.csv", out.getvalue().encode("gb18030"))
