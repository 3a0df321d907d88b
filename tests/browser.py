"""A page in a real browser, where there is one: how it is laid out, and whether its text can be read."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import escape, unescape
from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)

LOOK = r"""
const channel = v => { v /= 255; return v <= 0.03928 ? v / 12.92 : Math.pow((v + 0.055) / 1.055, 2.4); };
const luminance = c => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
const colour = text => text.match(/[\d.]+/g).map(Number);
function background(element, view) {
  for (; element; element = element.parentElement) {
    const c = colour(view.getComputedStyle(element).backgroundColor);
    if (c.length === 3 || c[3] > 0) return c;
  }
  return [255, 255, 255];
}
function look(frame) {
  const view = frame.contentWindow, page = frame.contentDocument, width = frame.clientWidth;
  const inside = e => e.closest(".scroll, pre");
  const all = [...page.body.querySelectorAll("*")];
  const wide = all.filter(e => !inside(e) && e.getBoundingClientRect().right > width + 1).map(e => e.tagName);
  let contrast = 99, small = 99;
  for (const e of all) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    const style = view.getComputedStyle(e);
    const [a, b] = [luminance(colour(style.color)), luminance(background(e, view))].sort((x, y) => y - x);
    contrast = Math.min(contrast, (a + 0.05) / (b + 0.05));
    small = Math.min(small, parseFloat(style.fontSize));
  }
  const blank = [...page.images].filter(i => !i.naturalWidth).length;
  return {scroll: page.documentElement.scrollWidth, width, wide, contrast, small, blank, images: page.images.length};
}
window.onload = () => setTimeout(() => {
  document.getElementById("found").textContent = JSON.stringify(look(document.querySelector("iframe")));
}, 500);
"""


def look_at(page: str, width: int, folder: Path) -> dict:
    """Lay a page out in a frame of this width, without a network, and measure it."""
    assert CHROMIUM is not None
    frame = f'<iframe style="border:0;width:{width}px;height:900px" srcdoc="{escape(page)}"></iframe>'
    outer = folder / f"at_{width}.html"
    outer.write_text(f'<!doctype html><meta charset="utf-8"><script>{LOOK}</script>{frame}<div id="found"></div>', encoding="utf-8")
    options = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--user-data-dir={folder / 'user'}",
    ]
    call = [CHROMIUM, *options, f"--window-size={max(width, 600)},1000", "--virtual-time-budget=5000", "--dump-dom", outer.as_uri()]
    done = subprocess.run(call, capture_output=True, text=True, timeout=120)
    found = re.search(r'<div id="found">(.+?)</div>', done.stdout, re.S)
    assert found, done.stderr
    return json.loads(unescape(found.group(1)))
