"""Text that wants to be more than text, and a reader of terminal output that tells whether it succeeded."""

import random
import re

from mtntui.terminal_text import unsafe_in_cells

MARK = "31337"
"""Stands in every sequence of the corpus: a control sequence that holds it came from there."""

SEQUENCES = {
    "colour": f"\x1b[{MARK}m",
    "move": f"\x1b[{MARK};{MARK}H",
    "clear": f"\x1b[2J\x1b[{MARK}J",
    "mode": f"\x1b[?{MARK}h\x1b[?1049l",
    "scroll region": f"\x1b[{MARK};2r",
    "report": f"\x1b[{MARK}n\x1b[c\x1b[>{MARK}q",
    "reset": "\x1bc\x1b#8\x1b(0",
    "title": f"\x1b]0;{MARK}\x07",
    "title with ST": f"\x1b]2;{MARK}\x1b\\",
    "clipboard": f"\x1b]52;c;{MARK}\x07",
    "hyperlink": f"\x1b]8;;http://{MARK}.example\x1b\\click\x1b]8;;\x1b\\",
    "palette": f"\x1b]4;1;#{MARK}0\x07",
    "device control": f"\x1bP+q{MARK}\x1b\\",
    "application": f"\x1b_G{MARK}\x1b\\",
    "privacy": f"\x1b^{MARK}\x1b\\\x1bX{MARK}\x1b\\",
    "half a sequence": f"\x1b[{MARK}",
    "half a title": f"\x1b]0;{MARK}",
    "a lone escape": f"{MARK}\x1b",
    "8-bit CSI": f"\x9b{MARK}m\x9b2J",
    "8-bit OSC": f"\x9d0;{MARK}\x9c",
    "8-bit DCS": f"\x90{MARK}\x9c\x9e{MARK}\x9c\x9f{MARK}\x9c",
    "bell and friends": "\x07\x08\x0b\x0c\x0e\x0f\x05\x00\x7f",
    "carriage return": "good\rbad",
    "shift": "\x1bN\x1bO\x1bn\x1bo",
}

CHARACTERS = {
    "override": "exe.\u202egpj.txt\u202c",
    "isolates": "\u2066a\u2067b\u2068c\u2069",
    "marks": "a\u200eb\u200fc\u061cd",
    "zero width": "pa\u200byp\u2060al\ufeff",
    "line ends": "a\u2028b\u2029c\x85d",
    "tags": "".join(chr(0xE0000 + ord(char)) for char in "ignore all"),
    "selectors": "a" + "".join(chr(0xE0100 + n) for n in range(40)) + "\ufe0f\ufe0f\ufe0f",
    "joiners": "a\u200db\u200cc \u200d\u200d",
    "flood of marks": "Z" + "\u0301\u0316\u0489" * 300,
    "surrogates": "\ud800 \udfff \udc80",
    "noncharacters": "\uffff\ufdd0\U0001ffff\ufff9x\ufffb",
    "wide": "漢字" * 60 + "👨\u200d👩\u200d👧❤\ufe0f🏳\ufe0f\u200d🌈" * 5,
    "fillers": "\u3164\u115f\u1160\uffa0\xad\u034f",
}

MARKUP = {
    "wrong close": "x [/foo] y",
    "close of nothing": "[/]",
    "action": "[@click=app.exit]leave[/]",
    "quoted action": "[@click=\"app.bell('x')\"]bell[/]",
    "open": "[bold red on blue",
    "link": "[link=http://evil.example]x[/link]",
    "variables": "[$primary]a[/] $text {x} %s \\[",
    "markdown link": "[a](javascript:alert(1)) [b](http://x.example '\x1b]0;" + MARK + "\x07')",
    "markdown entity": f"&#27;[{MARK}m &#x9b;{MARK}m &#x202e;abc &ZeroWidthSpace;",
    "encoded link": f"<http://x.example/%1b]0;{MARK}%07> [c](http://x.example/%1b[{MARK}m)",
    "fence label": f"```\x1b]0;{MARK}\x07\ncode \x1b[{MARK}m\n```",
    "table": f"| \x1b[{MARK}m | b |\n|---|---|\n| \u202e | \x9b{MARK}m |",
    "image": f"![\x1b[{MARK}m](http://x.example)",
    "definition": f"[x]\n\n[x]: http://x.example/\x1b]0;{MARK}\x07",
    "deep": "> " * 200 + "deep",
    "deep list": "".join("  " * n + "- a\n" for n in range(100)),
    "brackets": "[" * 500,
}

CORPUS = SEQUENCES | CHARACTERS | MARKUP


def garbage(size: int, seed: int = 0) -> str:
    """`size` characters of anything, the same for the same seed."""
    draw = random.Random(seed)
    pool = [*map(chr, range(256)), *"\u202e\u2066\u200d\ufe0f\u0301\ud800", *"[]()*_`#>|-\n\n", "漢", "\x1b[", "\x1b]"]
    return "".join(draw.choices(pool, k=size))[:size]


_CONTROL = re.compile(
    rb"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI
    rb"|\x1b[\]PX^_].*?(?:\x07|\x1b\\|$)"  # OSC, DCS, SOS, PM, APC up to their end
    rb"|\x1b[ -/]*[0-~]",
    re.DOTALL,
)

OURS = re.compile(
    rb"\x1b\[[0-9;:]*m"  # colours
    rb"|\x1b\[\d+;\d+H"
    rb"|\x1b\[\?(?:1049|1000|1002|1003|1004|1006|1015|1016|2004|2026|2031|2048|25|7)(?:;\d+)*(?:[hl]|\$p)"
    rb"|\x1b\[[<>=]\d*u|\x1b\[\?u|\x1b\[>4;\d+m"  # the keyboard protocols
    rb"|\x1b\]22;[a-z-]*\x07"  # the pointer's shape
    rb"|\x1b\[14t|\x1b\[16t|\x1b\[18t|\x1b\[\d* q|\x1b\[H|\x1b\[0?J|\x1b\[2J|\x1b\[[02]?K|\x1b\[\d*A|\x1b\[c|\x1b\[6n"
)
"""The control sequences that Textual writes of its own accord."""


LINK = re.compile(rb"\x1b\]8;(?:id=[\w.-]+)?;[^\x00-\x1f\x7f]*\x1b\\")


def intrusions(output: bytes, *, links: bool = False) -> list[bytes]:
    """What in a program's terminal output is neither its own control sequence nor harmless text.

    Args:
        output: All that it wrote.
        links: Whether hyperlinks (OSC 8) to addresses without control characters may be there.
    """
    found = []
    for part in _CONTROL.findall(output):
        foreign = MARK.encode() in part or not OURS.fullmatch(part)
        if foreign and not (links and LINK.fullmatch(part)):
            found.append(part)
    text = _CONTROL.sub(b"\n", output).decode("utf-8", "replace")
    for line in re.split(r"\r*\n\r*", text):  # a progress display goes back to the line's start before it clears it
        if unsafe_in_cells(line):
            found.append(line.encode("utf-8", "backslashreplace"))
    return found
