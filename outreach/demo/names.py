"""Invented names of units and persons; the city 雁城市 does not exist."""

import random
from collections.abc import Iterator

from outreach.units.models import UnitKind

CITY = "雁城市"
DISTRICTS = ("城东区", "城南区", "城西区", "城北区", "江湾新区")
STREETS = ("解放路", "迎宾路", "蒸阳路", "回雁路", "东风路", "船山路", "向荣街", "学府路", "滨江路")
SURNAMES = "王李张刘陈杨黄赵周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕"
GIVEN = [
    "建国",
    "志强",
    "晓燕",
    "丽娟",
    "海波",
    "文静",
    "国庆",
    "美玲",
    "立新",
    "春华",
    "永康",
    "雪梅",
    "俊杰",
    "秀英",
    "明辉",
    "桂芳",
    "振宇",
    "慧敏",
    "子涵",
    "浩然",
    "佳怡",
    "思远",
    "雅琴",
    "德胜",
    "红霞",
    "少华",
    "玉兰",
    "长青",
    "若溪",
    "景行",
    "一鸣",
    "知夏",
    "承志",
    "云舒",
]
BRANDS = [
    "湘澜",
    "衡远",
    "雁鸣",
    "蒸湘源",
    "楚天成",
    "瑞禾",
    "金谷园",
    "启明星",
    "华岳",
    "同心圆",
    "锦程",
    "鼎盛源",
    "百合",
    "长虹桥",
    "三江汇",
    "青禾",
    "万木春",
    "东篱",
    "江月",
    "北斗园",
    "云杉",
    "白鹭洲",
    "石鼓源",
    "耒水",
    "紫云",
    "天工坊",
    "恒信达",
    "宏图志",
    "德馨",
    "惠民康",
]
TRADES = {
    "国资系统": [
        "水务",
        "城市投资",
        "公共交通",
        "燃气",
        "粮食储备",
        "文化旅游",
        "产业投资",
        "盐业",
        "建设开发",
        "港口",
    ],
    "民营企业": [
        "机械制造",
        "电子科技",
        "食品",
        "建材",
        "物流",
        "服饰",
        "农业开发",
        "商贸",
        "医药",
        "餐饮管理",
    ],
    "金融系统": ["银行", "人寿保险", "财产保险", "证券", "农村商业银行", "融资担保"],
    "住建系统": ["建筑工程", "市政工程", "房地产开发", "工程监理", "物业服务", "规划设计"],
}
DEFAULT_TRADES = ["实业", "科技", "贸易", "置业", "新材料", "装备制造", "生物科技", "环保"]
ORGANS = [
    "发展规划",
    "财务",
    "统计",
    "档案",
    "信访接待",
    "史志编纂",
    "机关事务",
    "人民防空",
    "应急管理",
    "水利",
    "林业",
    "农业农村",
    "交通运输",
    "自然资源",
    "生态环境",
    "退役军人事务",
    "审计",
    "外事",
    "政务服务",
    "数据资源",
    "科技",
    "工业信息",
    "商务",
    "粮油物资",
    "气象",
    "地震",
    "供销",
    "公积金",
    "城管",
    "医保",
    "乡村振兴",
    "老干部工作",
    "机要",
    "保密",
    "接待",
    "宣传文明",
    "网络信息",
    "统战",
    "编制",
    "党史",
]
BRANCHES = {
    "公安系统": "公安分局",
    "司法系统": "司法所",
    "市场监督管理系统": "市场监管所",
    "民宗系统": "宗教事务中心",
}
INSTITUTIONS = {
    "教育系统": ["中学", "小学", "幼儿园", "职业技术学校", "特殊教育学校"],
    "卫健系统": ["人民医院", "中医医院", "妇幼保健院", "社区卫生服务中心", "疾病预防中心"],
    "民政系统": ["福利院", "养老服务中心", "救助管理站", "殡葬服务中心", "社区服务中心"],
    "人社系统": ["人才服务中心", "就业服务中心", "技工学校", "社会保险服务中心"],
    "文旅广系统": ["图书馆", "博物馆", "文化馆", "广播电视台", "剧团", "体育中心"],
}
PLACES = [
    "雁峰",
    "石鼓",
    "珠晖",
    "回雁",
    "蒸阳",
    "松亭",
    "白沙",
    "岳屏",
    "青山",
    "江东",
    "荷塘",
    "合江",
    "望城",
    "桃源",
    "云锦",
]
PARTIES = ["民革", "民盟", "民建", "民进", "农工党", "致公党", "九三学社", "台盟"]


def make_units(sector: str, kind: UnitKind, count: int) -> list[str]:
    """Up to `count` different names that sound like the sector's units, the same at every call."""
    every = list(_names(sector, kind))
    if kind not in {UnitKind.ARMY, UnitKind.PARTY}:
        random.Random(sector).shuffle(every)  # noqa: S311
    return every[:count]


def make_person(chance: random.Random) -> str:
    return chance.choice(SURNAMES) + chance.choice(GIVEN)


def _names(sector: str, kind: UnitKind) -> Iterator[str]:
    match kind:
        case UnitKind.ARMY:
            yield from (f"驻{CITY}部队第{number}单位" for number in "一二三四五六七八九")
        case UnitKind.UNIVERSITY:
            subjects = [
                "工商",
                "师范",
                "医药",
                "农林",
                "财经",
                "理工",
                "交通",
                "艺术",
                "信息",
                "幼儿师范",
                "环境",
                "外语",
            ]
            yield from (f"{CITY}{subject}学院" for subject in subjects)
        case UnitKind.PARTY:
            yield from (f"{party}{CITY}委员会" for party in PARTIES)
        case UnitKind.ASSOCIATION:
            yield from (
                f"{CITY}{brand}{form}"
                for form in ("慈善协会", "志愿服务中心", "商会")
                for brand in BRANDS
            )
        case UnitKind.INSTITUTION:
            yield from (f"{CITY}{place}{form}" for form in INSTITUTIONS[sector] for place in PLACES)
        case UnitKind.ORGAN if sector in BRANCHES:
            yield from (f"{CITY}{place}{BRANCHES[sector]}" for place in PLACES)
        case UnitKind.ORGAN:
            yield from (
                f"{CITY}{field}{form}"
                for form in ("局", "服务中心", "研究所", "执法支队")
                for field in ORGANS
            )
        case _:
            trades = TRADES.get(sector, DEFAULT_TRADES)
            yield from (f"{CITY}{brand}{trade}有限公司" for trade in trades for brand in BRANDS)
