# SPDX-License-Identifier: Apache-2.0
# Copyright the pam-ukey authors
"""The demo's own texts in the language of the person who reads them, by the tools' rule."""

from __future__ import annotations

import textwrap

from keyservice.contract.i18n import Language, language
from tools.output import width

#: English, Chinese.
CHINESE = {
    "Setting up": "准备",
    "installing pam-ukey, by scripts/install": "用 scripts/install 安装 pam-ukey",
    "starting pcscd, the system bus, the keyservice and sshd": (
        "启动 pcscd、系统总线、keyservice 和 sshd"
    ),
    "putting the stacks of pam.d-examples into {folder}: {services}": (
        "把 pam.d-examples 中的栈放入 {folder}：{services}"
    ),
    "making two people: visitor, who sits here, and demo, who has a ukey": (
        "创建两个用户：坐在这里的 visitor，和有 ukey 的 demo"
    ),
    "plugging in the emulated ukey": "插入模拟的 ukey",
    "Enrolling": "绑定",
    "An administrator binds the ukey to demo. It is asked for its PIN and a signature.": (
        "管理员把 ukey 绑定给 demo：需要它的 PIN 码和一次签名。"
    ),
    "Logins": "登录",
    "Each is a real program with real libpam. What was typed is shown as dots. The line below"
    " it has the verdict of the audit log, and the milliseconds to it from the last key.": (
        "每次登录都由真实的程序和真实的 libpam 完成。输入的内容显示为圆点。下面一行是审计日志中的"
        "结果，以及从最后一次按键到结果的毫秒数。"
    ),
    "visitor becomes demo on the console: demo's password, then the PIN of demo's ukey.": (
        "visitor 在控制台上变成 demo：先输入 demo 的密码，再输入 demo 的 ukey 的 PIN 码。"
    ),
    "The same by ssh. Logins from afar are refused unless the host allows them; this one does.": (
        "同样的登录，通过 ssh。除非主机允许，否则拒绝远程登录；这台主机允许。"
    ),
    "The password is right and the PIN is wrong: refused, and one of the ukey's tries is gone.": (
        "密码正确，PIN 码错误：登录被拒绝，ukey 少了一次尝试机会。"
    ),
    "The ukey is not in the reader. It is waited for ({seconds} s here); no PIN is asked.": (
        "ukey 不在读卡器中。程序等待插入（这里等 {seconds} 秒），不询问 PIN 码。"
    ),
    "Password and PIN are right, and the ukey is pulled out while it signs.": (
        "密码和 PIN 码都正确，但在签名时拔出了 ukey。"
    ),
    "the password": "密码",
    "the PIN": "PIN 码",
    "a wrong PIN": "错误的 PIN 码",
    "Your turn": "轮到您了",
    "in a terminal's window": "在终端窗口中",
    "on a console": "在控制台上",
    'password "{password}", PIN {pin}; exit comes back': (
        "密码 “{password}”，PIN 码 {pin}；用 exit 返回"
    ),
    "the same from afar": "同样的登录，从远程",
    "pull the ukey out; softkey insert puts it back": "拔出 ukey；用 softkey insert 插回",
    "put it back while it is waited for": "在等待时插回",
    "a slow ukey; softkey behave ends it": "很慢的 ukey；用 softkey behave 恢复",
    "what is in the readers; ukey status, watch, bindings": (
        "读卡器中有什么；另有 ukey status、watch、bindings"
    ),
    "unbind it; sudo getpubkey demo binds it again": "解除绑定；用 sudo getpubkey demo 重新绑定",
    "change the PIN; --help of each tool says more": "更改 PIN 码；各工具的 --help 有更多说明",
    "a new PIN by the admin PIN, {admin_pin}": "用管理员 PIN 码 {admin_pin} 设置新的 PIN 码",
    "a second ukey, as it was shipped: PIN {factory_pin}": (
        "第二个 ukey，出厂状态：PIN 码 {factory_pin}"
    ),
    "give it a PIN of its own, so that it can be bound": "给它设置自己的 PIN 码，才能绑定",
    "bind it to yourself; then: su visitor": "把它绑定给自己；然后：su visitor",
    "who gets in by a PAM stack, asked of libpam itself": "谁能通过某个 PAM 栈登录，由 libpam 判断",
    "try a login by the real stack, without a session": "用真实的栈试登录，不打开会话",
    "who tried what, and why it was refused": "谁尝试了什么，为什么被拒绝",
    "You are visitor, {place} of this private Debian. Try:": (
        "您是 visitor，{place}，位于这个独立的 Debian 里。可以试试："
    ),
    "help shows this again. exit, or ^D, ends the demo, and everything in it is gone.": (
        "help 再次显示本页。exit 或 ^D 结束演示，其中的一切随之消失。"
    ),
    "In Chinese: LANG=zh_CN.UTF-8 scripts/demo": "英文：LANG=C.UTF-8 scripts/demo",
    "Stopped. Nothing of it is left on your machine but the sandbox's root.": (
        "已停止。除了沙盒的根目录，您的机器上没有留下任何东西。"
    ),
    "The end. Nothing of it is left on your machine but the sandbox's root.": (
        "演示结束。除了沙盒的根目录，您的机器上没有留下任何东西。"
    ),
}

_spoken = Language.ENGLISH


def speak(locale: str) -> None:
    """From now on, in the language of `locale`, a POSIX name."""
    global _spoken
    _spoken = language(locale)


def said(text: str, **facts: object) -> str:
    """`text` in that language, with its facts."""
    if _spoken is Language.CHINESE:
        text = CHINESE[text]
    return text.format(**facts) if facts else text


def filled(text: str, columns: int) -> str:
    """`text` in lines of so many columns; Chinese has no spaces to break at."""
    if _spoken is Language.ENGLISH:
        return textwrap.fill(text, columns, break_on_hyphens=False)
    lines = [""]
    for word in _pieces(text):
        if width(lines[-1] + word.rstrip()) > columns and word not in "，。；：、）”":
            lines.append("")
        lines[-1] += word.lstrip() if not lines[-1] else word
    return "\n".join(line.rstrip() for line in lines)


def _pieces(text: str) -> list[str]:
    """The words that are not to be broken: a Chinese character each, and words of letters."""
    pieces: list[str] = []
    for character in text:
        alone = character == " " or width(character) == 2
        if alone or not pieces or width(pieces[-1][-1]) == 2:
            pieces.append(character)
        else:
            pieces[-1] += character
    return pieces
