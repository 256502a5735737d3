# SPDX-License-Identifier: Apache-2.0
"""Every text of the window, English and Chinese."""

from __future__ import annotations

LANGUAGES = {"en": "English", "zh": "中文"}

TEXTS: dict[str, tuple[str, str]] = {
    "title": ("pyinfer: a look inside", "pyinfer：看见神经网络"),
    "draw": ("Draw", "手写"),
    "picture": ("Picture", "图片"),
    "camera": ("Camera", "摄像头"),
    "network": ("Network", "网络"),
    "compare": ("Compare", "对比"),
    "open_model": ("Open model…", "打开模型…"),
    "open_labels": ("Labels…", "标签…"),
    "save": ("Save picture…", "保存图片…"),
    "help": ("Keys", "快捷键"),
    "threads": ("Threads", "线程"),
    "exact": ("Exact", "精确"),
    "language": ("Language", "语言"),
    "clear": ("Clear", "清除"),
    "draw_hint": ("Draw a digit here", "在这里写一个数字"),
    "seen": ("What the model sees", "模型看到的"),
    "guesses": ("What it believes", "模型的判断"),
    "open_picture": ("Open picture…", "打开图片…"),
    "paste": ("Paste", "粘贴"),
    "drop_hint": ("Open, paste or drop a picture", "打开、粘贴或拖入一张图片"),
    "paste_hint": ("Open or paste a picture", "打开或粘贴一张图片"),
    "classify": ("Classify", "分类"),
    "read": ("Read text", "识别文字"),
    "scaling": ("Pixels as", "像素范围"),
    "lines": ("What it reads", "识别结果"),
    "no_reader": ("To read text: pip install --no-deps rapidocr==3.10.0",
                  "识别文字需要：pip install --no-deps rapidocr==3.10.0"),
    "no_text": ("No text was found.", "没有找到文字。"),
    "no_classifier": ("{name} does not take one picture: open another model.",
                      "{name} 的输入不是一张图片，请打开别的模型。"),
    "no_picture": ("There is no picture in the clipboard.", "剪贴板里没有图片。"),
    "fit": ("Fit", "适合窗口"),
    "measure": ("Measure", "测量"),
    "time": ("Time", "时间"),
    "of_all": ("{part:.1f} % of all", "占 {part:.1f} %"),
    "kernel": ("Kernel", "内核"),
    "shapes": ("Shapes", "形状"),
    "merged": ("With", "合并"),
    "writes": ("Output", "输出"),
    "moves": ("Moves", "读写"),
    "work": ("Work", "计算量"),
    "refused": ("Not taken", "未采用"),
    "source": ("From", "来源"),
    "inside": ("Inside: its channels", "内部：各通道"),
    "no_inside": ("This block keeps its values to itself.", "无法查看此模块的中间值。"),
    "blocks": ("{count} blocks, {time}", "{count} 个模块，{time}"),
    "pick": ("Click a block, or use the arrow keys.", "点击一个模块，或用方向键选择。"),
    "start": ("Start", "开始"),
    "stop": ("Stop", "停止"),
    "engine": ("Engine", "引擎"),
    "answer": ("Answer", "结果"),
    "difference": ("Largest difference", "最大误差"),
    "now": ("Now", "本次"),
    "median": ("Median", "中位数"),
    "starting": ("starting…", "启动中…"),
    "not_installed": ("not installed", "未安装"),
    "milliseconds": ("milliseconds of each run", "每次运行的毫秒数"),
    "loading": ("Opening {name}…", "正在打开 {name}…"),
    "ready": ("{name} is ready, threads: {threads}", "{name} 已就绪，线程：{threads}"),
    "ran": ("{time} a run, threads: {threads}", "每次运行 {time}，线程：{threads}"),
    "labels_read": ("{count} labels", "{count} 个标签"),
    "saved": ("Saved {name}", "已保存 {name}"),
    "no_screen": ("The picture of the window cannot be taken here: {error}",
                  "无法在此截图：{error}"),
    "no_camera": ("The camera gives no picture.", "摄像头没有图像。"),
    "close": ("Close", "关闭"),
    "keys": (  # keys, a tab, what they do; without a tab a heading
        "All tabs\n"
        "Ctrl+1, Ctrl+2 …\tthe tabs\n"
        "Ctrl+O, Ctrl+L\topen a model, its labels\n"
        "Ctrl+P, Ctrl+V\topen a picture, paste one\n"
        "Ctrl+S\tsave a picture of this window\n"
        "Ctrl +, Ctrl −\tlarger, smaller type\n"
        "Tab, Space\tnext control, press it\n"
        "Draw\n"
        "Arrows, Space\tmove the pen, put it down or lift it\n"
        "Esc\tclear\n"
        "Network\n"
        "Arrows\tfrom block to block\n"
        "+, −, F\tlarger, smaller, fit\n"
        "Compare\n"
        "F5\tstart, stop",
        "所有页面\n"
        "Ctrl+1，Ctrl+2 …\t切换页面\n"
        "Ctrl+O，Ctrl+L\t打开模型，打开标签\n"
        "Ctrl+P，Ctrl+V\t打开图片，粘贴图片\n"
        "Ctrl+S\t保存窗口图片\n"
        "Ctrl +，Ctrl −\t放大、缩小文字\n"
        "Tab，空格\t下一个控件，按下\n"
        "手写\n"
        "方向键，空格\t移动笔，落笔或抬笔\n"
        "Esc\t清除\n"
        "网络\n"
        "方向键\t选择模块\n"
        "+，−，F\t放大，缩小，适合窗口\n"
        "对比\n"
        "F5\t开始，停止",
    ),
}  # fmt: skip


def say(key: str, language: str, **values: object) -> str:
    """
    >>> say("ran", "en", time="1.5 ms", threads=2)
    '1.5 ms a run, threads: 2'
    """
    return TEXTS[key][1 if language == "zh" else 0].format(**values)
