// The bar of an import: what the server has done of it, asked for while the form's answer is awaited.
"use strict";

const EVERY = 200; // milliseconds
let asking = null;

function show(bar, { label, share, done, total }) {
  const percent = Math.round(share * 100);
  bar.querySelector("[data-label]").textContent = label;
  const count = (number) => number.toLocaleString("zh-CN");
  bar.querySelector("[data-count]").textContent = total ? `${count(done)} / ${count(total)}` : "";
  bar.querySelector("[role=progressbar]").setAttribute("aria-valuenow", percent);
  bar.querySelector(".progress-bar").style.width = `${percent}%`;
}

document.addEventListener("submit", (event) => {
  const bar = event.target.querySelector("[data-progress]");
  if (!bar || event.defaultPrevented) return;
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const key = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  event.target.elements.progress.value = key;
  bar.hidden = false;
  const url = bar.dataset.progress.replace("KEY", key);
  const ask = async () => {
    try {
      const answer = await fetch(url, { headers: { Accept: "application/json" } });
      const text = await answer.text(); // empty: not begun yet, or done
      if (answer.ok && text) show(bar, JSON.parse(text));
    } catch {
      // The page is being left, or there is no network: the form's own answer will tell.
    }
    asking = window.setTimeout(ask, EVERY);
  };
  window.clearTimeout(asking);
  asking = window.setTimeout(ask, EVERY);
});

// Back from the next page: nothing runs any more.
window.addEventListener("pageshow", ({ persisted }) => {
  if (!persisted) return;
  window.clearTimeout(asking);
  document.querySelectorAll("[data-progress]").forEach((bar) => (bar.hidden = true));
});
